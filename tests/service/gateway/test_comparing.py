"""All live games compared, over real stores; gateways are played by a server of a few lines."""

import asyncio
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import psycopg
import pytest
from told_games import cell_of, events_of, history_of, shown, state_of, warm_game
from typer.testing import CliRunner

from gateway.check import stepped
from gateway.cli import app
from gateway.comparing import Comparison
from gateway.installed import DataDirectory, Running
from gateway.tier_reading import Away
from gateway.told import tell
from persistence.hot_state import Entry, Write
from persistence.redis_hot_state import RedisHotState
from runtime.partitions import partition_of

GAME = "game-1"
HERE = partition_of(GAME, 4)


class Gateways:
    """What players see: a game's JSON, or a status."""

    def __init__(self) -> None:
        self.games: dict[str, bytes | int] = {}
        self.refusals = 0

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        found = self.games.get(request.path.removeprefix("/games/"), 404)
        if request.path == "/shards":
            found = b'{"partitions":0,"shards":[],"operation":null,"unsettled":0}'
        if self.refusals:
            self.refusals -= 1
            found = 429
        body = b"{}" if isinstance(found, int) else found
        request.send_response(found if isinstance(found, int) else 200)
        request.send_header("Retry-After", "0")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


@pytest.fixture
def gateways():
    """A server on loopback."""
    gateways = Gateways()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            gateways.answer(self)

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    gateways.url = f"http://127.0.0.1:{server.server_port}"
    yield gateways
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.fixture
def system(dsn, valkey, redis, gateways):
    """A game of 9 events: 6 are saved, the log has the last 5, Redis has 8, players see 9."""
    with psycopg.connect(dsn, autocommit=True) as sql:
        system = System(sql, valkey.url, Running(gateways.url, 1, dsn, "", "", None, valkey.url))
        system.gateways = gateways
        system.save(GAME, 6)
        for offset, seq in enumerate(range(5, 10)):
            system.log(offset, GAME, seq)
        system.warm(GAME, 8, 6)
        gateways.games[GAME] = shown(GAME, 9)
        yield system


class System:
    def __init__(self, sql, redis: str, running: Running) -> None:
        self.sql = sql
        self.redis = redis
        self.running = running

    def save(self, game: str, seq: int, status: str = "started") -> None:
        self.sql.execute(
            "INSERT INTO games (id, partition, kind, seq, status, moves, seats, taken_at, state,"
            " history) VALUES (%s, %s, 'nim', %s, %s, 0, '[]', 0, %s, %s)",
            (game, partition_of(game, 4), seq, status, state_of(game, seq), history_of(game, seq)),
        )

    def log(self, offset: int, game: str, seq: int) -> None:
        partition = partition_of(game, 4)
        self.sql.execute(
            "INSERT INTO events VALUES (%s, %s, %s, %s, '', %s,"
            " (extract(epoch FROM now()) * 1000)::int8)",
            (partition, offset, game, seq, events_of(game, seq)[-1]),
        )
        self.sql.execute(
            "UPDATE partitions SET head = greatest(head, %s) WHERE id = %s", (offset + 1, partition)
        )

    def warm(self, game: str, seq: int, saved: int, partition: int = HERE) -> None:
        async def write() -> None:
            hot = RedisHotState(self.redis)
            entry = Entry(game, warm_game(game, seq, saved), True, None, 60)
            assert await hot.write(Write(partition, 1, 5, None, [entry]))
            await hot.close()

        asyncio.run(write())

    def found(self) -> tuple[list[str], list[str]]:
        """What is wrong, and what is well."""
        findings = list(stepped(Comparison(self.running).findings))
        wrong = [each.what for each in findings if not each.well]
        return wrong, [each.what for each in findings if each.well]


def test_a_healthy_system_is_well_though_tiers_are_behind(system):
    """Who is behind is said, with how far, and which tiers were compared."""
    system.save("ended", 5, "ended")
    assert system.found() == (
        [],
        [
            "snapshots: behind the log in 1 games, by 3 events at most",
            "Redis: behind the log in 1 games, by 1 events at most",
            "1 games were compared in the log, snapshots, Redis and what players see",
        ],
    )


def test_a_doctored_event_of_the_log_is_found(system):
    """It's named with game and seq, and so is what doesn't fit to it any more."""
    other = events_of(GAME, 6)[-1].replace(b"bob", b"eve")
    system.sql.execute("UPDATE events SET value = %s WHERE seq = 6", (other,))
    wrong, _ = system.found()
    assert wrong == [f"game {GAME}: other in the log than in the history: seq 6"]


def test_a_lost_end_of_the_log_is_found(system):
    """What was acknowledged is ahead of what is there."""
    system.sql.execute("DELETE FROM events WHERE seq > 7")
    wrong, _ = system.found()
    assert wrong == [
        f"game {GAME}: Redis ahead: seq 8, but the log and the history end at 7",
        f"game {GAME}: GET ahead: seq 9, but the log and the history end at 7",
    ]


def test_a_doctored_snapshot_is_found(system):
    """Its state, and its history."""
    other = cell_of(GAME, 6)
    other.state.pile = 1
    system.sql.execute("UPDATE games SET state = %s", (other.pack(),))
    [wrong], _ = system.found()
    assert wrong.startswith(f"game {GAME}: snapshots differs from the events at seq 6: pile 1")
    system.sql.execute(
        "UPDATE games SET state = %s, history = %s", (state_of(GAME, 6), history_of("other", 6))
    )
    wrong, _ = system.found()
    assert f"game {GAME}: other in the log than in the history: seq 5, 6" in wrong


def test_a_doctored_redis_is_found(system):
    """A state that the events don't make."""
    value = warm_game(GAME, 8, 6)
    other = cell_of(GAME, 8)
    other.state.pile = 1

    async def write() -> None:
        hot = RedisHotState(system.redis)
        warm = value.__class__(2, 8, 6, False, other.pack(), value.tail)
        assert await hot.write(Write(HERE, 2, 5, None, [Entry(GAME, warm, True, None, 60)]))
        await hot.close()

    asyncio.run(write())
    [wrong], _ = system.found()
    assert wrong.startswith(f"game {GAME}: Redis differs from the events at seq 8: pile 1")


def test_a_game_that_is_only_in_redis_is_found(system):
    """It was told to somebody, and nothing durable knows of it."""
    ghost = next(f"ghost-{n}" for n in range(99) if partition_of(f"ghost-{n}", 4) != HERE)
    system.warm(ghost, 3, 0, partition_of(ghost, 4))
    wrong, _ = system.found()
    assert f"game {ghost}: Redis ahead: seq 3, but the log and the history end at 0" in wrong


def test_what_players_see_must_be_what_is_stored(system):
    """Neither another state, nor an older one than is stored, nor none."""
    games = system.gateways.games
    games[GAME] = shown(GAME, 9).replace(b'"pile":893', b'"pile":5')
    [wrong], _ = system.found()
    assert wrong == f"game {GAME}: GET differs from the events at seq 9: pile 5 instead of 893"
    games[GAME] = shown(GAME, 7)
    [wrong], _ = system.found()
    assert wrong == f"game {GAME}: GET: at seq 7, though seq 8 was stored before"
    games[GAME] = 404
    [wrong], _ = system.found()
    assert wrong == f"game {GAME}: GET: at seq 0, though seq 8 was stored before"
    games[GAME] = 503
    wrong, _ = system.found()
    assert wrong == ["games that the gateways don't show: 1"]


def test_whoever_is_asked_to_wait_waits(system):
    """A gateway's limits are kept, and no game is left out for them."""
    system.gateways.refusals = 3
    assert system.found()[0] == []


def test_a_game_that_is_in_the_log_only_is_compared(system):
    """One that was never saved; and many of them, page by page."""
    names = [name for n in range(2000) if partition_of(name := f"n{n}", 4) == HERE][:230]
    for offset, name in enumerate(names, 5):
        system.log(offset, name, 1)
        system.gateways.games[name] = shown(name, 1)
    system.gateways.games[names[-1]] = shown(names[-1], 2)
    wrong, well = system.found()
    assert wrong == [f"game {names[-1]}: GET ahead: seq 2, but the log and the history end at 1"]
    assert well[-1].startswith("231 games were compared")


@pytest.mark.parametrize("tier", ["postgres", "redis", "gateways"])
def test_a_tier_that_is_away_is_said_and_the_others_are_compared(system, tier):
    """No traceback; without Postgres nothing can be compared."""
    away = {
        "postgres": {"dsn": "host=127.0.0.1 port=1 dbname=x"},
        "redis": {"redis": "redis://127.0.0.1:1/0"},
        "gateways": {"url": "http://127.0.0.1:1"},
    }[tier]
    system.running = msgspec.structs.replace(system.running, **away)
    wrong, well = system.found()
    words = {
        "postgres": "connection",
        "redis": "Redis can't be read",
        "gateways": "the gateways can't be read",
    }
    assert len(wrong) == 1
    assert words[tier] in wrong[0]
    assert bool(well) == (tier != "postgres")


def test_replay_tells_a_game_from_every_tier(system):
    """Each source as it has it, all of them together, and who is behind."""
    told = asyncio.run(tell(system.running, GAME))
    events = events_of(GAME, 9)
    assert told.verdict.replay.events == events
    assert list(told.verdict.differs) == []
    assert told.events == {
        "snapshots": list(enumerate(events[:6], 1)),
        "redis": list(enumerate(events[6:8], 7)),
        "log": list(enumerate(events[4:], 5)),
    }
    assert told.lines() == [
        "9 events: 6 in the stored history, 2 in the hot state, 5 in the log",
        "snapshots: at seq 6, 3 behind",
        "Redis: at seq 8, 1 behind",
        "GET: at seq 9",
    ]


def test_replay_of_a_doctored_game_says_what_differs(system):
    """Wherever it was doctored."""
    system.gateways.games[GAME] = shown(GAME, 9).replace(b'"pile":893', b'"pile":5')
    [wrong] = asyncio.run(tell(system.running, GAME)).verdict.differs
    assert wrong == "GET differs from the events at seq 9: pile 5 instead of 893"


def test_replay_without_postgres_is_an_error_with_words(system):
    """Where the history is, and where the log's partition is known."""
    running = msgspec.structs.replace(system.running, dsn="host=127.0.0.1 port=1 dbname=x")
    with pytest.raises(Away, match=r"^Postgres can't be read: connection"):
        asyncio.run(tell(running, GAME))


@pytest.fixture
def command(system, tmp_path):
    """Runs a command of `gameshard` on the system's data directory."""
    data = DataDirectory(tmp_path)
    data.announce(msgspec.structs.replace(system.running, pid=os.getpid()))
    runner = CliRunner()
    return lambda *words: runner.invoke(app, [*words, "--data", str(tmp_path)])


def test_the_doctor_ends_with_1_if_anything_differs(system, command):
    """And with 0 if tiers are only behind; each difference is named with game and seq."""
    done = command("doctor")
    assert done.exit_code == 0, done.output
    assert "Redis: behind the log in 1 games" in done.output
    system.sql.execute("DELETE FROM events WHERE seq > 8")
    done = command("doctor")
    assert done.exit_code == 1
    assert f"game {GAME}: GET ahead: seq 9" in done.output


def test_replay_shows_one_tier_or_all(system, command):
    """As lines of JSON, with what is where beside them; 1 if something differs, or isn't there."""
    lines = [event.decode() for event in events_of(GAME, 9)]
    done = command("replay", GAME)
    assert (done.exit_code, done.stdout.splitlines()) == (0, lines)
    assert "Redis: at seq 8, 1 behind" in done.stderr
    for source, shown_lines in (
        ("log", lines[4:]),
        ("snapshots", lines[:6]),
        ("redis", lines[6:8]),
    ):
        done = command("replay", GAME, "--from", source)
        assert (done.exit_code, done.stdout.splitlines()) == (0, shown_lines)
    done = command("replay", GAME, "--from", "outbox")
    assert done.exit_code == 1
    assert "There is no outbox in this system." in done.stderr
    done = command("replay", "nobody")
    assert done.exit_code == 1
    assert "There is no game 'nobody'" in done.stderr
    system.sql.execute("DELETE FROM events WHERE seq > 8")
    done = command("replay", GAME)
    assert done.exit_code == 1
    assert "wrong: GET ahead: seq 9" in done.stderr
