"""Fixtures live beside this file, one `fix_*.py` a concern; all of them are found by name."""

from pathlib import Path

pytest_plugins = [path.stem for path in sorted(Path(__file__).parent.glob("fix_*.py"))]
