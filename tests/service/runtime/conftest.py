"""The doubles of the unit tests serve here as well, on real stores."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "unit" / "runtime"))
