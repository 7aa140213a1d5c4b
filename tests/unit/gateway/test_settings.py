"""Settings as they're read from the environment."""

import pytest
import typer

from gateway.cli import _settings
from gateway.settings import GatewaySettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("READ_RATE", "0"),
        ("COMMAND_RATE", "-1"),
        ("CREATE_RATE", "nan"),
        ("FRAME_RATE", "0"),
        ("FRAME_BURST", "0"),
        ("FANOUT", "0"),
        ("HEARTBEAT", "0"),
        ("BODY_BYTES", "-5"),
    ],
)
def test_settings_that_make_no_sense_are_refused_when_they_are_read(name, value, monkeypatch):
    """A rate of nothing is told at the start, and not by a division when the first player comes."""
    assert _settings(GatewaySettings, "GATEWAY") == GatewaySettings()
    monkeypatch.setenv(f"GAMESHARD_GATEWAY_{name}", value)
    with pytest.raises(typer.Exit):
        _settings(GatewaySettings, "GATEWAY")
