"""Clients behind gateways: they send, repeat until they are answered, and remember every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulation.truth import Told
from simulation.world import Violation

if TYPE_CHECKING:
    from simulation.system import System

PATIENCE = 45.0
"""So long a gateway waits for an answer before it asks again, in ms."""


class Gateway:
    """A copy of the routing table, which may be old."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.routes: dict[str, tuple[int, str]] = {}
        self.newest: dict[str, int] = {}

    def route(self, routes: dict[str, tuple[int, str]]) -> None:
        """Take a table, unless we are deaf just now; epochs only grow."""
        world = self.system.world
        if not world.calm and world.random() < world.weather.deaf:
            return
        for partition, (epoch, owner) in routes.items():
            if epoch > self.routes.get(partition, (0, ""))[0]:
                self.routes[partition] = epoch, owner

    def send(self, command: Command) -> None:
        """Pass a command on to the owner, as far as we know who it is."""
        _, owner = self.routes.get(command.partition, (0, ""))
        if owner:
            name, life = owner.split("/")
            self.system.world.send(self.system.shards[name].command, int(life), command)

    def lost(self) -> None:
        """Something is wrong with the table: ask for a new one."""
        self.system.world.send(self.system.coordinator.ask_routes, self)


class Command:
    """What a client wants. `value` is its key as well."""

    __slots__ = ("client", "game", "partition", "told", "tries", "value", "view")

    def __init__(self, client: Client, partition: str, game: str, value: bytes, view: bool) -> None:
        self.client, self.partition, self.game = client, partition, game
        self.value, self.view = value, view
        self.tries = 0
        self.told: Told | None = None


class Client:
    """One command after the other, each repeated until it's answered."""

    def __init__(self, system: System, gateway: Gateway, name: str, game: str, quota: int) -> None:
        self.system, self.world, self.gateway = system, system.world, gateway
        self.name, self.game, self.left = name, game, quota
        self.partition = game.split(".", maxsplit=1)[0]
        self.current: Command | None = None
        self.answered_commands: list[Command] = []
        self._sent = 0
        self.world.at(20.0 * self.world.random(), self._next)

    @property
    def done(self) -> bool:
        """Whether all of its commands are answered."""
        return self.current is None and self.left <= 0

    def _next(self) -> None:
        self.left -= 1
        fate = self.world.random()
        done = self.answered_commands
        if fate < 0.15 and done:  # a client that restarts repeats what was answered before
            old = done[int(self.world.random() * len(done))]
            command = Command(self, self.partition, self.game, old.value, old.view)
        else:
            self._sent += 1
            value = f"{self.name}.{self._sent}".encode()
            command = Command(self, self.partition, self.game, value, fate > 0.8)
        self.current = command
        self._send(command, 0)

    def _send(self, command: Command, tries: int) -> None:
        """Send, unless it was answered or sent again meanwhile."""
        if self.current is command and command.tries == tries:
            if tries & 1:
                self.gateway.lost()
            command.tries += 1
            self.gateway.send(command)
            self.world.at(PATIENCE, self._send, command, command.tries)

    def answered(self, command: Command, what: str, told: Told | None, epoch: int) -> None:
        """Take an answer; one of an older epoch than we know of isn't worth anything."""
        if self.current is not command:
            return
        if what != "done":
            self.world.at(14.0, self._send, command, command.tries)
            return
        newest = self.gateway.newest
        if epoch < newest.get(self.partition, 0):
            return
        newest[self.partition] = epoch
        assert told is not None
        command.told = told
        self.check(command)
        self.answered_commands.append(command)
        self.current = None
        if self.left > 0:
            self.world.at(40.0 * self.world.random(), self._next)
        else:
            self.system.client_done()

    def check(self, command: Command) -> None:
        """A repeat is answered as the first time."""
        told = command.told
        for other in self.answered_commands:
            if other.value == command.value and not command.view and other.told != told:
                raise Violation(f"{self.name}: {other.told} became {told}")
