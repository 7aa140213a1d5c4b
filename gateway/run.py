"""`gameshard run`: the whole system on one machine, from Postgres to gateways, until a signal."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
from msgspec import Struct

from gateway.archive_process import ArchiveProcess
from gateway.asked import Asked, Stopped
from gateway.events import Events
from gateway.hot import HotServer
from gateway.installed import DataDirectory, Running
from gateway.settings import GatewayConfig, GatewaySettings
from persistence.installation import Installation, Mismatch, install
from persistence.kafka.stores import KafkaSettings
from persistence.local.postgres import LocalPostgres, PostgresError
from persistence.local.server import ServiceError
from persistence.log import LogError, Unavailable
from runtime.cluster import Cluster
from runtime.config import ClusterConfig
from runtime.settings import OwnershipTiming, RaySettings, RouterSettings, ShardSettings
from runtime.starting import StartError

Say = Callable[[str], None]
_TEND_S = 0.5
_LOOK_EVERY = 10
_CONNECT_S = 10


class RunError(Exception):
    """The system can't run; the message says why and what to do."""


class RunOptions(Struct, frozen=True, kw_only=True):
    """What the command line decides. None: what the data has, or 8 partitions and 1 shard."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 8000
    shards: int | None = None
    gateways: int = 1
    partitions: int | None = None
    dsn: str | None = None
    kafka: KafkaSettings | None = None
    """Where events go if not into Postgres; without `servers` to a broker of our own."""
    redis: str | None = None
    """URL of a Redis for the hot state; empty: a Valkey of our own; None: there's none."""
    ray: RaySettings = RaySettings()
    url: str | None = None
    """Where the other commands find the gateways, if not at `host` and `port` of this machine."""
    gateway: GatewaySettings = GatewaySettings()
    shard: ShardSettings = ShardSettings()
    router: RouterSettings = RouterSettings()
    ownership: OwnershipTiming = OwnershipTiming()
    games: Mapping[str, Struct] = {}


class System:
    """Everything that `gameshard run` starts."""

    def __init__(self, options: RunOptions, say: Say, asked: Asked) -> None:
        """Prepare; `say` shows progress, `asked` tells whether to go on."""
        self._options = options
        self._say = say
        self._asked = asked
        self._data = DataDirectory(options.data)
        self._postgres: LocalPostgres | None = None
        self._events: Events | None = None
        self._hot: HotServer | None = None
        self._archive: ArchiveProcess | None = None
        self._cluster: Cluster | None = None
        self._port: socket.socket | None = None
        self._locked = False
        self._tended = 0
        self._noted = True
        self._trouble = ""
        self.url = ""

    def start(self) -> None:
        """Start everything; return when the first game can be played.

        Raises:
            RunError: If something can't start.
            Stopped: If the end was asked for meanwhile.
                Whatever had started is stopped again by `stop`, in either case.
        """
        self._locked = self._data.lock()
        if not self._locked:
            raise RunError(
                f"Another gameshard runs on {self._data.folder}. Stop it, or use another --data."
            )
        host, port = self._bind()
        dsn = self._options.dsn or self._start_postgres()
        kafka = self._start_events()
        config = self._config(dsn, self._install(dsn, kafka), kafka)
        self._prepare_events(config)
        gateway = GatewayConfig(
            cluster=config, host=host, port=port, settings=self._options.gateway
        )
        self._cluster = Cluster(config, ("gateway.service:GatewayService", gateway))
        address = self._start_cluster(self._cluster)
        self._start_archive(dsn, kafka)
        self._note_processes(self._cluster)
        self.url = self._options.url or _url(host, port)
        self._data.announce(
            Running(self.url, os.getpid(), dsn, config.namespace, address, kafka, config.redis)
        )

    def _step(self, what: str) -> None:
        """Begin a step of the start, if there's still a start."""
        self._asked.pause(0.0)
        self._say(what)

    def _config(self, dsn: str, partitions: int, kafka: KafkaSettings | None) -> ClusterConfig:
        return ClusterConfig(
            dsn=dsn,
            kafka=kafka,
            redis=self._start_hot(),
            ray=self._options.ray,
            host="" if self._options.ray.address else "127.0.0.1",
            secret=self._data.secret(),
            partitions=partitions,
            shards=self._options.shards,
            gateways=self._options.gateways,
            shard=self._options.shard,
            router=self._options.router,
            ownership=self._options.ownership,
            games=self._options.games,
        )

    def _start_cluster(self, cluster: Cluster) -> str:
        """Start Ray and what runs in it; return Ray's address."""
        self._step("Ray")
        try:
            try:
                address = cluster.start_ray()
            finally:
                self._asked.listen()  # again: Ray installs handlers of its own while it starts
            cluster.start(self._step, self._asked.pause)
        except StartError as error:
            raise RunError(str(error)) from error
        return address

    def _bind(self) -> tuple[str, int]:
        """Take the port now, so that a wrong one is told at once. It never listens: gateways do.

        In a Ray that isn't ours they may be on other machines, and those of before be there still.
        """
        host, port = self._options.host, self._options.port
        if self._options.ray.address:
            if not port:
                raise RunError("Gateways in another Ray need a port of their own: --port.")
            return host, port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._port = socket.socket(family)
            self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with socket.socket(family) as probe:  # without SO_REUSEPORT: fails if anybody listens
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
            self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._port.bind((host, port))
        except OSError as error:
            where = _url(host, port).removeprefix("http://")
            raise RunError(f"Can't listen on {where}: {error.strerror}. Use --port.") from error
        return self._port.getsockname()[:2]

    def _start_postgres(self) -> str:
        self._step("Postgres")
        self._postgres = LocalPostgres(self._data.postgres, pause=self._asked.pause)
        try:
            self._postgres.start()
        except (PostgresError, OSError) as error:
            raise RunError(f"Postgres can't start: {error}") from error
        return self._postgres.dsn

    def _start_events(self) -> KafkaSettings | None:
        if self._options.kafka is None:
            return None
        self._events = Events(self._data.folder / "kafka", self._options.kafka, self._say)
        if self._events.ours:
            self._step("Kafka")
        try:
            return self._events.start()
        except (ServiceError, OSError) as error:
            raise RunError(f"Kafka can't start: {error}") from error

    def _start_hot(self) -> str | None:
        if self._options.redis is None:
            return None
        self._hot = HotServer(self._data.folder / "valkey", self._options.redis, self._say)
        if self._hot.ours:
            self._step("Valkey")
        try:
            return self._hot.start()
        except (ServiceError, OSError) as error:
            raise RunError(f"Valkey can't start: {error}") from error

    def _prepare_events(self, config: ClusterConfig) -> None:
        if self._events is not None and config.kafka is not None:
            try:
                self._events.prepare(config.kafka, config.partitions, config.retention_days)
            except Unavailable as error:  # what is in the outbox can be played; the rest waits
                self._say(f"without Kafka for now: {error}")
            except LogError as error:
                raise RunError(f"Kafka can't be used: {error}") from error

    def _start_archive(self, dsn: str, kafka: KafkaSettings | None) -> None:
        """Archive games if Kafka is ours; beside an operator's own, they run their consumers."""
        if self._events is None or not self._events.ours or kafka is None:
            return
        self._step("the archive")
        self._archive = ArchiveProcess(self._data.folder / "archive", dsn, kafka, self._say)
        try:
            self._archive.start()
        except (ServiceError, OSError) as error:
            raise RunError(f"The archive can't start: {error}") from error

    def _install(self, dsn: str, kafka: KafkaSettings | None) -> int:
        """Bring the schema up to date; return how many partitions there are."""
        partitions = self._options.partitions
        if partitions is None:
            partitions = _stored_partitions(dsn) or 8
        try:
            log = "postgres" if kafka is None else "kafka"
            install(dsn, Installation("gameshard", partitions, log))
        except Mismatch as error:
            raise RunError(str(error)) from error
        except psycopg.Error as error:
            raise RunError(f"Postgres can't be used: {str(error).strip()}") from error
        return partitions

    def _note_processes(self, cluster: Cluster) -> None:
        """Tell the coordinator which processes only we know, for GET /shards."""
        processes: list[dict[str, object]] = [{"role": "run", "pid": os.getpid()}]
        if self._postgres is not None:
            processes.append({"role": "postgres", "pid": self._postgres.pid})
        if self._events is not None and self._events.pid is not None:
            processes.append({"role": "kafka", "pid": self._events.pid})
        if self._hot is not None and self._hot.pid is not None:
            processes.append({"role": "valkey", "pid": self._hot.pid})
        if self._archive is not None:
            processes.append(self._archive.describe())
        self._noted = cluster.note(processes)

    def tend(self) -> None:
        """Start Postgres again if it ended; Ray does the same for everything else.

        Whatever goes wrong is tried again the next time: as long as we run, the system does.

        Raises:
            Stopped: If the end was asked for meanwhile.
            RunError: If a Ray that isn't ours has ended on this machine.
        """
        self._tended += 1
        if self._tended % _LOOK_EVERY == 0 and self._cluster is not None:
            self._look(self._cluster)
            self._noted = False  # a coordinator that began anew knows of none of them
        if self._postgres is not None and not self._postgres.running:
            self._revive(self._postgres)
        if self._events is not None and self._events.tend():
            self._noted = False
        if self._hot is not None and self._hot.tend():
            self._noted = False
        if self._archive is not None and self._archive.tend():
            self._noted = False
        if not self._noted and self._cluster is not None:
            self._note_processes(self._cluster)

    def _look(self, cluster: Cluster) -> None:
        if not cluster.lives():
            raise RunError("Ray has ended on this machine. Start it, and this again.")

    def _revive(self, postgres: LocalPostgres) -> None:
        if not self._trouble:
            self._say("Postgres again, which had ended")
        try:
            postgres.start(postgres.port)  # where everybody looks for it
        except (PostgresError, OSError) as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._say(f"Postgres later: {error}")
        else:
            self._trouble = ""
            self._noted = False

    def stop(self) -> None:
        """Stop everything in order."""
        if self._locked:  # else it's another system's
            self._data.withdraw()
        try:
            if self._cluster is not None:
                self._cluster.stop(self._say)
                self._cluster.stop_ray()
        finally:
            if self._archive is not None:
                self._archive.stop()
            if self._postgres is not None:
                self._say("stopping Postgres")
                self._postgres.stop()
            if self._events is not None:
                self._events.stop()
            if self._hot is not None:
                self._hot.stop()
            if self._port is not None:
                self._port.close()
            self._data.unlock()


def run(options: RunOptions, say: Say, ready: Say) -> None:
    """Run the system until SIGINT or SIGTERM, which may come at any time.

    Raises:
        RunError: If it can't start.
    """
    with Asked() as asked:
        system = System(options, say, asked)
        try:
            system.start()
            asked.pause(0.0)
            ready(system.url)
            while not asked.wait(_TEND_S):
                system.tend()
        except (Stopped, SystemExit):  # the latter is a signal's, too: see `_start_cluster`
            pass
        finally:
            system.stop()


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _stored_partitions(dsn: str) -> int | None:
    try:
        with psycopg.connect(dsn, connect_timeout=_CONNECT_S) as connection:
            row = connection.execute("SELECT partitions FROM installation").fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    except psycopg.Error as error:
        raise RunError(f"Postgres can't be reached: {str(error).strip()}") from error
    return row[0] if row else None
