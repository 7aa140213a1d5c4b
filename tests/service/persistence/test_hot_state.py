"""The hot state in a real Valkey: what counts, what proves complete, and what is never believed."""

import pytest

from persistence.hot_state import Entry, Mark, Overtaken, Warm, Write
from persistence.log import Unavailable
from persistence.redis_hot_state import RedisHotState


@pytest.fixture
async def hot(valkey, redis):
    state = RedisHotState(valkey.url)
    yield state
    await state.close()


def entry(game: str, seq: int, epoch: int = 1, *, listed: bool = True, deadline=None, ttl=100):
    return Entry(game, Warm(epoch, seq, 0, False, b"\0state", b"{}\n" * seq), listed, deadline, ttl)


def whole(*games: Entry, epoch: int = 1, offset: int = 10, deadlines=()) -> Write:
    return Write(3, epoch, offset, None, games, deadlines=deadlines)


def more(base, *games: Entry, offset: int, gone=()) -> Write:
    return Write(3, base.epoch, offset, base, games, gone)


async def test_what_was_written_is_read(hot):
    """Mark, listed games, deadlines and the games themselves come back as they were."""
    games = [entry("a", 2, deadline=1_764_000_000_123), entry("ü b", 3, listed=False)]
    mark = await hot.write(whole(*games, deadlines=[("rests", 5), ("a", 6)]))
    left = await hot.read(3)
    assert mark == left.mark == Mark(1, 10, 1)
    assert left.games == {"a": 2}
    assert sorted(left.deadlines) == [("a", 1_764_000_000_123), ("rests", 5)]
    assert await hot.load(["a", "ü b", "missing"]) == {each.game: each.warm for each in games}
    assert await hot.read(4) is None


async def test_a_later_write_changes_only_what_it_names(hot):
    """Games come, advance and go; the mark tells up to where."""
    mark = await hot.write(whole(entry("a", 1, deadline=7), entry("b", 1), entry("c", 1)))
    mark = await hot.write(more(mark, entry("a", 2), entry("d", 1), offset=13, gone=["b"]))
    left = await hot.read(3)
    assert left.mark == mark == Mark(1, 13, 3)
    assert left.games == {"a": 2, "c": 1, "d": 1}
    assert left.deadlines == []


async def test_an_older_owner_changes_nothing(hot):
    """Neither its whole write nor its next one counts once a newer owner has written."""
    mark = await hot.write(whole(entry("a", 1), offset=10))
    newest = await hot.write(whole(entry("a", 5, epoch=2), epoch=2, offset=12))
    for late in (
        more(mark, entry("a", 2), offset=11),
        more(mark, entry("a", 9), offset=99),
        whole(entry("a", 9), offset=99),
    ):
        with pytest.raises(Overtaken):
            await hot.write(late)
    assert (await hot.read(3)).mark == newest
    assert (await hot.load(["a"]))["a"].epoch == 2


async def test_an_owner_never_goes_back(hot):
    """A write that comes late, after a newer one of the same owner, doesn't count."""
    mark = await hot.write(whole(entry("a", 3), offset=10))
    with pytest.raises(Overtaken):
        await hot.write(whole(entry("a", 2), offset=9))
    assert (await hot.read(3)).mark == mark


async def test_a_game_only_moves_forward(hot, redis):
    """Where the mark was lost, an older owner's write is no step back for a game."""
    await hot.write(whole(entry("a", 5, epoch=2), epoch=2, offset=12))
    await redis.delete("seqs:3")
    await hot.write(whole(entry("a", 4, epoch=1), epoch=1, offset=11))
    assert (await hot.load(["a"]))["a"].seq == 5


async def test_nothing_goes_on_after_a_wipe(hot, redis):
    """What a wiped server misses isn't known: only a whole write counts again."""
    mark = await hot.write(whole(entry("a", 1), entry("b", 1)))
    await redis.flushall()
    assert await hot.write(more(mark, entry("a", 2), offset=11)) is None
    assert await hot.read(3) is None
    assert await hot.write(whole(entry("a", 2), offset=11)) == Mark(1, 11, 1)


async def test_of_two_writers_with_one_base_one_goes_on(hot):
    """An incremental write counts on top of the one mark that it names."""
    mark = await hot.write(whole(entry("a", 1)))
    assert await hot.write(more(mark, entry("a", 2), offset=11)) is not None
    assert await hot.write(more(mark, entry("b", 1), offset=12)) is None
    assert (await hot.read(3)).games == {"a": 2}


@pytest.mark.parametrize("key", ["game:a", "seqs:3", "deadlines:3"])
async def test_a_lost_key_is_noticed(hot, redis, key):
    """Whatever is missing, what is left doesn't pass for complete."""
    mark = await hot.write(whole(entry("a", 1, deadline=5), entry("b", 1)))
    await redis.delete(key)
    assert await hot.read(3) is None
    if key != "game:a":
        assert await hot.write(more(mark, entry("b", 2), offset=11)) is None


async def test_a_lost_field_is_noticed(hot, redis):
    """The mark counts the listed games."""
    mark = await hot.write(whole(entry("a", 1), entry("b", 1)))
    await redis.hdel("seqs:3", "a")
    assert await hot.read(3) is None
    assert await hot.write(more(mark, entry("b", 2), offset=11)) is None


async def test_an_older_game_is_noticed(hot, redis):
    """A game that has fewer events than its partition promises doesn't pass."""
    await hot.write(whole(entry("a", 1)))
    older = await redis.get("game:a")
    mark = await hot.write(whole(entry("a", 2), offset=11))
    assert (await hot.read(3)).mark == mark
    await redis.set("game:a", older)
    assert await hot.read(3) is None


@pytest.mark.parametrize("value", [b"", b"x" * 40, b"\xff" * 16 + b"\x93\1\1"])
async def test_what_is_no_game_is_none(hot, redis, value):
    """A value that isn't ours isn't taken for one."""
    await redis.set("game:a", value)
    assert await hot.load(["a"]) == {}


async def test_what_isnt_ours_is_nothing(hot, redis):
    """Fields that nobody here writes make the whole of it worth nothing, and break nothing."""
    await hot.write(whole(entry("a", 1)))
    await redis.zadd("deadlines:3", {b"\xff\xfe": 1})
    assert await hot.read(3) is None
    assert hot.healthy


async def test_games_go_an_hour_after_their_end(hot, redis):
    """Each write says how long its game stays."""
    await hot.write(whole(entry("ended", 1, ttl=3600), entry("b", 1, ttl=86_400)))
    assert 3590 < await redis.ttl("game:ended") <= 3600
    assert await redis.ttl("game:b") > 80_000
    assert await redis.ttl("seqs:3") == -1


async def test_what_is_dropped_is_gone(hot, redis):
    """All that a mark vouched for goes, unless somebody has written since."""
    mark = await hot.write(whole(entry("a", 1)))
    newer = await hot.write(more(mark, entry("a", 2), offset=11))
    await hot.drop(3, mark)
    assert (await hot.read(3)).mark == newer
    await hot.drop(3, newer)
    assert await redis.keys() == []


async def test_a_server_that_is_away_isnt_waited_for(valkey, redis, monkeypatch):
    """It fails, then it's left alone for a while; afterwards it's asked again."""
    clock = [0.0]
    monkeypatch.setattr("persistence.redis_hot_state.monotonic", lambda: clock[0])
    hot = RedisHotState(valkey.url)
    valkey.stop()
    try:
        with pytest.raises(Unavailable):
            await hot.read(3)
        assert not hot.healthy
    finally:
        valkey.start()
    with pytest.raises(Unavailable):
        await hot.write(whole(entry("a", 1)))
    clock[0] = 60.0
    assert hot.healthy
    assert await hot.write(whole(entry("a", 1))) is not None
    assert hot.healthy
    await hot.close()
