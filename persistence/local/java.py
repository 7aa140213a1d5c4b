"""The Java that Kafka and the schema registry need, and their jars.

The jars are fetched once, by Maven, by name and version, and only if their checksums are those of
`jars/jars.sha256`.
"""

from __future__ import annotations

import contextlib
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
            f"The jars of Kafka and the registry aren't in {folder}. Fetch them: make services"
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
        with contextlib.suppress(OSError):
            folder.rename(place)
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
    try:
        cache().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceError(f"Choose another folder by GAMESHARD_JARS: {error}") from error
    with tempfile.TemporaryDirectory(dir=cache(), ignore_cleanup_errors=True) as outer:
        folder = Path(outer) / "jars"
        command = [mvn, "-B", "-q", "-ntp", "-Dstyle.color=never", f"-f{_POM}", f"-Dinto={folder}"]
        goals = ["dependency:copy-dependencies", "dependency:copy"]
        done = subprocess.run([*command, *goals], capture_output=True, text=True, check=False)
        if done.returncode:
            words = "\n".join(done.stdout.splitlines()[:15])
            raise NotInstalled(f"Maven can't fetch the jars:\n{words}\n{done.stderr}")
        yield folder


def _unpack(archive: Path) -> None:
    with tarfile.open(archive) as files:
        # Python before 3.11.4 has no filters.
        if hasattr(tarfile, "data_filter"):
            files.extraction_filter = tarfile.data_filter
        files.extractall(archive.parent)  # noqa: S202  (known by its checksum)
    archive.unlink()
