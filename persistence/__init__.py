"""What is remembered: event log, snapshots, assignments, names. Knows bytes and keys, no game."""
