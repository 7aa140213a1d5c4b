"""Wall clocks that can be stepped, process by process: a library between a program and libc.

Every process of the system is started with it (LD_PRELOAD). It reads a page that it shares with
us: who sees what difference. Monotonic clocks stay as they are, as on a machine whose clock is set.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
struct page { volatile int64_t ns; volatile int32_t count; volatile int32_t pids[512]; };
static struct page *page;
static int (*real)(clockid_t, struct timespec *);
__attribute__((constructor)) static void begin(void) {
    real = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("BENCH_CLOCKS");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *found = mmap(0, 4096, PROT_READ, MAP_SHARED, file, 0);
    if (found != MAP_FAILED) page = found;
    close(file);
}
static int64_t difference(void) {
    if (!page || !page->count) return 0;
    int32_t own = getpid();
    for (int i = 0; i < page->count && i < 512; i++) if (page->pids[i] == own) return page->ns;
    return 0;
}
int clock_gettime(clockid_t clock, struct timespec *at) {
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(clock, at);
    if (done == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t ns = difference();
        if (ns) {
            ns += at->tv_nsec;
            at->tv_sec += ns / 1000000000; ns %= 1000000000;
            if (ns < 0) { ns += 1000000000; at->tv_sec--; }
            at->tv_nsec = ns;
        }
    }
    return done;
}
int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""
_PAGE = 4096
_MOST = 512


class Clocks:
    """The page, and the library that reads it.

    Attributes:
        environment: What a program must be started with, and all that it starts.
    """

    def __init__(self, library: Path, page: Path) -> None:
        page.write_bytes(bytes(_PAGE))
        page.chmod(0o644)  # Postgres runs as another user
        self.environment = {"LD_PRELOAD": str(library), "BENCH_CLOCKS": str(page)}
        # Ray takes LD_PRELOAD away from its workers unless it's told not to.
        self.environment["RAY_LD_PRELOAD_ON_WORKERS"] = "1"
        with page.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _PAGE)

    def step(self, pids: Sequence[int], seconds: float) -> None:
        """Let these processes, and no others, see a wall clock that is wrong by so much."""
        page, told = self._page, pids[:_MOST]
        page[8:12] = struct.pack("=i", 0)
        page[0:8] = struct.pack("=q", int(seconds * 1e9))
        page[12 : 12 + 4 * len(told)] = struct.pack(f"={len(told)}i", *told)
        page[8:12] = struct.pack("=i", len(told))


def make_clocks(folder: Path) -> Clocks | None:
    """Make the library in `folder`; None if there's no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    source, library = folder / "clocks.c", folder / "clocks.so"
    source.write_text(_SOURCE)
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    done = subprocess.run(command, check=False, capture_output=True)
    return Clocks(library, folder / "clocks") if done.returncode == 0 else None
