"""An owner of partition 0 in a process of its own, for tests that stop and wake it.

    python owner_process.py KAFKA TOPIC POSTGRES

It claims the partition and says "ready"; then it appends one event of game "g" for every line,
which holds its seq, and says "done" or "fenced".
"""

import asyncio
import sys

import uvloop
from kafka_owners import PATIENT, Owner

from persistence.log import Fenced, Record


def say(word: str) -> None:
    """Tell the test."""
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


async def main(servers: str, topic: str, dsn: str) -> None:
    """See the module."""
    owner = await Owner.begin(servers, topic, dsn, PATIENT)
    epoch = await owner.assign(0, "process")
    await owner.log.claim(0, epoch, "process")
    say("ready")
    while line := await asyncio.to_thread(sys.stdin.readline):
        seq = int(line)
        try:
            await owner.log.append(0, epoch, [Record("g", seq, b'{"process":%d}' % seq)])
        except Fenced:
            say("fenced")
        else:
            say("done")


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
