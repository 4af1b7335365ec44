"""Benchmarks: `make bench` prints a table. Compare within one run: the machine's speed differs from run to run."""
