"""One slot of a load of moves: two seats that play one script after the other.

It is driven by callbacks only; a task runs just while a game is created. A move counts for its
mover when the mover's own socket has the event, and for the opponent when theirs has it; the
opponent's is what lets the next move begin.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter

from bench.endings import LEFT, closing, waits_for_flag
from bench.house import Ended, House
from bench.http import UnansweredError
from bench.opening import new_game
from bench.scripts import Script
from bench.seat import Chair, Frame
from bench.side import Side
from bench.users import User

LATER = frozenset({"unavailable", "rate_limited", "overloaded"})
"""Rejections that say "not now": the same command is sent again under its own id."""
_RETRY_SECONDS = 0.2
_REFUSED_SECONDS = 0.5
_ENDING_SECONDS = 20.0
_SILENCE_SECONDS = 10.0


class Table:
    """A slot. `open` its first game, then `kick` it; after that it goes on by itself."""

    def __init__(self, house: House, seats: tuple[Chair, Chair]) -> None:
        self.game = ""
        self.due = [0.0, 0.0]
        self.sent = [0.0, 0.0]
        self.sides = (Side(seats[0]), Side(seats[1]))
        self._house = house
        self._script: Script | None = None
        self._first = 0
        self._ply = 0
        self._ready = False
        self._started = False
        self._offerer = 0
        self._due: deque[float] = deque()
        self._ending_since = 0.0
        self._back = 0.0
        self._task: asyncio.Task[None] | None = None
        for seat in seats:
            seat.sitter = self

    @property
    def quiet(self) -> bool:
        """Whether nothing is under way: no game being made, no command or event outstanding."""
        script = self._script
        unseen = self._started and script is not None and self._ply < len(script.moves)
        unseen = unseen and not self._ready  # the mover has the event, its opponent not yet
        return self._task is None and self._all_answered() and not self._due and not unseen

    @property
    def owed(self) -> float | None:
        """Since when (as it was due) a move is unanswered here; None if none is."""
        for side in self.sides:
            if side.asked is not None and (ply := side.asked.name[1:]).isdigit():
                return self.due[int(ply) & 1]
        return self._due[0] if self._due else None

    @property
    def rested(self) -> bool:
        """Whether nothing is under way here, and both players have seen all that there is."""
        return self.quiet and (self._ready or not self.game)

    def _all_answered(self) -> bool:
        return self.sides[0].asked is None and self.sides[1].asked is None

    # ---- a game begins

    def open(self) -> asyncio.Task[None] | None:
        """Begin to make the next game; None if there is none to be played."""
        self._started = False
        self._script = self._house.next_script()
        if self._script is None:
            return None
        self._task = asyncio.get_running_loop().create_task(self._make(self._script))
        return self._task

    async def _make(self, script: Script) -> None:
        house, (white, black) = self._house, self._players()
        clock = house.timed or (house.clocks and waits_for_flag(script))
        try:
            game = await new_game(house.pool, script, (white, black), house.new_key(), clock=clock)
        except UnansweredError as error:
            house.tally.errors["game not made"] += 1
            house.tally.counts[f"not made: {str(error)[:120]}"] += 1
            self._report("", None, "")
            # Whatever the server refused, it won't like the next one better right now.
            await asyncio.sleep(_REFUSED_SECONDS)
            self._task = None
            self._go_on()
            return
        self.game = game.id
        self._first = 0 if script.first == "white" else 1
        self._ply = 0
        self._task = None
        for side in self.sides:
            side.enter(game.id, game.seq)
        house.opened(self)  # whoever watches begins where the players do

    def _players(self) -> tuple[User, User]:
        return self.sides[0].seat.user, self.sides[1].seat.user

    # ---- the moves

    def kick(self) -> None:
        """Let the first move be made (the run has begun)."""
        if self._ready and not self._house.paced:
            self._play(perf_counter())
        elif not self.game and self._task is None:
            self.open()

    def turn_due(self, due: float) -> None:
        """Note that a move is due here since `due`; it is made as soon as one may be."""
        if self._ready:
            self._play(due)
        else:
            self._due.append(due)

    def _proceed(self) -> None:
        """Make the next move, or end the game after the last one."""
        script = self._script
        assert script is not None
        if self._ply >= len(script.moves):
            self._ready = False
            self._end(script)
        elif self._house.paced:
            self._ready = True
            if self._due:
                self._play(self._due.popleft())
        elif self._house.halted:
            self._ready = True  # not begun yet, or over
        else:
            self._play(perf_counter())

    def _play(self, due: float) -> None:
        """Send the next move; its latency counts from `due`."""
        self._ready = False
        ply = self._ply
        script = self._script
        if script is None or ply >= len(script.moves):
            return
        self.due[ply & 1] = due
        self.sent[ply & 1] = perf_counter()
        self.sides[(self._first + ply) & 1].ask(
            f"m{ply}",
            f'{{"type":"move","id":"m{ply}","game":"{self.game}"'
            f',"uci":"{script.moves[ply]}","ply":{ply}}}',
        )

    # ---- what the sockets say

    def on_frame(self, number: int, frame: Frame) -> None:
        """See `bench.seat.Sitter`."""
        if frame.game != self.game:
            return
        if frame.type == "MovePlayed":
            if self._next(number, frame):
                self._on_move(number, frame)
        elif frame.type in ("resumed", "snapshot"):
            self.sides[number].subscribed = True
            self._on_subscribed()
        elif frame.type == "rejected":
            self._on_rejected(number, frame)
        elif frame.type == "accepted":
            self.sides[number].answered(frame.id)
        elif frame.seq and frame.type != "presence" and self._next(number, frame):
            self._on_other(number, frame)

    def _next(self, number: int, frame: Frame) -> bool:
        """Return whether the event is the next one of this socket; say so if it is not."""
        if fault := self.sides[number].take(frame.seq):
            self._house.tally.wrong[fault] += 1
        return not fault

    def _on_move(self, number: int, frame: Frame) -> None:
        ply = frame.ply
        script = self._script
        if script is None or ply >= len(script.moves) or script.moves[ply] != frame.uci:
            self._house.tally.wrong["another move than sent"] += 1
            return
        now = perf_counter()
        latency = now - self.due[ply & 1]
        if number == (self._first + ply) & 1:
            self.sides[number].answered(f"m{ply}")
            self._house.moved(frame, latency, now - self.sent[ply & 1])
        else:
            self._house.seen(latency)
            self._ply = ply + 1
            self._proceed()

    def _on_subscribed(self) -> None:
        if not self._started and all(side.subscribed for side in self.sides):
            self._started = True
            self._proceed()

    def _on_rejected(self, number: int, frame: Frame) -> None:
        self._house.tally.errors[frame.code] += 1
        asked = self.sides[number].asked
        if frame.code in LATER:
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self.resend, number)
        elif asked is not None and frame.id == asked.name:
            self.sides[number].asked = None
            if any(side.ended for side in self.sides):
                return  # the other side, or the clock, was faster
            self._house.tally.wrong[f"refused: {frame.code}"] += 1
            self._over(None, "")

    def _on_other(self, number: int, frame: Frame) -> None:
        if frame.type == "GameEnded":
            self.sides[number].ended = frame
            if all(side.ended for side in self.sides):
                self._over(frame.winner, frame.termination or "")
        elif frame.type == "DrawOffered" and number != self._offerer:
            self.sides[number].ask(
                "accept",
                f'{{"type":"draw","id":"accept","game":"{self.game}"'
                f',"accept":true,"offer":{frame.seq}}}',
            )

    # ---- a game ends

    def _end(self, script: Script) -> None:
        """End the game as its script says, if the rules have not."""
        self._ending_since = perf_counter()
        if script.ending == LEFT:
            self._over(None, LEFT)
        elif (command := closing(script, faithful=self._house.endings)) is not None:
            name, number = command
            self._offerer = number
            text = f'{{"type":"{name}","id":"{name}","game":"{self.game}"}}'
            self.sides[number].ask(name, text)

    def _over(self, winner: str | None, ending: str) -> None:
        """Leave the game, report it, and go on with the next."""
        self._started = self._ready = False
        game, self.game = self.game, ""
        if game:
            for side in self.sides:
                side.leave()
        self._report(game, winner, ending)
        self._go_on()

    def _report(self, game: str, winner: str | None, ending: str) -> None:
        if self._script is not None:
            self._house.over(Ended(self._script, game, winner, ending, self._players()))

    def _go_on(self) -> None:
        if not self._house.halted or self._due:
            self.open()

    # ---- when things go wrong

    def on_lost(self, number: int) -> None:
        """See `bench.seat.Sitter`."""
        self._house.tally.counts["reconnects"] += 1
        self.sides[number].lost()

    def on_back(self, number: int) -> None:
        """See `bench.seat.Sitter`."""
        self._back = perf_counter()
        if self.game:
            self.sides[number].subscribe()
            self.resend(number)

    def resend(self, number: int) -> None:
        """Send the unanswered command of this side again, under its own id; it acts once."""
        if self.game and self.sides[number].ask_again():
            self._house.tally.counts["resent"] += 1

    def sweep(self, now: float) -> None:
        """Send again what had no answer for long; give up a game that is stuck, as wrong."""
        for number, side in enumerate(self.sides):
            if side.unanswered_for_long(now):
                self.resend(number)
        if self.game and self._started and (fault := self._stuck(now)):
            self._house.tally.wrong[fault] += 1
            self._over(None, "")

    def _stuck(self, now: float) -> str:
        """Return what the server owes this game for too long; "" if nothing."""
        script = self._script
        if script is None or self._ready:
            return ""
        if self._ply >= len(script.moves):
            flag = script.clock[0] if script.clock and waits_for_flag(script) else 0
            return "no end came" if now - self._ending_since > _ENDING_SECONDS + flag else ""
        since = max(self._back, *self.sent)
        answered = self._all_answered() and all(side.seat.connected for side in self.sides)
        return "accepted, but no event came" if answered and now - since > _SILENCE_SECONDS else ""
