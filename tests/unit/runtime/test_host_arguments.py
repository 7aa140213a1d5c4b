"""Ray gives a service that it starts again what it was given once, whatever is installed by then."""

import inspect

from runtime.host import _Host


def test_the_arguments_of_an_older_version_are_still_enough():
    """Factory, name, namespace and config, by position: more has been added since."""
    inspect.signature(_Host.__init__).bind(
        None, "module:callable", "shard-0", "gameshard", object()
    )
