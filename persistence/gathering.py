"""Questions that gather while others are under way, and are then asked together.

After a take-over a process has hundreds of small questions at once, and one connection. One after
another, each would wait for all before it, and for a turn of a busy event loop at every step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Gathering(Generic[Question, Answer]):
    """Asks in rounds, one at a time. Belongs to one event loop."""

    def __init__(self, ask: Callable[[Sequence[Question]], Awaitable[Answer]]) -> None:
        """Ask by `ask(questions)`, each question of a round once, in the order they came."""
        self._ask = ask
        self._questions: dict[Question, None] = {}
        self._next: asyncio.Task[Answer] | None = None
        self._turn = asyncio.Lock()

    async def ask(self, questions: Sequence[Question]) -> Answer:
        """Return the answer of a round that has these among its questions and began after this."""
        self._questions.update(dict.fromkeys(questions))
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._round())
            self._next.add_done_callback(_heard)
        # Who gives up takes nothing from those who ask in the same round.
        return await asyncio.shield(self._next)

    async def _round(self) -> Answer:
        async with self._turn:
            questions, self._questions = list(self._questions), {}
            self._next = None
            return await self._ask(questions)


def _heard(task: asyncio.Task[Answer]) -> None:
    """Whoever asked hears of an error; if all have given up, nobody needs to."""
    if not task.cancelled():
        task.exception()
