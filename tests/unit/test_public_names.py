"""The one public door. A name added here is a promise; a name removed is a major version."""

import dxray

PUBLIC = {
    "Client",
    "DeliveryError",
    "XRay",
    "configure",
    "current_run",
    "current_step",
    "instrument_anthropic",
    "instrument_celery",
    "instrument_langchain",
    "instrument_openai",
    "instrument_otel",
    "instrument_sklearn",
    "local",
    "watch",
}


def test_the_public_names_are_these() -> None:
    assert set(dxray.__all__) == PUBLIC


def test_every_public_name_is_there_and_documented() -> None:
    for name in PUBLIC:
        assert getattr(dxray, name).__doc__, f"dxray.{name} has no docstring"
