"""Adapters beside what people already use: each its own module and extra, loaded when it is first asked for."""
