"""Plays a behaviour as the runtime would, and holds it to the protocol at every step."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
from behaviour_scripts import SCRIPTS, STRANGER, Wish

from actors.behaviour import (
    Behaviour,
    Context,
    Deadline,
    Event,
    Rejected,
    Repeated,
    Resume,
    event_decoder,
    instant,
)

START = 1_750_000_000_000


class Play:
    """One game in four copies that must never differ.

    The live one; `told`, which hears only what the log would hold; `rested`, which is packed and
    unpacked now and then; and the history from which all of them can be made again.
    """

    def __init__(self, behaviour: Behaviour, rng: Random) -> None:
        self.behaviour = behaviour
        self.script = SCRIPTS[behaviour.kind]
        self.rng = rng
        self.now = START
        self.live: Any = None
        self.told: Any = None
        self.rested: Any = None
        self.events: list[Event] = []
        self.records: list[bytes] = []
        self.refusals: list[str] = []
        self.repeats: list[int] = []
        self._decoder = event_decoder(behaviour)

    def run(self, steps: int) -> Play:
        """Create a game and do `steps` things in it, by players, strangers and the clock."""
        while self.live is None:
            self.send(Wish("ann", "create", self.script.create(self.rng)))
        for _ in range(steps):
            self._step()
        return self

    def _step(self) -> None:
        self.now += self.rng.choice((0, 1, 900, 20_000))
        deadline = self.behaviour.next_deadline(self.live)
        chance = self.rng.random()
        if chance < 0.03:
            self.now += 5_000
            self.tell(None, Resume(5_000))
        elif deadline is not None and chance < 0.12:
            self.now = max(self.now, deadline + self.rng.choice((-1, 0, 1)))
            self.tell(None, Deadline())
        else:
            view = self.behaviour.view(self.live, self.behaviour.queries["state"](), None)
            self.send(self.script.wish(self.rng, view))
        if self.rng.random() < 0.3:
            self.rested = self.behaviour.unpack(self.behaviour.pack(self.rested))

    def send(self, wish: Wish) -> None:
        """Send a wish as JSON, as it comes from outside."""
        body = msgspec.json.encode({"type": wish.name, **wish.body})
        self.tell(wish.user, msgspec.json.decode(body, type=self.behaviour.commands[wish.name]))

    def tell(self, user: str | None, command: Any) -> None:
        """Decide on a command, and do what the runtime does with the answer."""
        away = {STRANGER: 0, "ann": self.now - self.rng.choice((0, 90_000))}
        seed = self.rng.getrandbits(64)
        context = Context("game-1", self.now, user, self.rng.choice((0, 80)), 0, seed, away)
        due = None if self.live is None else self.behaviour.next_deadline(self.live)
        before = self._packed(self.live)
        events: Sequence[Event] = ()
        again: Sequence[Event] = ()
        try:
            events = self.behaviour.decide(self.live, command, context)
            again = self.behaviour.decide(self.live, command, context)
        except Rejected as no:
            self.refusals.append(no.code)
        except Repeated as repeat:
            self.repeats.append(repeat.seq)
        assert set(self.refusals[-1:]) <= set(self.behaviour.rejections)
        assert all(1 <= seq <= len(self.events) for seq in self.repeats[-1:])
        assert self._packed(self.live) == before, "decide changed the state"
        assert msgspec.json.encode(events) == msgspec.json.encode(again), "decide isn't a function"
        if isinstance(command, Deadline):
            assert not events or (due is not None and due <= self.now), "nothing was due"
        for event in events:
            self._take(event)
        if isinstance(command, Deadline) and self.live is not None:
            due = self.behaviour.next_deadline(self.live)
            assert due is None or due > self.now, "a deadline that never passes"

    def _take(self, event: Event) -> None:
        event.game, event.seq, event.at = "game-1", len(self.events) + 1, instant(self.now)
        record = msgspec.json.encode(event)
        written = self._decoder.decode(record)
        assert type(event) in self.behaviour.events
        assert type(written) is type(event)
        assert msgspec.json.encode(written) == record
        assert self.behaviour.effects(written) == self.behaviour.effects(event)
        ended = self.live is not None and self.behaviour.outline(self.live).status == "ended"
        self.live = self.behaviour.evolve(self.live, event)
        self.told = self.behaviour.evolve(self.told, written)
        self.rested = self.behaviour.evolve(self.rested, self._decoder.decode(record))
        over = self.behaviour.outline(self.live).status == "ended"
        assert over == (ended or event.ends), "`ends` and the outline disagree"
        self.events.append(event)
        self.records.append(record)

    def _packed(self, state: Any) -> bytes | None:
        return None if state is None else self.behaviour.pack(state)

    def looks(self, state: Any) -> Sequence[object]:
        """Return all that can be seen of `state` through the protocol."""
        views = [
            msgspec.json.encode(self.behaviour.view(state, query, viewer))
            for name, kind in self.behaviour.queries.items()
            for query in [msgspec.convert(self.script.queries.get(name, {}), kind)]
            for viewer in ("ann", STRANGER, None)
        ]
        outline = self.behaviour.outline(state)
        return (*views, outline, self.behaviour.next_deadline(state), self.behaviour.pack(state))
