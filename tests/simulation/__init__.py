"""Whole clusters simulated from a seed: shards, stores, gateways and clients under faults."""
