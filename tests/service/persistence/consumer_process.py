"""A consumer in a process of its own that dies by kill -9 where a test wants it.

    python consumer_process.py KAFKA TOPIC POSTGRES

It settles what it finds, and kills itself instead of the first commit to Kafka.
"""

import asyncio
import os
import signal
import sys

from consumers import SETTINGS, Tally

from persistence.database import Database
from persistence.kafka.consumer import Consumer
from persistence.kafka.stores import KafkaSettings


class Mortal(Consumer):
    """Ends when there's something to commit."""

    async def _commit(self, places):
        if list(places):
            os.kill(os.getpid(), signal.SIGKILL)


async def main(servers, topic, dsn):
    """See the module."""
    kafka = KafkaSettings(servers=servers, topic=topic, replication=1, min_insync=1)
    await Mortal(Tally(), kafka, Database(dsn), SETTINGS).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
