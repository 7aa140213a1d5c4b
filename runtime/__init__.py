"""Where actors live: partitions, shards, the coordinator, links, and hand-off. Knows no game."""
