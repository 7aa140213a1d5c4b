"""A table's two players, fed frame by frame: what they send, and what they find wrong."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import bench.table
from bench.house import Ended
from bench.opening import NewGame
from bench.scripts import Script
from bench.seat import Frame
from bench.table import Table
from bench.tally import Tally
from bench.users import User

SCRIPT = Script(
    "s", "standard", None, "white", ("f2f3", "e7e5", "g2g4"), "black", "resignation", False, None
)


class FakeSeat:
    def __init__(self, name: str) -> None:
        self.user = User(name, f"token-{name}")
        self.sitter: Any = None
        self.connected = True
        self.frames: list[dict[str, Any]] = []

    def send(self, text: str) -> None:
        self.frames.append(msgspec.json.decode(text))

    @property
    def last(self) -> dict[str, Any]:
        return self.frames[-1]


class FakeHouse:
    def __init__(self) -> None:
        self.tally = Tally()
        self.pool: Any = None
        self.paced = self.timed = self.clocks = False
        self.endings = True
        self.halted = False
        self.scripts = [SCRIPT]
        self.moves: list[int] = []
        self.seen_by_opponent = 0
        self.ended: list[Ended] = []
        self.begun_at: list[int] = []

    def next_script(self) -> Script | None:
        return self.scripts.pop() if self.scripts else None

    def new_key(self) -> str:
        return "key"

    def moved(self, frame: Frame, latency: float, since_sent: float) -> None:
        assert latency >= since_sent >= 0
        self.moves.append(frame.ply)

    def seen(self, latency: float) -> None:
        assert latency >= 0
        self.seen_by_opponent += 1

    def opened(self, table: Table) -> None:
        self.begun_at.append(table.sides[0].seq)

    def over(self, ended: Ended) -> None:
        self.ended.append(ended)


class Setting:
    """A table at a game whose last event is 2, both seats subscribed."""

    def __init__(self) -> None:
        self.house = FakeHouse()
        self.seats = (FakeSeat("ann"), FakeSeat("bob"))
        self.table = Table(self.house, self.seats)  # type: ignore[arg-type]
        self.seq = 2

    async def open(self) -> None:
        task = self.table.open()
        assert task is not None
        await task
        assert [seat.last for seat in self.seats] == [
            {"type": "subscribe", "game": "g", "after": 2}
        ] * 2
        for number in (0, 1):
            self.tell(number, type="resumed")

    def tell(self, number: int, **frame: Any) -> None:
        self.table.on_frame(number, Frame(**({"game": "g"} | frame)))

    def event(self, kind: str, **fields: Any) -> None:
        self.seq += 1
        for number in (0, 1):
            self.tell(number, type=kind, seq=self.seq, **fields)

    def played(self, ply: int) -> None:
        self.event("MovePlayed", ply=ply, uci=SCRIPT.moves[ply])


@pytest.fixture
async def setting(monkeypatch: pytest.MonkeyPatch) -> Setting:
    async def made(*_: Any, **__: Any) -> NewGame:
        return NewGame("g", 2)

    monkeypatch.setattr(bench.table, "new_game", made)
    setting = Setting()
    await setting.open()
    return setting


def wrongs(setting: Setting) -> Iterator[str]:
    return iter(setting.house.tally.wrong)


async def test_a_game_is_played_to_its_end(setting: Setting) -> None:
    """Each move follows the opponent's sight of the one before; then the loser resigns."""
    white, black = setting.seats
    assert white.last == {"type": "move", "id": "m0", "game": "g", "uci": "f2f3", "ply": 0}
    setting.played(0)
    assert black.last["uci"] == "e7e5"
    setting.played(1)
    setting.played(2)
    assert setting.house.moves == [0, 1, 2]
    assert setting.house.seen_by_opponent == 3
    assert white.last == {"type": "resign", "id": "resign", "game": "g"}
    setting.event("GameEnded", winner="black", termination="resignation")
    assert [(e.winner, e.ending) for e in setting.house.ended] == [("black", "resignation")]
    assert white.last["type"] == black.last["type"] == "unsubscribe"
    assert not setting.house.tally.wrong


async def test_who_watches_a_table_begins_where_its_players_do(setting: Setting) -> None:
    """The house hears of a game when the table follows it, and not the one before."""
    assert setting.house.begun_at == [2]


async def test_a_table_is_quiet_when_both_have_seen_the_last_move(setting: Setting) -> None:
    """Else a run would end with events under way, which its check would call missed."""
    setting.house.halted = True
    assert not setting.table.quiet  # the first move is unanswered
    setting.tell(0, type="MovePlayed", seq=3, ply=0, uci="f2f3")
    assert not setting.table.quiet
    setting.tell(1, type="MovePlayed", seq=3, ply=0, uci="f2f3")
    assert setting.table.quiet


async def test_the_next_move_waits_for_the_opponent(setting: Setting) -> None:
    """The mover's own event alone lets nobody go on."""
    setting.tell(0, type="MovePlayed", seq=3, ply=0, uci="f2f3")
    assert setting.seats[1].last["type"] == "subscribe"
    setting.tell(1, type="MovePlayed", seq=3, ply=0, uci="f2f3")
    assert setting.seats[1].last["type"] == "move"


@pytest.mark.parametrize(
    ("frame", "wrong"),
    [
        ({"seq": 4, "ply": 0, "uci": "f2f3"}, "event missing"),
        ({"seq": 2, "ply": 0, "uci": "f2f3"}, "event twice"),
        ({"seq": 3, "ply": 0, "uci": "a2a3"}, "another move than sent"),
        ({"seq": 3, "ply": 9, "uci": "f2f3"}, "another move than sent"),
    ],
)
async def test_a_wrong_event_is_noted(setting: Setting, frame: dict[str, Any], wrong: str) -> None:
    """A gap, a repeat or another move than was sent is counted as wrong."""
    setting.tell(0, type="MovePlayed", **frame)
    assert list(wrongs(setting)) == [wrong]


async def test_a_refused_move_ends_the_game_as_wrong(setting: Setting) -> None:
    """A script's moves are legal: a refusal is the server's fault and the game is given up."""
    setting.tell(0, type="rejected", id="m0", code="illegal_move")
    assert list(wrongs(setting)) == ["refused: illegal_move"]
    assert setting.house.ended[0].ending == ""


async def test_not_now_is_sent_again_under_its_own_id(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After "unavailable" the same frame goes out again, and nothing is counted as wrong."""
    loop, calls = asyncio.get_running_loop(), []
    monkeypatch.setattr(loop, "call_later", lambda _, call, *args: calls.append((call, args)))
    before = setting.seats[0].last
    setting.tell(0, type="rejected", id="m0", code="unavailable")
    ((call, args),) = calls
    call(*args)
    assert setting.seats[0].frames[-2:] == [before, before]
    assert setting.house.tally.counts["resent"] == 1
    assert not list(wrongs(setting))


async def test_a_lost_socket_resumes_and_repeats(setting: Setting) -> None:
    """A new socket asks for what it missed and repeats the unanswered move with its id."""
    setting.played(0)
    setting.table.on_lost(1)
    setting.table.on_back(1)
    resumed, repeated = setting.seats[1].frames[-2:]
    assert resumed == {"type": "subscribe", "game": "g", "after": 3}
    assert repeated == {"type": "move", "id": "m1", "game": "g", "uci": "e7e5", "ply": 1}
    assert setting.house.tally.counts["reconnects"] == 1


@pytest.mark.parametrize(
    "answer",
    [
        {"type": "accepted", "id": "m0", "seq": 3},
        {"type": "MovePlayed", "seq": 3, "ply": 0, "uci": "f2f3"},
    ],
)
async def test_an_answered_move_is_not_repeated(setting: Setting, answer: dict[str, Any]) -> None:
    """What has its event, or its acceptance, stays sent once."""
    setting.tell(0, **answer)
    setting.table.on_lost(0)
    setting.table.on_back(0)
    assert [frame["type"] for frame in setting.seats[0].frames] == [
        "subscribe",
        "move",
        "subscribe",
    ]


async def test_silence_is_broken_after_a_while(setting: Setting) -> None:
    """A command without an answer is repeated after seconds, not before."""
    now = asyncio.get_running_loop().time()
    sent = len(setting.seats[0].frames)
    setting.table.sweep(now)
    assert len(setting.seats[0].frames) == sent
    setting.table.sweep(now + 60)
    assert setting.seats[0].last["id"] == "m0"
    assert len(setting.seats[0].frames) == sent + 1


async def test_an_end_that_does_not_come_is_wrong(setting: Setting) -> None:
    """After the last move a game must end; if it does not, that is noted and the table goes on."""
    for ply in range(3):
        setting.played(ply)
    setting.tell(0, type="accepted", id="resign", seq=6)
    setting.table.sweep(asyncio.get_running_loop().time() + 60)
    assert list(wrongs(setting)) == ["no end came"]


@pytest.mark.parametrize("answer", ["accepted", "MovePlayed"])
async def test_an_event_that_does_not_come_is_wrong(setting: Setting, answer: str) -> None:
    """If a move is acknowledged but a player never gets its event, the game is given up as wrong."""
    setting.tell(0, type=answer, id="m0", seq=3, ply=0, uci="f2f3")
    now = asyncio.get_running_loop().time()
    setting.table.sweep(now + 5)
    assert not list(wrongs(setting))
    setting.table.sweep(now + 60)
    assert list(wrongs(setting)) == ["accepted, but no event came"]


async def test_a_paced_move_counts_from_its_schedule(setting: Setting) -> None:
    """A move due while the one before is under way is made later, and counts from when it was due."""
    house, table = setting.house, setting.table
    house.paced = True
    early = table.due[0] - 7.0
    table.turn_due(early)
    assert setting.seats[1].last["type"] == "subscribe"
    setting.played(0)
    assert setting.seats[1].last["uci"] == "e7e5"
    assert table.due[1] == early
    assert table.sent[1] > early + 6


async def test_a_draw_is_offered_and_accepted(setting: Setting) -> None:
    """A game that its file calls agreed is: one offers, the other accepts that very offer."""
    house, table = setting.house, setting.table
    house.scripts = [SCRIPT._replace(ending="agreement", winner=None, moves=SCRIPT.moves[:2])]
    setting.tell(0, type="rejected", id="m0", code="illegal_move")  # give the first game up
    task = table._task
    assert task is not None
    await task
    setting.seq = 2
    for number in (0, 1):
        setting.tell(number, type="resumed")
    setting.played(0)
    setting.played(1)
    white, black = setting.seats
    assert white.last == {"type": "draw", "id": "draw", "game": "g"}
    setting.event("DrawOffered")
    assert black.last == {"type": "draw", "id": "accept", "game": "g", "accept": True, "offer": 5}
    assert white.last["id"] == "draw"
