"""Pipelines to look at with X-Ray: `python -m examples.demo`, `python -m examples.rebooking`."""
