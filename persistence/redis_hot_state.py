"""The hot state in Redis (or Valkey).

    game:{id}      epoch and seq (8 bytes each, big-endian), then the game as `hot_state.Warm`
    seqs:{p}       hash: listed game -> seq; under the empty name "epoch offset listed", the mark
    deadlines:{p}  sorted set: game -> ms since the epoch; under the empty name the mark's offset

The mark stands beside what it vouches for: no key can be lost without it, and a lost field is
noticed by its count. Each write and each read is one script (`redis_scripts`), so nobody sees
half of one. A script reaches keys of many games, so it's one primary (with replicas, as many as
you like), not a Redis Cluster.
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
from persistence.redis_scripts import DROP, READ, WRITE

T = TypeVar("T")

_log = logging.getLogger(__name__)
_READ_S = 0.3
"""So long a take-over waits for what was left of a partition..."""
_READS = 3
"""...and so many are asked for at a time: none waits behind all others."""
_TURN_S = 2.0
"""A partition whose turn doesn't come so soon is opened without."""
_PIECES = 10
_LOAD_S = 1.0
_LOAD = 500
_WRITE_S = 5.0
_BACKOFF_S = (0.25, 30.0)
_HEAD = struct.Struct(">QQ")
_LENGTH = struct.Struct(">I")
_OLDER = -1
_MISFIT = 0

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
        self._read = self._redis.register_script(READ)
        self._write = self._redis.register_script(WRITE)
        self._drop = self._redis.register_script(DROP)
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
        try:
            async with asyncio.timeout(_TURN_S), self._reading:
                found: Any = await self._within(_READ_S, self._read(keys=_keys(partition)))
        except TimeoutError as error:
            raise Unavailable("Redis is slow") from error
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
        except Exception as error:  # noqa: BLE001  (whoever asked would wait for ever)
            if not isinstance(error, Unavailable):
                _log.exception("the hot state can't be read")
            for _, loaded in asked:
                if not loaded.done():
                    loaded.set_exception(Unavailable(str(error)))
            return
        there = {
            game: warm
            for game, value in zip(names, values, strict=True)
            if value is not None and (warm := _unpacked(value)) is not None
        }
        for games, loaded in asked:
            if not loaded.done():
                loaded.set_result({game: there[game] for game in games if game in there})

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
    asking.add_done_callback(_hear)  # also what comes when nobody waits any more
    try:
        for _ in range(_PIECES):
            done, _ = await asyncio.wait({asking}, timeout=seconds / _PIECES)
            if done:
                return asking.result()
    finally:
        asking.cancel()
    raise TimeoutError("no answer in time")


def _hear(asking: asyncio.Future[Any]) -> None:
    if not asking.cancelled():
        asking.exception()


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
    head, body = value[: _HEAD.size], value[_HEAD.size :]
    try:
        warm = _warm(body)
    except msgspec.DecodeError:
        return None
    return warm if _HEAD.unpack(head) == (warm.epoch, warm.seq) else None
