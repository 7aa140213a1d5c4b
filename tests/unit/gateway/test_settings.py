"""Settings as they're read from the environment."""

import pytest
import typer

from gateway.cli import _settings
from gateway.settings import GatewaySettings
from runtime.behaviours import settable


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


@pytest.mark.parametrize("seconds", ["0", "86401", "soon"])
def test_settings_of_games_are_read_and_checked_alike(seconds, monkeypatch):
    """What a game leaves to the operator stands in the environment under the game's name."""
    chess = settable()["chess"]
    assert _settings(chess, "CHESS") == chess()
    monkeypatch.setenv("GAMESHARD_CHESS_FIRST_MOVE", "45")
    assert _settings(chess, "CHESS") == chess(first_move=45)
    monkeypatch.setenv("GAMESHARD_CHESS_FIRST_MOVE", seconds)
    with pytest.raises(typer.Exit):
        _settings(chess, "CHESS")
