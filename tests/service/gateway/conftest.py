"""Clients and helpers of the gateway's unit tests are shared by these."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "gateway"))
