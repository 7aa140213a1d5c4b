"""`gameshard run` as an operator knows it: killed, stopped, started again, beside others of its kind."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest
from fix_system import System
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

SHUFFLE = ["g1f3", "g8f6", "f3g1", "f6g8"]
"""Two knights out and back: legal for ever, but for repetition; so each game is short."""
GAMES = 20


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory(prefix="gameshard-run-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def family(pid: int) -> list[int]:
    """A process and all that descend from it, itself first."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def alive(pids: list[int]) -> list[int]:
    """Those of `pids` that run (a zombie that waits for its parent doesn't)."""
    running = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state != "Z":
            running.append(pid)
    return running


async def token(http: httpx.AsyncClient, name: str) -> str:
    return (await http.post("/tokens", json={"name": name})).json()["token"]


async def play(url: str, acknowledged: dict[str, list[dict]], enough: asyncio.Event) -> None:
    """Play a game after another over two sockets, noting each event that its mover was told."""
    async with httpx.AsyncClient(base_url=url) as http:
        while True:
            white, black = [
                {"Authorization": f"Bearer {await token(http, name)}"} for name in ("ann", "bob")
            ]
            made = await http.post("/games", json={"color": "white"}, headers=white)
            game = made.json()["id"]
            await http.post(f"/games/{game}/join", headers=black)
            seen = acknowledged.setdefault(game, [])
            address = f"{url.replace('http', 'ws')}/ws/games/{game}"
            async with (
                connect(address, additional_headers=white) as first,
                connect(address, additional_headers=black) as second,
            ):
                for ply in range(8):
                    socket = (first, second)[ply % 2]
                    frame = {"type": "move", "uci": SHUFFLE[ply % 4], "ply": ply}
                    await socket.send(json.dumps(frame))
                    while True:
                        event = json.loads(await socket.recv())
                        if event.get("type") == "MovePlayed" and event["ply"] == ply:
                            break
                    seen.append(event)
                    if sum(map(len, acknowledged.values())) > 600:
                        enough.set()


async def load(url: str, kill) -> dict[str, list[dict]]:
    """Play on many boards until enough was acknowledged, then `kill` in the middle of it."""
    acknowledged: dict[str, list[dict]] = {}
    enough = asyncio.Event()
    playing = [asyncio.create_task(play(url, acknowledged, enough)) for _ in range(GAMES)]
    async with asyncio.timeout(60):
        await enough.wait()
    kill()
    for error in await asyncio.gather(*playing, return_exceptions=True):
        assert isinstance(error, WebSocketException | OSError | httpx.HTTPError), error
    return acknowledged


@pytest.mark.parametrize("options", [[], ["--full", "--partitions", "4"]])
def test_kill_9_of_everything_loses_no_acknowledged_move(folder, options):
    """In the middle of play all processes are killed; after a start each acknowledged move is there."""
    system = System(folder, *options)
    processes = family(system.process.pid)

    def kill() -> None:
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    acknowledged = asyncio.run(load(system.url, kill))
    assert system.stop() == -signal.SIGKILL
    again = System(folder, *options)
    try:
        assert sum(map(len, acknowledged.values())) > 600
        with httpx.Client(base_url=again.url) as http:
            for game, events in acknowledged.items():
                stored = http.get(f"/games/{game}/events", params={"after": 0}).json()["events"]
                by_seq = {event["seq"]: event for event in stored}
                assert [by_seq.get(event["seq"]) for event in events] == events
                moves = http.get(f"/games/{game}").json()["moves"]
                assert moves[: len(events)] == [event["uci"] for event in events]
        game = next(game for game, events in acknowledged.items() if events)
        replay = subprocess.run(
            [sys.executable, "-m", "gateway.cli", "replay", game, "--data", str(folder)],
            capture_output=True,
            text=True,
            check=True,
        )
        lines = [json.loads(line) for line in replay.stdout.splitlines()]
        assert [event for event in lines if event in acknowledged[game]] == acknowledged[game]
    finally:
        assert again.stop() == 0


def test_a_signal_stops_everything_and_the_next_start_finds_every_game(folder):
    """SIGTERM leaves no process behind; the game goes on after the next start, also beside another."""
    system = System(folder, "--shards", "2", "--gateways", "2")
    with httpx.Client(base_url=system.url) as http:
        tokens = [http.post("/tokens", json={"name": n}).json()["token"] for n in ("ann", "bob")]
        white, black = [{"Authorization": f"Bearer {t}"} for t in tokens]
        game = http.post("/games", json={"color": "white"}, headers=white).json()["id"]
        http.post(f"/games/{game}/join", headers=black)
        http.post(f"/games/{game}/moves", json={"uci": "e2e4", "ply": 0}, headers=white)
    second = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "run", "--port", "0", "--data", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert "Another gameshard runs" in second.stderr
    assert (folder / "running.json").exists()  # the first one's is left alone
    processes = family(system.process.pid)
    assert len(processes) > 6
    assert system.stop() == 0
    assert alive(processes) == []
    with tempfile.TemporaryDirectory(prefix="gameshard-run-") as other:
        Path(other).chmod(0o755)
        neighbour = System(Path(other))
        again = System(folder)
        try:
            with httpx.Client(base_url=again.url) as http:
                assert http.get(f"/games/{game}").json()["moves"] == ["e2e4"]
                moved = http.post(f"/games/{game}/moves", json={"uci": "e7e5"}, headers=black)
                assert moved.status_code == 200
            with httpx.Client(base_url=neighbour.url) as http:
                assert http.get(f"/games/{game}").status_code == 404
        finally:
            assert again.stop() == 0
            assert neighbour.stop() == 0
    refused = subprocess.run(
        [
            sys.executable,
            "-m",
            "gateway.cli",
            "run",
            "--port",
            "0",
            "--data",
            str(folder),
            "--partitions",
            "5",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "partitions" in refused.stderr
