"""Installed games, and what may be set about them."""

import msgspec

from actors.behaviour import Context
from runtime.behaviours import load, settable


def test_a_game_is_made_with_what_was_set_about_it():
    """Settings reach the behaviour that they're about; one without settings is as it was."""
    kinds = settable()
    assert "chess" in kinds
    assert "nim" not in kinds
    chosen = kinds["chess"](first_move=7)
    games, usual = load({"chess": chosen, "gone": chosen}), load()
    assert games.keys() == usual.keys()
    assert games["nim"] is usual["nim"]
    wish = {"type": "create", "clock": {"initial": 60}}
    create = msgspec.convert(wish, games["chess"].commands["create"])
    context = Context("game-1", 0, "ann", seed=1)
    made = [each["chess"].decide(None, create, context)[0] for each in (games, usual)]
    assert [game.first_move for game in made] == [7, 30]
