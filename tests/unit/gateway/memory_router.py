"""A stand-in for the router: real games in this process, on no log. It keeps the router's promises
(answers just before events, openings that fit the events) and can be told to be away."""

import asyncio

import msgspec

from actors.behaviour import Context, Rejected, Repeated
from runtime.asks import Away, Done, Missed, Packed, Refused
from runtime.behaviours import Kind
from runtime.cell import stamp
from runtime.operations import Progress, Refusal, decode

NOW = 1_790_000_000_000


class MemoryGame:
    def __init__(self, kind) -> None:
        self.kind = kind
        self.state = None
        self.log: list[bytes] = []
        self.keys: dict = {}


class MemoryRouter:
    """Games by id. `away`: nobody answers. `held`: answers wait there until `let_go`.

    `resent`: every command had to be sent twice.
    """

    def __init__(self, behaviours) -> None:
        self.kinds = {name: Kind(behaviour) for name, behaviour in behaviours.items()}
        self.games: dict[str, MemoryGame] = {}
        self.listeners: dict = {}
        self.attended: dict[str, tuple[list[str], int]] = {}
        self.polls: dict[str, list[asyncio.Future]] = {}
        self.away = self.resent = False
        self.held: list | None = None
        self.asked = []
        self.operated = []
        self.ready = True

    def _soon(self, call, *args) -> None:
        if self.held is not None:
            self.held.append((call, args))
        else:
            asyncio.get_running_loop().call_soon(call, *args)

    def let_go(self) -> None:
        held, self.held = self.held, None
        for call, args in held or ():
            call(*args)

    def send(self, ask, timeout, on_answer) -> None:
        self.asked.append(ask)
        self._soon(self._do, ask, on_answer)

    def _do(self, ask, on_answer) -> None:
        if self.away:
            on_answer(Away(1500))
            return
        answer, events = self._decide(ask)
        if self.resent and isinstance(answer, Done):
            answer = msgspec.structs.replace(answer, resent=True)
        on_answer(answer)
        game = self.games.get(ask.game)
        for data in events:
            seq = len(game.log) - len(events) + 1 + events.index(data)
            if (listener := self.listeners.get(ask.game)) is not None:
                listener.on_event(seq, data)
        if events:
            for poll in self.polls.pop(ask.game, ()):
                if not poll.done():
                    poll.set_result(None)

    def _decide(self, ask):
        game = self.games.get(ask.game)
        if game is None:
            kind = self.kinds.get(ask.kind)
            if ask.command != "create":
                return Refused("no_such_game", "There is no such game."), ()
            if kind is None:
                return Refused("invalid_request", f"There is no kind of game {ask.kind!r}."), ()
            game = MemoryGame(kind)
        known = game.kind.commands.get(ask.command)
        if known is None:
            return Refused("unknown_command", "No such command."), ()
        try:
            command = known[0].decode(ask.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Refused("invalid_request", str(error)), ()
        command.id = command.game = None
        mark = ask.user, ask.key
        body = msgspec.json.encode(command)
        if ask.key is not None and mark in game.keys:
            first, seq = game.keys[mark]
            if first != body:
                return Refused("key_reused", "The key was used with another command."), ()
            return Done(seq, game.log[seq - 1], True), ()
        context = Context(ask.game, NOW, ask.user, ask.round_trip_ms, 0, 7)
        try:
            events = game.kind.decide(game.state, command, context)
        except Rejected as no:
            return Refused(no.code, no.detail), ()
        except Repeated as again:
            return Done(again.seq, game.log[again.seq - 1], True), ()
        return self._evolve(ask, game, events, mark, body)

    def _evolve(self, ask, game, events, mark, body):
        datas = []
        for event in events:
            stamp(event, ask.game, len(game.log) + 1, NOW)
            game.state = game.kind.evolve(game.state, event)
            datas.append(msgspec.json.encode(event))
            game.log.append(datas[-1])
        self.games[ask.game] = game
        first = len(game.log) - len(datas) + 1
        if ask.key is not None:
            game.keys[mark] = body, first
        return Done(first, datas[0]), datas

    async def ask(self, ask, timeout):
        answered = asyncio.get_running_loop().create_future()
        self.send(ask, timeout, answered.set_result)
        return await answered

    def _packed(self, game):
        if self.away:
            return Away()
        found = self.games.get(game)
        if found is None:
            return Refused("no_such_game", "There is no such game.")
        return Packed(found.kind.name, len(found.log), found.kind.pack(found.state))

    async def state(self, game, timeout):
        await asyncio.sleep(0)
        return self._packed(game)

    def _missed(self, game, after):
        if self.away:
            return Away()
        found = self.games.get(game)
        if found is None:
            return Refused("no_such_game", "There is no such game.")
        return Missed(found.kind.name, len(found.log), found.log[after:])

    async def events(self, game, after, wait, timeout):
        found = self.games.get(game)
        if wait and found is not None and len(found.log) <= after:
            poll = asyncio.get_running_loop().create_future()
            self.polls.setdefault(game, []).append(poll)
            await asyncio.wait([poll], timeout=wait)
        return self._missed(game, after)

    def watch(self, game, after, listener, timeout, on_open) -> None:
        self.listeners.setdefault(game, listener)

        def opened() -> None:
            on_open(self._packed(game) if after is None else self._missed(game, after))

        self._soon(opened)

    def unwatch(self, game) -> None:
        self.listeners.pop(game, None)

    def attend(self, game, users, watchers) -> None:
        self.attended[game] = sorted(users), watchers
        if (listener := self.listeners.get(game)) is not None:
            frame = {"type": "presence", "game": game, "watchers": watchers}
            self._soon(listener.on_presence, msgspec.json.encode(frame))

    async def operate(self, verb):
        self.operated.append(verb)
        if self.away:
            raise ConnectionError
        try:
            return Progress(str(type(decode(verb)).__struct_config__.tag), left=3, of=8)
        except msgspec.DecodeError as error:
            raise Refusal(f"This isn't an operation: {error}") from error

    async def status(self):
        return {"partitions": 1, "shards": []}
