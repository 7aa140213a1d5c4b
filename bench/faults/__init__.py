"""Faults: which there are, whom they hit, how they are done and undone, and what came of them."""
