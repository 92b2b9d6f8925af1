"""The loops of `bench.integrations`, one module an adapter: `rows()`."""
