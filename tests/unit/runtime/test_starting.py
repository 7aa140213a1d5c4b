"""How a service starts while what it needs is away."""

import asyncio
import threading
from contextlib import closing

import pytest

from persistence.log import Unavailable
from runtime import starting
from runtime.starting import StartError, begin

# A failed start may leave open what it opened: that's why its loop is closed.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed resource:ResourceWarning")


class Nervous:
    """Fails `failures` times at its start, having begun to listen and to do something."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures = failures
        self.error = error
        self.made = 0
        self.left = []
        self.port = 0

    def __call__(self):
        self.made += 1
        return self

    async def start(self) -> None:
        try:
            server = await asyncio.start_server(lambda *_: None, "127.0.0.1", self.port)
        except OSError as error:
            pytest.fail(f"a try before still listens: {error}")
        self.port = server.sockets[0].getsockname()[1]
        task = asyncio.create_task(asyncio.Event().wait())
        self.left.append(task)
        await asyncio.sleep(0)
        if self.made <= self.failures:
            raise self.error

    async def stop(self) -> None:
        raise AssertionError


@pytest.fixture
def no_pauses(monkeypatch):
    """What would be slept between two tries."""
    slept = []
    monkeypatch.setattr(starting, "sleep", slept.append)
    return slept


@pytest.fixture
def apart():
    """Runs a function on a thread of its own, as hosts do, and returns what it returns."""

    def run(function):
        found = []

        def target():
            try:
                found.append(function())
            except BaseException as error:  # noqa: BLE001  (handed over)
                found.append(error)

        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
        if isinstance(found[0], BaseException):
            raise found[0]
        return found[0]

    return run


@pytest.mark.parametrize("error", [Unavailable("no Postgres"), OSError(), ValueError("a bug?")])
def test_a_service_that_ran_before_is_started_until_it_works(no_pauses, apart, error):
    """However often and however it fails, it comes back; pauses grow, to a bound."""
    service = Nervous(20, error)
    loop, found = apart(lambda: begin("s", service, again=True, within=5.0))
    with closing(loop):
        assert found is service
        assert service.made == 21
        assert no_pauses == sorted(no_pauses)
        assert no_pauses[-2:] == [starting._LONGEST_PAUSE_S] * 2
        assert all(task.cancelled() for task in service.left[:-1])
        assert not service.left[-1].done()
        starting._discard(loop)


def test_a_first_start_waits_for_what_is_away(no_pauses, apart):
    """Postgres that comes a little late costs a new service nothing."""
    service = Nervous(2, Unavailable("no Postgres"))
    loop, _ = apart(lambda: begin("s", service, again=False))
    assert service.made == 3
    starting._discard(loop)


def test_a_first_start_ends_with_the_reason_when_its_time_is_over(no_pauses, apart):
    """It isn't tried for ever, and the message names the service and what was wrong."""
    service = Nervous(1_000, Unavailable("no Postgres there"))
    with pytest.raises(StartError, match="shard-7 doesn't start: no Postgres there"):
        apart(lambda: begin("shard-7", service, again=False, within=0.2))
    assert 1 <= service.made < 1_000


def test_a_mistake_in_a_new_system_is_told_at_once(no_pauses, apart):
    """What waiting can't mend isn't waited for at the first start."""
    service = Nervous(1, ValueError("this game names no kind"))
    with pytest.raises(StartError, match="s doesn't start: this game names no kind"):
        apart(lambda: begin("s", service, again=False))
    assert service.made == 1


def test_a_start_that_hangs_is_a_failure(no_pauses, apart):
    """Each try has its time; a hanging one is given up for the next."""

    class Hanging(Nervous):
        async def start(self) -> None:
            if self.made == 1:
                await asyncio.Event().wait()

    service = Hanging(0, OSError())
    loop, _ = apart(lambda: begin("s", service, again=True, within=0.05))
    assert service.made == 2
    starting._discard(loop)
