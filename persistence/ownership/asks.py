"""Numbers requests, finds what waits for an answer, and collects the actions of a turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from persistence.ownership.actions import Action, Request
from persistence.ownership.answers import Answer

Then = Callable[[Any], None]


class Asks:
    """The requests under way of one owner."""

    def __init__(self) -> None:
        self._number = 0
        self._waiting: dict[int, Then] = {}
        self._actions: list[Action] = []

    def ask(self, request: type[Request], then: Then, *fields: Any) -> int:
        """Make a request of `fields`; `then` gets its answer. Return its number."""
        self._number += 1
        self._waiting[self._number] = then
        self._actions.append(request(self._number, *fields))
        return self._number

    def tell(self, news: Action) -> None:
        """Add an action that wants no answer."""
        self._actions.append(news)

    def answered(self, answer: Answer) -> None:
        """Hand an answer to whoever waits for it, if anybody still does."""
        then = self._waiting.pop(answer.number, None)
        if then is not None:
            then(answer)

    def forget(self, number: int) -> None:
        """Ignore the answer to request `number`."""
        self._waiting.pop(number, None)

    def forget_all(self) -> None:
        """Ignore whatever is still answered."""
        self._waiting.clear()

    def take(self) -> list[Action]:
        """Return the actions since the last call, in order."""
        actions, self._actions = self._actions, []
        return actions
