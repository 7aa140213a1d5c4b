"""How the jars of Kafka and the registry get here; Maven and Java are played by scripts."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from persistence.local import java
from persistence.local.java import OtherContent
from persistence.local.server import NotInstalled, ServiceError

MAVEN = f"""#!{sys.executable}
import os, pathlib, sys, urllib.request
[into] = [word.removeprefix("-Dinto=") for word in sys.argv if word.startswith("-Dinto=")]
mirror = os.environ["MIRROR"]
try:
    for name in urllib.request.urlopen(mirror + "/names").read().decode().split():
        file = pathlib.Path(into, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(f"{{mirror}}/{{name}}") as body:
            file.touch()
            file.write_bytes(body.read())
except Exception as error:
    sys.exit(print(f"[ERROR] {{error!r}}") or 1)
"""
JAVA = """#!/bin/sh
echo 'openjdk version "{version}" 2025-04-15' >&2
"""


def archive() -> bytes:
    """An application with a file in it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as files:
        entry = tarfile.TarInfo("registry-runner.jar")
        entry.size = 3
        files.addfile(entry, io.BytesIO(b"app"))
    return made.getvalue()


class Mirror:
    """Where Maven fetches from: some files, and what goes wrong with them."""

    def __init__(self) -> None:
        self.files = {"kafka/a.jar": b"a" * 1000, "registry/app.tar.gz": archive()}
        self.cut: set[str] = set()
        self.held: set[str] = set()
        self.asked = threading.Event()
        self.released = threading.Event()
        self.requests = 0

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        name = request.path[1:]
        self.requests += 1
        if name == "names":
            body = "\n".join(self.files).encode()
        elif name in self.files:
            body = self.files[name]
        else:
            request.send_error(404)
            return
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if name in self.held:
            self.asked.set()
            self.released.wait()
        request.wfile.write(body[: len(body) // 2] if name in self.cut else body)


@pytest.fixture
def mirror(monkeypatch):
    """A server on loopback that Maven is told of in the environment."""
    mirror = Mirror()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mirror.answer(self)

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    monkeypatch.setenv("MIRROR", f"http://127.0.0.1:{server.server_port}")
    yield mirror
    mirror.released.set()
    server.shutdown()
    serving.join()
    server.server_close()


def program(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A PATH with a Java and a Maven, and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program(folder, "java", JAVA.format(version="17.0.15"))
    program(folder, "mvn", MAVEN)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


@pytest.fixture
def cache(tmp_path, mirror, programs, monkeypatch):
    """An empty cache, and a lock that says what the mirror has."""
    lock = tmp_path / "jars.sha256"
    lock.write_text(
        "".join(
            f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in mirror.files.items()
        )
    )
    monkeypatch.setattr(java, "_LOCK", lock)
    monkeypatch.setenv("GAMESHARD_JARS", str(tmp_path / "cache"))
    return tmp_path / "cache"


def names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


def test_what_was_fetched_is_there_once_and_asked_for_once(cache, mirror):
    """The second time nothing is asked; archives are unpacked; the environment says from where."""
    place = java.fetch()
    assert (place / "kafka" / "a.jar").read_bytes() == b"a" * 1000
    assert (place / "registry" / "registry-runner.jar").read_bytes() == b"app"
    assert not (place / "registry" / "app.tar.gz").exists()
    asked = mirror.requests
    assert java.fetch() == place
    assert mirror.requests == asked
    assert java.jars("kafka") == place / "kafka"
    assert names(cache) == [place.name]


def test_the_cache_is_the_users_unless_a_folder_is_named(tmp_path, monkeypatch):
    """GAMESHARD_JARS is the folder itself; else the place that the desktop's rules give."""
    monkeypatch.setenv("GAMESHARD_JARS", str(tmp_path))
    assert java.cache() == tmp_path
    monkeypatch.delenv("GAMESHARD_JARS")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert java.cache() == Path("/x/gameshard/jars")


@pytest.mark.parametrize("change", ["other", "missing", "more"])
def test_other_files_than_the_lock_says_are_refused_and_not_kept(cache, mirror, change):
    """A changed, a missing and an additional file are named; the cache is as empty as before."""
    if change == "other":
        mirror.files["kafka/a.jar"] = b"b" * 1000
    elif change == "missing":
        del mirror.files["kafka/a.jar"]
    else:
        mirror.files["kafka/b.jar"] = b"b"
    with pytest.raises(OtherContent, match=r"kafka/[ab]\.jar"):
        java.fetch()
    assert names(cache) == []
    with pytest.raises(NotInstalled, match="make services"):
        java.jars("kafka")


@pytest.mark.parametrize("broken", ["cut", "gone"])
def test_a_download_that_breaks_off_is_told_and_begins_anew(cache, mirror, broken):
    """Maven's own words are shown, nothing half is kept, and the next try gets everything."""
    if broken == "cut":
        mirror.cut = {"registry/app.tar.gz"}
    else:
        gone = mirror.files.pop("registry/app.tar.gz")
        mirror.files["nowhere"] = b""
        mirror.answer, answer = (lambda request: request.send_error(503)), mirror.answer
    with pytest.raises(NotInstalled, match=r"Maven can't fetch the jars:\n\[ERROR\]"):
        java.fetch()
    assert names(cache) == []
    if broken == "cut":
        mirror.cut = set()
    else:
        del mirror.files["nowhere"]
        mirror.files["registry/app.tar.gz"] = gone
        mirror.answer = answer
    assert (java.fetch() / "registry" / "registry-runner.jar").exists()


def test_a_fetch_that_is_killed_leaves_nothing_that_lasts(cache, mirror):
    """kill -9 amid a download: no jars are taken for whole, and the next fetch sweeps the rest."""
    mirror.held = {"registry/app.tar.gz"}
    root = Path(java.__file__).parents[2]
    code = (
        "import pathlib, sys; from persistence.local import java;"
        f" java._LOCK = pathlib.Path({str(java._LOCK)!r}); java.fetch()"
    )
    victim = subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, start_new_session=True, env=os.environ.copy()
    )
    assert mirror.asked.wait(60)
    [left] = names(cache)
    with java._own_folder() as ours:  # another fetch at the same time takes nothing away
        assert {left, ours.name} == set(names(cache))
    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait()
    assert (cache / left / "jars" / "kafka" / "a.jar").exists()
    with pytest.raises(NotInstalled, match="make services"):
        java.jars("kafka")
    mirror.held = set()
    mirror.released.set()
    place = java.fetch()
    assert names(cache) == [place.name]


def test_who_fetches_at_the_same_time_may_be_faster(cache, mirror, monkeypatch):
    """Both have the jars then; neither finds a half of them."""
    brought = java._brought

    def slow():
        monkeypatch.setattr(java, "_brought", brought)
        first = java.fetch()
        assert (first / "kafka" / "a.jar").exists()
        return brought()

    monkeypatch.setattr(java, "_brought", slow)
    place = java.fetch()
    assert names(cache) == [place.name]


def test_without_java_or_maven_it_says_what_to_install(cache, programs, mirror):
    """In words for whoever runs it; nothing is asked of any server."""
    (programs / "mvn").unlink()
    with pytest.raises(NotInstalled, match=r"no Maven here.*apt-get install"):
        java.fetch()
    (programs / "java").unlink()
    with pytest.raises(NotInstalled, match=r"no Java here.*apt-get install"):
        java.fetch()
    assert mirror.requests == 0


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2", "nonsense"])
def test_a_java_that_is_too_old_is_named(programs, version):
    """With its path and what it says."""
    program(programs, "java", JAVA.format(version=version))
    with pytest.raises(NotInstalled, match="java isn't Java 17 or newer"):
        java.java()


def test_java_home_comes_before_the_path(programs, tmp_path, monkeypatch):
    """And a JAVA_HOME without a Java doesn't hide that of the PATH."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "none"))
    assert java.java().path == str(programs / "java")
    home = tmp_path / "home" / "bin"
    home.mkdir(parents=True)
    program(home, "java", JAVA.format(version="21.0.1"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert java.java().path == str(home / "java")
    assert '"21.0.1"' in java.java().version


def test_a_cache_that_cannot_be_made_is_told_with_the_way_out(tmp_path, programs, monkeypatch):
    """Another folder can be named."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("GAMESHARD_JARS", str(tmp_path / "file" / "cache"))
    with pytest.raises(ServiceError, match="Choose another folder by GAMESHARD_JARS"):
        java.fetch()
