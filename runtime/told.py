"""What the cluster's services tell each other through Ray, also while it's upgraded.

Ray carries Python objects by pickle. These name their fields: whoever reads one drops what it
doesn't know yet, and has its own default for what an older program doesn't say.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from msgspec.structs import asdict


class Told:
    """Makes a Struct such a message. A field that is added has a default; none is given up."""

    __slots__ = ()

    def __reduce__(self) -> Any:
        """Return how to make the message again, by the names of its fields."""
        assert isinstance(self, Struct)
        return heard, (type(self), asdict(self))


def heard(kind: type[Struct], fields: dict[str, Any]) -> Struct:
    """Return a message as far as this program knows its fields."""
    return kind(**{name: fields[name] for name in kind.__struct_fields__ if name in fields})
