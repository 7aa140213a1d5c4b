"""Sockets are open files, of which a process may have few unless it asks for more."""

from __future__ import annotations

import resource

from bench.screen import console


def allow_files(wanted: int) -> None:
    """Raise this process's (and its children's) limit of open files; say so if it's too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    if limit < wanted:
        console.print(f"only {limit} files may be open at a time: fewer sockets will connect")
