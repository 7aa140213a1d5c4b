"""The Java that Kafka and the schema registry need, and their jars.

The jars are fetched once, by Maven, by name and version, and only if their checksums are those of
`jars/jars.sha256`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

from persistence.local.server import NotInstalled, ServiceError

OLDEST = 17
_DATA = Path(__file__).parent / "jars"
_POM = _DATA / "pom.xml"
_LOCK = _DATA / "jars.sha256"
_FETCHING = "fetching-"
_ADVICE = "On Debian: apt-get install default-jre-headless maven"


class OtherContent(ServiceError):  # noqa: N818  (what is wrong)
    """What Maven brought isn't what the lock says."""


def version(name: str) -> str:
    """Return the version of `name` ("kafka", "registry") that the jars have."""
    found = re.search(rf"<{name}\.version>(.+)</{name}\.version>", _POM.read_text())
    assert found is not None, name
    return found[1]


class Java(NamedTuple):
    """A Java that is new enough: the path of the program, and what it says of its version."""

    path: str
    version: str


def java() -> Java:
    """Return JAVA_HOME's Java, or else that of the PATH.

    Raises:
        NotInstalled: If there's none, or it's too old.
    """
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=f"{home}/bin") if home else None
    path = path or shutil.which("java")
    if path is None:
        raise NotInstalled(f"There is no Java here, which Kafka and the registry need. {_ADVICE}")
    said = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < OLDEST:
        raise NotInstalled(f"{path} isn't Java {OLDEST} or newer: {said.strip()}. {_ADVICE}")
    return Java(path, said)


def cache() -> Path:
    """Return the folder that keeps the jars of any version: GAMESHARD_JARS, or the user's cache."""
    if chosen := os.environ.get("GAMESHARD_JARS"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gameshard" / "jars"


def jars(name: str) -> Path:
    """Return the folder with the jars of "kafka" or "registry".

    Raises:
        NotInstalled: If they weren't fetched.
    """
    folder = _place()
    if not folder.exists():
        raise NotInstalled(
            f"The jars of Kafka and the registry aren't in {folder}. Fetch them: make services,"
            " or python -m persistence.local"
        )
    return folder / name


def _place() -> Path:
    """Return where the jars of this lock belong: another lock has another folder."""
    return cache() / hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:16]


def fetch() -> Path:
    """Fetch the jars if they aren't there, and return their folder.

    Raises:
        NotInstalled: If Java or Maven is missing, or Maven can't fetch them.
        OtherContent: If a checksum is wrong, or a file is missing or too much.
    """
    place = _place()
    if place.exists():
        return place
    java()
    with _brought() as folder:
        if (found := checksums(folder)) != _LOCK.read_text():
            wrong = sorted(set(found.splitlines()) ^ set(_LOCK.read_text().splitlines()))
            raise OtherContent(
                "Maven brought other files than jars.sha256 lists, so they aren't used:\n"
                + "\n".join(wrong)
            )
        for archive in sorted(folder.glob("*/*.tar.gz")):
            _unpack(archive)
        # Whole or not at all; another process may have been faster.
        try:
            folder.rename(place)
        except OSError as error:
            if not place.exists():
                raise ServiceError(f"The jars can't be put in {place}: {error}") from error
    return place


def lock() -> None:
    """Write the lock anew from what Maven brings: after a change of `jars/pom.xml`."""
    with _brought() as folder:
        _LOCK.write_text(checksums(folder))


def checksums(folder: Path) -> str:
    """Return a line for each file below `folder`, as `sha256sum` writes it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in files
    )


@contextlib.contextmanager
def _brought() -> Generator[Path]:
    """Yield a new folder with what Maven brings, beside where it belongs; it's removed after."""
    mvn = shutil.which("mvn")
    if mvn is None:
        raise NotInstalled(f"There is no Maven here, which fetches the jars. {_ADVICE}")
    with _own_folder() as outer:
        folder = outer / "jars"
        command = [mvn, "-B", "-q", "-ntp", "-Dstyle.color=never", f"-f{_POM}", f"-Dinto={folder}"]
        goals = ["dependency:copy-dependencies", "dependency:copy"]
        done = subprocess.run([*command, *goals], capture_output=True, text=True, check=False)
        if done.returncode:
            words = "\n".join(done.stdout.splitlines()[:15])
            raise NotInstalled(f"Maven can't fetch the jars:\n{words}\n{done.stderr}")
        yield folder


@contextlib.contextmanager
def _own_folder() -> Generator[Path]:
    """Yield a folder in the cache that is removed after: at the latest when others fetch."""
    try:
        cache().mkdir(parents=True, exist_ok=True)
        with _locked(cache()):  # so that nobody sweeps ours before it's locked as well
            _sweep()
            made = tempfile.TemporaryDirectory(
                prefix=_FETCHING, dir=cache(), ignore_cleanup_errors=True
            )
            locked = os.open(made.name, os.O_RDONLY)
            fcntl.flock(locked, fcntl.LOCK_EX)
    except OSError as error:
        raise ServiceError(f"Choose another folder by GAMESHARD_JARS: {error}") from error
    with made as folder:
        try:
            yield Path(folder)
        finally:
            os.close(locked)


def _sweep() -> None:
    """Remove what a fetch that was killed has left: nobody holds its lock any more."""
    for left in cache().glob(f"{_FETCHING}*"):
        with contextlib.suppress(OSError), _locked(left, fcntl.LOCK_NB):
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path, how: int = 0) -> Generator[None]:
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(held)


def _unpack(archive: Path) -> None:
    with tarfile.open(archive) as files:
        # Python before 3.11.4 has no filters.
        if hasattr(tarfile, "data_filter"):
            files.extraction_filter = tarfile.data_filter
        files.extractall(archive.parent)  # noqa: S202  (known by its checksum)
    archive.unlink()
