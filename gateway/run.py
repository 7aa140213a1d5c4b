"""`gameshard run`: the whole system on one machine, from Postgres to gateways, until a signal."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
from msgspec import Struct

from gateway.installed import DataDirectory, Running
from gateway.settings import GatewayConfig, GatewaySettings
from persistence.installation import Installation, Mismatch, install
from persistence.local.postgres import LocalPostgres, PostgresError
from runtime.cluster import Cluster
from runtime.config import COORDINATOR, ClusterConfig
from runtime.settings import OwnershipTiming, RouterSettings, ShardSettings

Say = Callable[[str], None]
_TEND_S = 0.5
_SERVED_S = 120.0


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
    gateway: GatewaySettings = GatewaySettings()
    shard: ShardSettings = ShardSettings()
    router: RouterSettings = RouterSettings()
    ownership: OwnershipTiming = OwnershipTiming()
    games: Mapping[str, Struct] = {}


class System:
    """Everything that `gameshard run` starts."""

    def __init__(self, options: RunOptions, say: Say) -> None:
        """Prepare; `say` shows progress."""
        self._options = options
        self._say = say
        self._data = DataDirectory(options.data)
        self._postgres: LocalPostgres | None = None
        self._cluster: Cluster | None = None
        self._port: socket.socket | None = None
        self._locked = False
        self.url = ""

    def start(self) -> None:
        """Start everything; return when the first game can be played.

        Raises:
            RunError: If something can't start. Whatever had started is stopped again by `stop`.
        """
        self._locked = self._data.lock()
        if not self._locked:
            raise RunError(
                f"Another gameshard runs on {self._data.folder}. Stop it, or use another --data."
            )
        self._bind()
        dsn = self._options.dsn or self._start_postgres()
        partitions = self._install(dsn)
        config = ClusterConfig(
            dsn=dsn,
            secret=self._data.secret(),
            partitions=partitions,
            shards=self._options.shards,
            gateways=self._options.gateways,
            shard=self._options.shard,
            router=self._options.router,
            ownership=self._options.ownership,
            games=self._options.games,
        )
        assert self._port is not None
        host, port = self._port.getsockname()[:2]
        gateway = GatewayConfig(
            cluster=config, host=host, port=port, settings=self._options.gateway
        )
        self._cluster = Cluster(config, ("gateway.service:GatewayService", gateway))
        self._say("Ray")
        address = self._cluster.start_ray()
        try:
            self._cluster.start(self._say)
        except TimeoutError as error:
            raise RunError("Not every partition has an owner. See: gameshard doctor") from error
        self._wait_until_served(self._cluster)
        self._note_processes()
        self.url = f"http://{host}:{port}"
        self._data.announce(Running(self.url, os.getpid(), dsn, config.namespace, address))

    def _bind(self) -> None:
        """Take the port now, so that a wrong one is told at once. It never listens: gateways do."""
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            with socket.socket() as probe:  # without SO_REUSEPORT: fails if anybody listens
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((self._options.host, self._options.port))
            self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._port.bind((self._options.host, self._options.port))
        except OSError as error:
            where = f"{self._options.host}:{self._options.port}"
            raise RunError(f"Can't listen on {where}: {error.strerror}. Use --port.") from error

    def _start_postgres(self) -> str:
        self._say("Postgres")
        self._postgres = LocalPostgres(self._data.postgres)
        try:
            self._postgres.start()
        except PostgresError as error:
            raise RunError(str(error)) from error
        return self._postgres.dsn

    def _install(self, dsn: str) -> int:
        """Bring the schema up to date; return how many partitions there are."""
        partitions = self._options.partitions
        if partitions is None:
            partitions = _stored_partitions(dsn) or 8
        try:
            install(dsn, Installation("gameshard", partitions))
        except (Mismatch, psycopg.OperationalError) as error:
            raise RunError(str(error).strip()) from error
        return partitions

    def _wait_until_served(self, cluster: Cluster) -> None:
        """Wait until every gateway reaches the owner of every partition."""
        self._say("partitions")
        until = time.monotonic() + _SERVED_S
        for name in cluster.gateway_names():
            while not cluster.call(name, "ready"):
                if time.monotonic() > until:
                    raise RunError("Not every partition has an owner. See: gameshard doctor")
                time.sleep(0.05)

    def _note_processes(self) -> None:
        processes: list[dict[str, object]] = [{"role": "run", "pid": os.getpid()}]
        if self._postgres is not None:
            processes.append({"role": "postgres", "pid": self._postgres.pid})
        assert self._cluster is not None
        self._cluster.call(COORDINATOR, "note_processes", processes)

    def tend(self) -> None:
        """Start Postgres again if it ended; Ray does the same for everything else."""
        if self._postgres is not None and not self._postgres.running:
            self._say("Postgres again, which had ended")
            try:
                self._postgres.start()
            except PostgresError as error:
                self._say(f"Postgres later: {error}")
            else:
                self._note_processes()

    def stop(self) -> None:
        """Stop everything in order."""
        if self._locked:  # else it's another system's
            self._data.withdraw()
        if self._cluster is not None:
            self._cluster.stop(self._say)
            self._cluster.stop_ray()
        if self._postgres is not None:
            self._say("stopping Postgres")
            self._postgres.stop()
        if self._port is not None:
            self._port.close()


def run(options: RunOptions, say: Say, ready: Say) -> None:
    """Run the system until SIGINT or SIGTERM.

    Raises:
        RunError: If it can't start.
    """
    asked = threading.Event()

    def ask(number: int, frame: object) -> None:
        del number, frame
        asked.set()

    def listen() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, ask)

    listen()
    system = System(options, say)
    try:
        system.start()
        listen()  # again: Ray installs handlers of its own while it starts
        if not asked.is_set():
            ready(system.url)
        while not asked.wait(_TEND_S):
            system.tend()
    finally:
        system.stop()


def _stored_partitions(dsn: str) -> int | None:
    try:
        with psycopg.connect(dsn) as connection:
            row = connection.execute("SELECT partitions FROM installation").fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    except psycopg.OperationalError as error:
        raise RunError(f"Postgres can't be reached: {error}") from error
    return row[0] if row else None
