"""Spans of OpenTelemetry as runs and steps: what they say is read by pure functions, and stored once each."""
