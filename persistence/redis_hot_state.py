"""The hot state in Redis (or Valkey).

    game:{id}      epoch and seq (8 bytes each, big-endian), then the game as `hot_state.Warm`
    seqs:{p}       hash: listed game -> seq; under the empty name "epoch offset listed", the mark
    deadlines:{p}  sorted set: game -> ms since the epoch; under the empty name the mark's offset

The mark stands beside what it vouches for: no key can be lost without it, and a lost field is
noticed by its count. Each write and each read is one script, so nobody sees half of one. A script
reaches keys of many games, so it's one primary (with replicas, as many as you like), not a Redis
Cluster.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import deque
from collections.abc import Coroutine, Iterable, Sequence
from time import monotonic
from typing import Any, TypeVar

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from persistence.hot_state import Entry, Hot, Mark, Overtaken, Warm, Write
from persistence.log import Unavailable

T = TypeVar("T")

_log = logging.getLogger(__name__)
_READ_S = 0.3
"""So long a take-over waits for what was left of a partition..."""
_READS = 3
"""...and so many are asked for at a time: none waits behind all others."""
_PIECES = 10
_LOAD_S = 1.0
_LOAD = 500
_WRITE_S = 5.0
_BACKOFF_S = (0.25, 30.0)
_HEAD = struct.Struct(">QQ")
_LENGTH = struct.Struct(">I")
_OLDER = -1
_MISFIT = 0

_MARK = """
local function mark_of(seqs)
  local e, o, n = string.match(redis.call('HGET', seqs, '') or '', '^(%d+) (%d+) (%d+)$')
  return tonumber(e), tonumber(o), tonumber(n)
end
local function whole(seqs, deadlines, offset, listed)
  return redis.call('HLEN', seqs) == listed + 1
    and tonumber(redis.call('ZSCORE', deadlines, '') or -1) == offset
end
local function held(game)
  local head = redis.call('GETRANGE', 'game:' .. game, 0, 15)
  if #head == 16 then return struct.unpack('>I8I8', head) end
  return -1, -1
end
local function fields(blob, each)
  local at = 1
  return function()
    if at <= #blob then
      local row, field = {}, nil
      for i = 1, each do
        field, at = struct.unpack('>I4c0', blob, at)
        row[i] = field
      end
      return row
    end
  end
end
"""
"""What is common to the scripts. `fields` cuts what `_framed` puts together."""

_READ = (
    _MARK
    + """
local seqs, deadlines = KEYS[1], KEYS[2]
local epoch, offset, listed = mark_of(seqs)
if not epoch or not whole(seqs, deadlines, offset, listed) then return false end
local games = redis.call('HGETALL', seqs)
for i = 1, #games, 2 do
  if games[i] ~= '' then
    local _, seq = held(games[i])
    if seq < tonumber(games[i + 1]) then return false end
  end
end
return {epoch, offset, listed, cmsgpack.pack(games),
  cmsgpack.pack(redis.call('ZRANGE', deadlines, 0, -1, 'WITHSCORES'))}
"""
)

_WRITE = (
    _MARK
    + """
local seqs, deadlines = KEYS[1], KEYS[2]
local epoch, offset, base = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local e, o, n = mark_of(seqs)
if e and (e > epoch or (e == epoch and o > offset)) then return -1 end
if base == '' then
  redis.call('DEL', seqs, deadlines)
elseif not e or base ~= string.format('%.0f %.0f %.0f', e, o, n)
    or not whole(seqs, deadlines, o, n) then
  return 0
end
for each in fields(ARGV[6], 2) do redis.call('ZADD', deadlines, each[2], each[1]) end
for each in fields(ARGV[4], 6) do
  local game, seq, value, listed, deadline, ttl = unpack(each)
  local there_epoch, there_seq = held(game)
  if there_epoch < epoch or (there_epoch == epoch and there_seq <= tonumber(seq)) then
    redis.call('SET', 'game:' .. game, value, 'EX', ttl)
  end
  if listed == '1' then
    redis.call('HSET', seqs, game, seq)
  else
    redis.call('HDEL', seqs, game)
  end
  if deadline ~= '' then
    redis.call('ZADD', deadlines, deadline, game)
  else
    redis.call('ZREM', deadlines, game)
  end
end
for each in fields(ARGV[5], 1) do redis.call('HDEL', seqs, each[1]) end
redis.call('HDEL', seqs, '')
local now = redis.call('HLEN', seqs)
redis.call('HSET', seqs, '', ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. string.format('%.0f', now))
redis.call('ZADD', deadlines, ARGV[2], '')
return now + 1
"""
)

_DROP = (
    _MARK
    + """
local e, o = mark_of(KEYS[1])
if e == tonumber(ARGV[1]) and o == tonumber(ARGV[2]) then
  for _, game in ipairs(redis.call('HKEYS', KEYS[1])) do redis.call('DEL', 'game:' .. game) end
  redis.call('DEL', KEYS[1], KEYS[2])
end
"""
)

_pack = msgspec.msgpack.Encoder().encode
_warm = msgspec.msgpack.Decoder(Warm).decode
_texts = msgspec.msgpack.Decoder(list[str]).decode


class RedisHotState:
    """`persistence.hot_state.HotState` in Redis. Belongs to one event loop.

    After a failure nobody waits for it for a while, which grows while it goes on to fail.
    """

    def __init__(self, url: str) -> None:
        """Connect to `url` (redis://, rediss://, unix://) when first needed."""
        self._redis = Redis.from_url(url, retry=Retry(NoBackoff(), 0))
        self._read = self._redis.register_script(_READ)
        self._write = self._redis.register_script(_WRITE)
        self._drop = self._redis.register_script(_DROP)
        self._asked: deque[tuple[Sequence[str], asyncio.Future[dict[str, Warm]]]] = deque()
        self._loading: asyncio.Task[None] | None = None
        self._reading = asyncio.Semaphore(_READS)
        self._pause = 0.0
        self._until = 0.0

    @property
    def healthy(self) -> bool:
        """See `HotState.healthy`."""
        return monotonic() >= self._until

    async def _within(self, seconds: float, asked: Coroutine[Any, Any, T]) -> T:
        """Wait so long for Redis at most; whatever it raises is `Unavailable`."""
        if not self.healthy:
            asked.close()
            raise Unavailable("Redis is away")
        try:
            answer = await _patiently(seconds, asked)
        except (RedisError, OSError) as error:
            if not self._pause:
                _log.warning("Redis is away: %s", error or "no answer in time")
            self._pause = min(max(2 * self._pause, _BACKOFF_S[0]), _BACKOFF_S[1])
            self._until = monotonic() + self._pause
            raise Unavailable(str(error) or "no answer in time") from error
        if self._pause:
            _log.warning("Redis is back")
            self._pause = 0.0
        return answer

    async def read(self, partition: int) -> Hot | None:
        """See `HotState.read`."""
        async with self._reading:
            found: Any = await self._within(_READ_S, self._read(keys=_keys(partition)))
        if found is None:
            return None
        try:
            games, deadlines = _texts(found[3]), _texts(found[4])
            return Hot(
                Mark(*found[:3]),
                {games[i]: int(games[i + 1]) for i in range(0, len(games), 2) if games[i]},
                [
                    (deadlines[i], int(float(deadlines[i + 1])))
                    for i in range(0, len(deadlines), 2)
                    if deadlines[i]
                ],
            )
        except (msgspec.DecodeError, ValueError) as error:
            _log.warning("partition %d: what Redis has isn't ours: %s", partition, error)
            return None

    async def load(self, games: Sequence[str]) -> dict[str, Warm]:
        """See `HotState.load`. What is asked for while an answer is awaited goes together then."""
        loaded: asyncio.Future[dict[str, Warm]] = asyncio.get_running_loop().create_future()
        self._asked.append((games, loaded))
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
        return await loaded

    async def _load(self) -> None:
        try:
            while self._asked:
                asked = [self._asked.popleft()]
                names = list(asked[0][0])
                while self._asked and len(names) + len(self._asked[0][0]) <= _LOAD:
                    asked.append(self._asked.popleft())
                    names += asked[-1][0]
                await self._answer(names, asked)
        finally:
            self._loading = None

    async def _mget(self, keys: list[str]) -> Any:
        return await self._redis.mget(keys)

    async def _answer(
        self,
        names: Sequence[str],
        asked: Sequence[tuple[Sequence[str], asyncio.Future[dict[str, Warm]]]],
    ) -> None:
        try:
            keys = [f"game:{game}" for game in names]
            values: Any = await self._within(_LOAD_S, self._mget(keys))
        except asyncio.CancelledError:
            for _, loaded in asked:
                loaded.cancel()
            raise
        except Unavailable as error:
            for _, loaded in asked:
                if not loaded.done():
                    loaded.set_exception(Unavailable(str(error)))
            return
        there = dict(zip(names, values, strict=True))
        for games, loaded in asked:
            if not loaded.done():
                loaded.set_result(
                    {
                        game: warm
                        for game in games
                        if there[game] is not None and (warm := _unpacked(there[game])) is not None
                    }
                )

    async def write(self, write: Write) -> Mark | None:
        """See `HotState.write`."""
        args = [
            write.epoch,
            write.offset,
            " ".join(map(str, write.base)) if write.base is not None else "",
            _framed(field for entry in write.games for field in _fields(entry)),
            _framed(game.encode() for game in write.gone),
            _framed(field for game, at in write.deadlines for field in (game.encode(), b"%d" % at)),
        ]
        answer: Any = await self._within(
            _WRITE_S, self._write(keys=_keys(write.partition), args=args)
        )
        if answer == _OLDER:
            raise Overtaken
        if answer == _MISFIT:
            return None
        return Mark(write.epoch, write.offset, answer - 1)

    async def drop(self, partition: int, mark: Mark) -> None:
        """See `HotState.drop`."""
        args = [mark.epoch, mark.offset]
        await self._within(_WRITE_S, self._drop(keys=_keys(partition), args=args))

    async def close(self) -> None:
        """See `HotState.close`."""
        if self._loading is not None:
            self._loading.cancel()
        await self._redis.aclose()


async def _patiently(seconds: float, asked: Coroutine[Any, Any, T]) -> T:
    """Wait for an answer, and count no time in which the loop itself didn't look for it.

    Raises:
        TimeoutError: If it doesn't come.
    """
    asking = asyncio.ensure_future(asked)
    try:
        for _ in range(_PIECES):
            done, _ = await asyncio.wait({asking}, timeout=seconds / _PIECES)
            if done:
                return asking.result()
    finally:
        asking.cancel()
    raise TimeoutError("no answer in time")


def _keys(partition: int) -> list[str]:
    return [f"seqs:{partition}", f"deadlines:{partition}"]


def _fields(entry: Entry) -> tuple[bytes, ...]:
    warm = entry.warm
    return (
        entry.game.encode(),
        b"%d" % warm.seq,
        _HEAD.pack(warm.epoch, warm.seq) + _pack(warm),
        b"1" if entry.listed else b"0",
        b"" if entry.deadline is None else b"%d" % entry.deadline,
        b"%d" % entry.ttl,
    )


def _framed(fields: Iterable[bytes]) -> bytes:
    """Join fields, each behind its length: one argument is cheaper than thousands."""
    return b"".join(part for field in fields for part in (_LENGTH.pack(len(field)), field))


def _unpacked(value: bytes) -> Warm | None:
    try:
        warm = _warm(value[_HEAD.size :])
    except msgspec.DecodeError:
        return None
    return warm if _HEAD.pack(warm.epoch, warm.seq) == value[: _HEAD.size] else None
