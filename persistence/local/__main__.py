"""`python -m persistence.local` gets what the local services need, once.

`... lock` writes the checksums of the jars anew, after a change of a version in `jars/pom.xml`.
"""

import sys
import tempfile
from pathlib import Path

from persistence.local import java
from persistence.local.kafka import LocalKafka
from persistence.local.kafka_node import classes
from persistence.local.server import ServiceError


def main() -> None:
    """Fetch the jars; run Kafka once, to keep its classes as Java has them in memory then."""
    java.fetch()
    if not classes().exists():
        with tempfile.TemporaryDirectory(dir=java.cache(), ignore_cleanup_errors=True) as folder:
            made = Path(folder) / "classes.jsa"
            kafka = LocalKafka(Path(folder), options=[f"-XX:ArchiveClassesAtExit={made}"])
            kafka.start()
            kafka.stop()
            made.replace(classes())


try:
    if sys.argv[1:] == ["lock"]:
        java.lock()
    else:
        main()
except ServiceError as problem:
    sys.exit(str(problem))
