"""Addresses of every kind, as they're bound, printed and read."""

import pytest

from bench.target import target
from gateway.asked import Asked
from gateway.run import RunError, RunOptions, System, _url


def test_a_taken_address_is_told_as_a_person_would_write_it(tmp_path):
    """IPv6 addresses stand in brackets."""
    with Asked() as asked:
        first = System(RunOptions(data=tmp_path, host="::1", port=0), print, asked)
        first._bind()
        port = first._port.getsockname()[1]
        first._port.listen()
        second = System(RunOptions(data=tmp_path, host="::1", port=port), print, asked)
        with pytest.raises(RunError, match=rf"Can't listen on \[::1\]:{port}"):
            second._bind()
        first.stop()
        second.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "example.org"])
def test_urls_of_every_kind_of_address_are_read_as_they_are_written(host):
    """What `gameshard run` prints is what benches and clients take, brackets and all."""
    url = _url(host, 8000)
    there = target(url)
    assert (there.host, there.port, there.url) == (host, 8000, url)
    assert there.websocket == url.replace("http", "ws") + "/ws"
