"""A shard and a router over a real link in one loop, on a log in memory: what a caller may rely on."""

import asyncio
from collections import deque
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from memory import MemoryLog, MemoryStore
from system_of_tests import SECRET, Directory, Ear, running, until
from tally_game import behaviour

from runtime.asks import Away, Done, Missed, Refused
from runtime.config import LinkTls
from runtime.resync import SLICE
from runtime.router import Router
from runtime.settings import RouterSettings, ShardSettings
from runtime.shard import Shard
from runtime.table import Route, RoutingTable


async def test_a_command_is_answered_by_its_event_once_it_is_in_the_log():
    """The answer is the event, and the log has it by then."""
    async with running() as system:
        assert isinstance(await system.do("g1", "create"), Done)
        done = await system.do("g1", "add", amount=3)
        assert msgspec.json.decode(done.data)["amount"] == 3
        assert (await system.total("g1")).total == 3
        assert [r.seq for rs in system.log.records.values() for r in rs] == [1, 2]


async def test_nothing_is_said_before_it_is_durable():
    """While an append is in doubt, neither event, repeat, rejection, state nor history is told."""
    async with running(doubt_after=60.0) as system:
        await system.do("g1", "create")
        system.log.hold()
        ear = Ear()
        asked = [
            asyncio.create_task(work)
            for work in (
                system.do("g1", "add", amount=3, turn=0),
                system.do("g1", "add", amount=3, turn=0),
                system.do("g1", "add", amount=-1),
                system.router.state("g1", 3.0),
            )
        ]
        await until(lambda: system.log.held)
        opened = []
        system.router.watch("g1", None, ear, 3.0, opened.append)
        assert (await system.router.events("g1", 0, 0.0, 3.0)).seq == 1
        assert not opened
        assert not ear.heard
        assert not any(task.done() for task in asked)
        system.log.let_go()
        done, repeat, rejected, state = await asyncio.gather(*asked)
        assert (done.seq, done.repeated, repeat.seq, repeat.repeated) == (2, False, 2, True)
        assert rejected == Refused("negative", "Only upwards.")
        assert state.seq == 2
        await until(lambda: opened)


async def test_a_key_acts_once_and_only_for_its_own_command():
    """A repeat under a key gets the first answer, also after a take-over; another body is refused."""
    async with running() as system:
        await system.do("g1", "create")
        first = await system.do("g1", "add", key="k", amount=2)
        again = await system.do("g1", "add", key="k", amount=2)
        assert again == Done(first.seq, first.data, repeated=True)
        assert (await system.do("g1", "add", key="k", amount=5)).code == "key_reused"
        assert isinstance(await system.do("g1", "add", user="bob", key="k", amount=2), Done)
        old = system.shard
        await system.take_over()
        await old.stop(0.1)
        system.router.route(system.table)
        again = await system.do("g1", "add", key="k", amount=2)
        assert again == Done(first.seq, first.data, repeated=True)
        assert (await system.total("g1")).total == 4


@pytest.mark.parametrize(
    ("command", "fields"),
    [("add", {"amount": 3}), ("add", {"amount": 3, "turn": 0}), ("finish", {})],
)
async def test_what_was_done_unheard_is_answered_without_a_key_too(command, fields):
    """An owner that ends after the append and before the answer: the next one answers, and acts not."""
    async with running() as system:
        await system.do("g1", "create")
        old = system.shard
        for partition in old.partitions.values():
            partition.committed = lambda batch: None
        asked = asyncio.create_task(system.do("g1", command, **fields))
        await until(lambda: any(len(records) == 2 for records in system.log.records.values()))
        assert not asked.done()
        await system.take_over()
        system.router.route(system.table)
        done = await asked
        assert (done.seq, done.repeated, done.resent) == (2, True, True)
        missed = await system.router.events("g1", 0, 0.0, 3.0)
        assert len(missed.events) == 2
        await old.stop(0.1)


async def test_without_a_key_the_same_again_is_done_again():
    """Each command that a client sends without a key counts, and costs no memory if it's known again."""
    async with running() as system:
        await system.do("g1", "create")
        partition = system.partition("g1")
        assert [(await system.do("g1", "add", amount=2)).seq for _ in range(3)] == [2, 3, 4]
        marks = partition.cells["g1"].marks
        assert (await system.do("g1", "add", amount=2, turn=3)).seq == 5
        assert (await system.do("g1", "add", amount=2, turn=3)).repeated
        assert partition.cells["g1"].marks == marks
        assert (await system.total("g1")).total == 8


async def test_a_repeated_create_meets_its_own_game():
    """The same creation is answered again; another one of the same id is refused."""
    async with running() as system:
        first = await system.do("g1", "create", key="k")
        assert (await system.do("g1", "create", key="k")).data == first.data
        assert (await system.do("g1", "create", key="k", wake_after=9)).code == "key_reused"
        assert (await system.do("g1", "create", user="eve")).code == "game_exists"


@pytest.mark.parametrize("farewell", ["stop", "release", "none"])
async def test_every_acknowledged_event_survives_a_take_over(farewell):
    """Whatever was acknowledged is in the next owner's state, however the old one said goodbye."""
    async with running(snapshot_events=4) as system:
        for game in ("g1", "g2", "g3"):
            await system.do(game, "create")
        for i in range(11):
            assert isinstance(await system.do("g1", "add", amount=i), Done)
        await system.do("g2", "add", amount=5)
        old = system.shard
        if farewell == "stop":
            await old.stop(1.0)
            assert not any(system.log.checkpoints[p] < len(system.log.records[p]) for p in range(2))
        if farewell == "release":
            for partition in range(2):
                await old.release(partition, system.epoch, 1.0)
            assert not old.partitions
        await system.take_over()
        system.router.route(system.table)
        assert (await system.total("g1")).total == 55
        assert (await system.total("g2")).total == 5
        assert (await system.total("g3")).total == 0
        missed = await system.router.events("g1", 0, 0.0, 3.0)
        assert [msgspec.json.decode(e)["seq"] for e in missed.events] == list(range(1, 13))
        await old.stop(0.1)


async def test_an_owner_that_was_overtaken_appends_nothing_and_says_moved():
    """After a take-over the old owner's append fails, its answer is dropped, the command is retried."""
    async with running(doubt_after=60.0) as system:
        await system.do("g1", "create")
        old = system.shard
        system.log.hold()
        asked = asyncio.create_task(system.do("g1", "add", amount=3, turn=0))
        await until(lambda: system.log.held)
        await system.take_over()
        system.log.let_go()
        await until(lambda: len(old.partitions) < 2)
        system.router.route(system.table)
        done = await asked
        assert (done.seq, done.repeated, done.resent) == (2, False, True)
        assert (await system.total("g1")).total == 3
        await old.stop(0.1)


async def test_a_watch_survives_a_take_over_without_gap_or_repeat():
    """A listener hears each event once and in order, though the owner changed in between."""
    async with running() as system:
        await system.do("g1", "create")
        ear, opened = Ear(), []
        system.router.watch("g1", None, ear, 3.0, opened.append)
        await until(lambda: opened)
        assert opened[0].seq == 1
        for _ in range(3):
            await system.do("g1", "add")
        old = system.shard
        await system.take_over()
        await old.stop(0.1)
        system.router.route(system.table)
        for _ in range(3):
            await system.do("g1", "add")
        await until(lambda: len(ear.heard) == 6)
        assert ear.heard == [2, 3, 4, 5, 6, 7]


async def test_whoever_plays_after_a_take_over_waits_for_no_other_watch():
    """A command's event is heard with its answer, however many watches are to be taken up again."""
    async with running() as system:
        games = [f"g{n}" for n in range(10 * SLICE)]
        await asyncio.gather(*(system.do(game, "create") for game in games))
        ears, opened = {game: Ear() for game in games}, []
        for game, ear in ears.items():
            system.router.watch(game, None, ear, 3.0, opened.append)
        await until(lambda: len(opened) == len(games))
        old = system.shard
        await system.take_over()
        await old.stop(0.1)
        asked = {game: asyncio.ensure_future(system.do(game, "add")) for game in games[:2]}
        await asyncio.sleep(0)
        system.router.route(system.table)
        for game in games[2:4]:
            asked[game] = asyncio.ensure_future(system.do(game, "add"))
        for game, done in asked.items():
            assert (await done).seq == 2
            assert ears[game].heard == [2]


async def test_a_watch_that_began_before_the_table_was_known_is_answered_and_can_be_repeated():
    """Before there's a table a watch is `Away`; afterwards the same game is heard in full."""
    async with running() as system:
        await system.do("g1", "create")
        early = Router("early", SECRET, RouterSettings(), system.directory)
        table, system.table = system.table, RoutingTable(0, ())
        await early.start()
        ear, opened = Ear(), []
        early.watch("g1", None, ear, 3.0, opened.append)
        assert opened == [Away()]
        system.table = table
        early.route(table)
        early.watch("g1", None, ear, 3.0, opened.append)
        await until(lambda: len(opened) == 2)
        old = system.shard
        await system.take_over()
        await old.stop(0.1)
        for router in (system.router, early):
            router.route(system.table)
        await system.do("g1", "add")
        await until(lambda: ear.heard == [2])
        await early.close()


async def test_a_second_subscriber_gets_what_it_missed_then_what_comes():
    """`after` gives just the later events, from memory or from the store."""
    async with running(snapshot_events=3) as system:
        await system.do("g1", "create")
        for _ in range(9):
            await system.do("g1", "add")
        await until(lambda: "g1" in system.store.rows and system.store.rows["g1"].seq >= 9)
        for after in (0, 5, 9, 10):
            opened = []
            system.router.watch("g1", after, Ear(), 3.0, opened.append)
            await until(lambda opened=opened: opened)
            assert isinstance(opened[0], Missed)
            numbers = [msgspec.json.decode(e)["seq"] for e in opened[0].events]
            assert numbers == list(range(after + 1, 11))


async def test_a_long_poll_ends_with_the_next_event_or_with_nothing():
    """A poll waits for an event, and answers with none when its time is over."""
    async with running() as system:
        await system.do("g1", "create")
        poll = asyncio.create_task(system.router.events("g1", 1, 3.0, 3.0))
        await system.do("g1", "add")
        assert (await poll).seq == 2
        assert (await system.router.events("g1", 2, 0.02, 3.0)).events == []


async def test_a_game_that_raises_harms_nobody_else():
    """A failure in decide leaves the game as it was; one in evolve quarantines that game only."""
    async with running() as system:
        for game in ("g1", "g2"):
            await system.do(game, "create")
        assert (await system.do("g1", "add", fault="decide")).code == "game_failed"
        assert isinstance(await system.do("g1", "add", amount=2), Done)
        assert (await system.do("g1", "add", fault="evolve")).code == "game_failed"
        assert (await system.do("g1", "add")).code == "game_failed"
        assert isinstance(await system.do("g2", "add"), Done)
        old = system.shard
        await system.take_over()
        await old.stop(0.1)
        system.router.route(system.table)
        assert (await system.total("g1")).total == 2


async def test_a_deadline_is_met_also_after_a_take_over_and_after_passivation():
    """A game is woken by its owner at the time it named, whether it's in memory or not."""
    async with running(passivate_after=0.0) as system:
        await system.do("g1", "create", wake_after=60)
        await system.do("g2", "create", wake_after=100)
        poll = await system.router.events("g1", 1, 3.0, 3.0)
        assert msgspec.json.decode(poll.events[0])["type"] == "Woken"
        old = system.shard
        for partition in range(2):
            await old.release(partition, system.epoch, 1.0)
        await system.take_over()
        system.router.route(system.table)
        poll = await system.router.events("g2", 1, 3.0, 3.0)
        assert msgspec.json.decode(poll.events[0])["type"] == "Woken"
        await old.stop(0.1)


async def test_nobody_is_charged_for_an_outage():
    """A game that comes from the log after an outage is told once how long nobody owned it."""
    async with running() as system:
        await system.do("g1", "create")
        at = system.shard.partitions[0].now()
        old = system.shard
        system.log.outages = [(at + 1000, at + 8000)]
        await system.take_over()
        await old.stop(0.1)
        system.router.route(system.table)
        assert (await system.total("g1")).dead_ms == 7000


async def test_passive_games_come_back_as_they_were():
    """A packed game answers as if it had never left."""
    async with running(passivate_after=0.0, snapshot_events=2) as system:
        await system.do("g1", "create")
        await system.do("g1", "add", amount=4)
        partition = system.partition("g1")
        await until(lambda: partition.cells["g1"].clean)
        deque(partition.keeping.chores(), maxlen=0)
        assert "g1" not in partition.cells
        assert partition.residents.resting == 1
        assert (await system.total("g1")).total == 4
        assert isinstance(await system.do("g1", "add", amount=1), Done)


async def test_an_effect_reaches_its_game_once_though_it_was_sent_twice():
    """A take-over before the checkpoint sends the effect again; its key makes it act once."""
    async with running() as system:
        for game in ("g1", "g2"):
            await system.do(game, "create")
        await system.do("g1", "add", amount=7, to="g2")
        await until(
            lambda: any(
                r.game == "g2" and r.seq == 2 for rs in system.log.records.values() for r in rs
            )
        )
        old = system.shard
        await system.take_over()
        await old.stop(0.1)
        system.router.route(system.table)
        await until(lambda: not any(p.journal._unsent for p in system.shard.partitions.values()))
        assert (await system.total("g2")).total == 7


async def test_presence_is_what_all_gateways_together_say():
    """Watchers hear who is connected, wherever that is."""
    async with running() as system:
        await system.do("g1", "create")
        ear, opened = Ear(), []
        system.router.watch("g1", None, ear, 3.0, opened.append)
        await until(lambda: opened)
        system.router.attend("g1", ["ann"], 2)
        await until(lambda: ear.presences)
        assert ear.presences[-1] == {
            "type": "presence",
            "game": "g1",
            "seat0": True,
            "seat1": False,
            "watchers": 2,
        }


async def test_away_is_who_was_connected_and_is_no_more():
    """A player whose connection closed is away; one who never had any isn't."""
    async with running() as system:
        for game in ("g1", "g2"):
            await system.do(game, "create")
            ear, opened = Ear(), []
            system.router.watch(game, None, ear, 3.0, opened.append)
            await until(lambda opened=opened: opened)
            system.router.attend(game, ["ann", "bob"] if game == "g2" else ["ann"], 2)
            await until(lambda ear=ear: ear.presences)
            system.router.attend(game, ["ann"], 1)
            await until(lambda ear=ear: ear.presences[-1]["watchers"] == 1)
        stayed = msgspec.json.decode((await system.do("g1", "finish")).data)
        left = msgspec.json.decode((await system.do("g2", "finish")).data)
        assert stayed["away"] == {}
        assert list(left["away"]) == ["bob"]


async def test_a_log_that_does_not_answer_turns_commands_away_and_recovers_by_itself():
    """Commands get `Away` instead of waiting; once the log is back all goes on, nothing twice."""
    async with running(doubt_after=0.01) as system:
        await system.do("g1", "create")
        system.log.hold()
        first = asyncio.create_task(system.do("g1", "add", amount=1, turn=0))
        await until(lambda: system.log.held)
        await until(lambda: any(p.journal.stuck for p in system.shard.partitions.values()))
        assert isinstance(await system.do("g1", "add", amount=1, turn=0), Away)
        system.log.let_go()
        assert (await first).seq == 2
        assert (await system.do("g1", "add", amount=1, turn=0)).repeated
        assert (await system.total("g1")).total == 1


async def test_every_answer_frees_its_place_on_the_link():
    """Whatever kind of answer, at once or later: none is counted as unanswered afterwards."""
    async with running(link_commands=4) as system:
        opened = []
        for turn in range(10):
            await system.do("g1", "create")
            await system.do("g1", "add", key=f"k{turn}")
            await system.do("g1", "add", key=f"k{turn}")
            await system.do("g1", "add", amount=-1)
            await system.do("none", "add")
            await system.router.state("g1", 3.0)
            await system.router.events("g1", 0, 0.0, 3.0)
            await system.router.events("g1", 999, 0.01, 3.0)
            system.router.watch("g1", None, Ear(), 3.0, opened.append)
            await until(lambda turn=turn: len(opened) > turn)
        assert [link.unanswered for link in system.shard._links] == [0]


async def test_a_link_with_too_many_unanswered_commands_is_read_again_later():
    """A flood over the bound waits in the sender's socket, and all of it is answered in the end."""
    async with running(link_commands=8, doubt_after=60.0) as system:
        await system.do("g1", "create")
        system.log.hold()
        asked = [asyncio.create_task(system.do("g1", "add")) for _ in range(100)]
        await until(lambda: system.log.held)
        system.log.let_go()
        assert all(isinstance(answer, Done) for answer in await asyncio.gather(*asked))
        assert (await system.total("g1")).total == 100


async def test_a_stranger_to_the_secret_is_not_admitted():
    """A router with another secret gets no link."""
    async with running() as system:
        stranger = Router("x", b"another", RouterSettings(), system.directory)
        await stranger.start()
        assert isinstance(await stranger.state("g1", 0.3), Away)
        await stranger.close()


@pytest.mark.parametrize(
    ("game", "command", "fields", "code"),
    [
        ("none", "add", {}, "no_such_game"),
        ("g1", "sing", {}, "unknown_command"),
        ("g1", "add", {"amount": "x"}, "invalid_request"),
        ("g1", "add", {"amuont": 1}, "invalid_request"),
    ],
)
async def test_bad_commands_are_refused_by_name(game, command, fields, code):
    """Each kind of bad command has its own code."""
    async with running() as system:
        await system.do("g1", "create")
        assert (await system.do(game, command, **fields)).code == code


def certify(folder, name: str):
    """Make an authority's certificate that signs for itself, as files; enough for two ends."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / f"{name}.pem", folder / f"{name}.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return LinkTls(str(pem), str(private), str(pem))


async def test_links_can_be_encrypted(tmp_path):
    """With TLS set, a router of the same authority is served and one of another is not."""
    ours, theirs = certify(tmp_path, "ours"), certify(tmp_path, "theirs")
    log, store = MemoryLog(), MemoryStore()
    shard = Shard("s/1", {"tally": behaviour}, (log, store), None, SECRET, ShardSettings())
    address = await shard.start("127.0.0.1", ours.context(server=True))
    await shard.open(0, 1)
    table = RoutingTable(1, [Route(0, 1, "s", address)])
    answers = []
    for tls in (ours.context(server=False), theirs.context(server=False), None):
        router = Router("test", SECRET, RouterSettings(), Directory(lambda: table), tls)
        await router.start()
        answers.append(await router.state("g1", 0.5))
        await router.close()
    await shard.stop(1.0)
    assert answers[0] == Refused("no_such_game", "There is no such game.")
    assert answers[1:] == [Away(), Away()]
