"""compose.yaml against what the programs that it starts know; there needn't be a Docker."""

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest
import typer
import yaml
from ray.scripts import scripts as ray_cli

from gateway.cli import app
from gateway.settings import GatewaySettings
from persistence.kafka.stores import KafkaSettings
from persistence.local import java, postgres, valkey
from persistence.local.kafka_properties import COMMON, replication
from runtime.behaviours import settable
from runtime.settings import (
    NodeHealth,
    OwnershipTiming,
    RaySettings,
    RouterSettings,
    ShardSettings,
)

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = ("head", "worker", "gateway")
KAFKAS = ("kafka-1", "kafka-2", "kafka-3")
NOTHING_ELSE = {"GAMESHARD_LOG"}
"""Read by `runtime.host` itself."""
NOT_OF_A_CONTAINER = {
    "num.network.threads",
    "num.io.threads",
    "num.replica.fetchers",
    "offsets.topic.num.partitions",
    "transaction.state.log.num.partitions",
    "share.coordinator.state.topic.num.partitions",
    "log.cleaner.dedupe.buffer.size",
    "log.segment.bytes",
    "group.initial.rebalance.delay.ms",
}
"""Settings for two cores that are shared with everything else."""


def commands(service: str) -> Iterator[list[str]]:
    """The words of each program that a service of ours starts, as its shell sees them."""
    shell, flag, line = SERVICES[service]["command"]
    assert (shell, flag) == ("sh", "-c")
    for part in line.split("&&"):
        yield shlex.split(part.strip().removeprefix("exec ").replace("$$", "$"))


def parsed(program: click.Command, words: list[str]) -> dict[str, object]:
    """What a program makes of its words; it isn't run."""
    return program.make_context(program.name, list(words), resilient_parsing=False).params


def known() -> set[str]:
    """Every GAMESHARD_ variable that a setting or an option reads."""
    kinds = {
        "KAFKA": KafkaSettings,
        "RAY": RaySettings,
        "GATEWAY": GatewaySettings,
        "SHARD": ShardSettings,
        "ROUTER": RouterSettings,
        "OWNERSHIP": OwnershipTiming,
        **{kind.upper(): each for kind, each in settable().items()},
    }
    fields = {
        f"GAMESHARD_{prefix}_{field.name}".upper()
        for prefix, kind in kinds.items()
        for field in msgspec.structs.fields(kind)
    }
    run = typer.main.get_command(app).commands["run"]
    options = {option.envvar for option in run.params if option.envvar}
    return fields | options | NOTHING_ELSE


@pytest.mark.parametrize("service", OURS)
def test_every_variable_of_ours_is_one_that_somebody_reads(service):
    """A misspelt setting would be no error: it would just not be set."""
    for name in SERVICES[service]["environment"]:
        assert not name.startswith("GAMESHARD_") or name in known(), name


def test_the_dockerfile_sets_variables_that_somebody_reads():
    """Those of ours as well."""
    found = set(re.findall(r"GAMESHARD_\w+", (ROOT / "Dockerfile").read_text()))
    assert found == {"GAMESHARD_DATA"} <= known()


@pytest.mark.parametrize("service", OURS)
def test_the_commands_of_our_services_exist_with_all_their_options(service):
    """`gameshard run` and `ray start` take every word that they are given."""
    for program, verb, *words in commands(service):
        if program == "gameshard":
            parsed(typer.main.get_command(app).commands[verb], words)
        else:
            assert program == "ray"
            parsed(ray_cli.cli.commands[verb], [w.replace("$RAY_HEALTH", "{}") for w in words])


def test_the_commands_of_the_heading_exist():
    """Whoever copies a line of it is not told that there's no such command."""
    text = (ROOT / "compose.yaml").read_text()
    for service, verb, *words in re.findall(r"exec (\w+) gameshard (\w+)(?: (\w+))?", text):
        assert service in SERVICES
        parsed(typer.main.get_command(app).commands[verb], [word for word in words if word])


def test_services_are_placed_where_ray_has_the_resource_for_them():
    """What gateways and shards ask for, nodes offer; gateways only where the port is published."""
    environment = SERVICES["head"]["environment"]
    offers = {
        service: json.loads(next(w for w in words if w.startswith("--resources=")).split("=", 1)[1])
        for service in OURS
        for words in commands(service)
        if words[0] == "ray"
    }
    gateways_on = environment["GAMESHARD_RAY_GATEWAYS_ON"]
    shards_on = environment["GAMESHARD_RAY_SHARDS_ON"]
    assert {s for s, offer in offers.items() if gateways_on in offer} == {"gateway"}
    assert {s for s, offer in offers.items() if shards_on in offer} == {"head", "worker"}
    assert json.loads(environment["RAY_HEALTH"]) == NodeHealth().system_config()


def test_the_nodes_of_ray_find_their_head_and_players_the_gateway():
    """Ports and names are the same wherever they stand."""
    [start, run] = list(commands("head"))
    port = parsed(ray_cli.cli.commands["start"], [w for w in start[2:] if "HEALTH" not in w])[
        "port"
    ]
    for service in ("worker", "gateway"):
        [words] = commands(service)
        assert f"--address=head:{port}" in words
    assert f"('head', {port})" in SERVICES["head"]["healthcheck"]["test"][-1]
    options = parsed(typer.main.get_command(app).commands["run"], run[2:])
    [published] = SERVICES["gateway"]["ports"]
    assert published == f"127.0.0.1:${{PORT:-8000}}:{options['port']}"
    assert options["url"] == f"http://gateway:{options['port']}"
    assert f"127.0.0.1:{options['port']}/readyz" in SERVICES["gateway"]["healthcheck"]["test"][-1]
    assert f"EXPOSE {options['port']}\n" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_kafkas_properties_are_those_of_the_local_one(number):
    """All that decides what survives is as the tests and benches have it."""
    environment = SERVICES[f"kafka-{number}"]["environment"]
    told = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in environment.items()
        if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS"
    }
    want = {k: v for k, v in COMMON.items() if k not in NOT_OF_A_CONTAINER} | replication(3)
    assert {name: told.get(name) for name in want} == want
    own = told.keys() - want.keys()
    assert own == {
        "node.id",
        "controller.quorum.voters",
        "listeners",
        "advertised.listeners",
        "log.dirs",
    }
    assert told["node.id"] == str(number)
    assert f"{number}@kafka-{number}:9093" in told["controller.quorum.voters"].split(",")
    assert told["advertised.listeners"] == f"PLAINTEXT://kafka-{number}:9092"
    assert told["listeners"] == "PLAINTEXT://:9092,CONTROLLER://:9093"
    assert SERVICES[f"kafka-{number}"]["volumes"] == [f"kafka-{number}:{told['log.dirs']}"]


def test_kafkas_nodes_are_one_cluster_that_gameshard_knows():
    """The same id, of 16 bytes; as many replicas as the topic shall have."""
    [cluster] = {SERVICES[each]["environment"]["CLUSTER_ID"] for each in KAFKAS}
    assert len(base64.urlsafe_b64decode(cluster + "==")) == 16
    environment = SERVICES["head"]["environment"]
    assert environment["GAMESHARD_KAFKA"] == ",".join(f"{each}:9092" for each in KAFKAS)
    factors = replication(len(KAFKAS))
    assert environment["GAMESHARD_KAFKA_REPLICATION"] == factors["default.replication.factor"]
    assert environment["GAMESHARD_KAFKA_MIN_INSYNC"] == factors["min.insync.replicas"]


def test_the_images_are_of_the_versions_that_are_tested():
    """What runs in containers is what the tests run as child processes."""
    images = {service: each["image"] for service, each in SERVICES.items() if "image" in each}
    assert {images[each] for each in KAFKAS} == {f"apache/kafka:{java.version('kafka')}"}
    assert images["registry"] == f"apicurio/apicurio-registry-sql:{java.version('registry')}"
    assert images["postgres"] == f"postgres:{postgres.MAJOR}"
    assert images["valkey"] == f"valkey/valkey:{valkey.VERSION}"
    assert {images[each] for each in OURS} == {"gameshard"}
    assert {SERVICES[each]["build"] for each in OURS} == {"."}


def test_postgres_and_valkey_keep_what_they_acknowledge_as_the_local_ones_do():
    """Durability is at Postgres's defaults, and Valkey appends every second."""
    told = dict(word.removeprefix("-c").split("=") for word in SERVICES["postgres"]["command"][1:])
    ours = postgres._SETTINGS
    assert {name: ours[name] for name in told if name != "max_connections"} == {
        name: value for name, value in told.items() if name != "max_connections"
    }
    line = " ".join(SERVICES["valkey"]["command"])
    for name in ("appendonly", "appendfsync", "maxmemory-policy"):
        [value] = re.findall(rf"^{name} (\S+)$", valkey._CONFIGURATION, re.MULTILINE)
        assert f"--{name} {value}" in line


def test_whoever_is_waited_for_is_healthy_and_has_limits():
    """A service that others wait for says when it's there; each has a bound of memory and CPU."""
    for name, service in SERVICES.items():
        limits = service["deploy"]["resources"]["limits"]
        assert set(limits) == {"cpus", "memory"}, name
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[other], other


def test_whatever_must_survive_is_in_a_volume_that_is_declared():
    """And no volume is declared that nobody uses."""
    used = {v.split(":")[0] for each in SERVICES.values() for v in each.get("volumes", ())}
    assert used == set(COMPOSE["volumes"])
    assert SERVICES["head"]["volumes"] == ["data:/data"]
    assert "GAMESHARD_DATA=/data" in (ROOT / "Dockerfile").read_text()


def test_ports_are_published_on_loopback_only():
    """Nobody else reaches a store, or an admin port, of a machine that runs this."""
    published = [port for each in SERVICES.values() for port in each.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_no_password_is_in_the_file():
    """They come from a file that neither git nor the image takes."""
    text = (ROOT / "compose.yaml").read_text()
    for name in ("POSTGRES_PASSWORD", "VALKEY_PASSWORD", "RAY_PASSWORD"):
        assert f"${{{name}:?" in text or f"environment: {name}" in text
        assert name.split("_")[0] in text.split("done")[0]
    assert ".env" in (ROOT / ".gitignore").read_text().split()
    assert (ROOT / ".dockerignore").read_text().split("\n")[1] == "*"


def test_what_the_image_is_made_of_is_let_through():
    """Everything that the Dockerfile copies is there, and not held back by .dockerignore."""
    text = (ROOT / "Dockerfile").read_text()
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
        for word in line.split()[:-1]
    }
    let = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    assert copied == let
    assert all((ROOT / each).exists() for each in copied)
    assert re.search(r"^USER (?!root)\w+$", text, re.MULTILINE)


def test_docker_reads_the_file():
    """Where there is Docker's compose, it finds nothing wrong."""
    docker = shutil.which("docker")
    compose = [docker or "docker", "compose"]
    if (
        docker is None
        or subprocess.run([*compose, "version"], capture_output=True, check=False).returncode
    ):
        pytest.skip("There is no docker compose here.")
    passwords = {f"{name}_PASSWORD": "x" for name in ("POSTGRES", "VALKEY", "RAY")}
    command = [*compose, "-f", str(ROOT / "compose.yaml"), "config", "-q"]
    done = subprocess.run(
        command, env=os.environ | passwords, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
