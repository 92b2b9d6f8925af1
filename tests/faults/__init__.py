"""Delivery under faults: never blocks, loses, doubles. `python -m tests.faults` runs it and prints a table."""
