"""Thin HTTP, one file per resource, no SQL."""
