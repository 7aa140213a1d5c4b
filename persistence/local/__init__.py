"""Real services as child processes: for the embedded setting, tests and benches."""
