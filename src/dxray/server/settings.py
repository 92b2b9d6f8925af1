"""What can be set: by arguments, then `DXRAY_*`, then `[tool.dxray]` of the pyproject.toml here."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    PyprojectTomlConfigSettingsSource,
    SettingsConfigDict,
)

from dxray.server.errors import CannotStart

VERSION = version("dxray")


class Settings(BaseSettings):
    """The server's settings. Unknown ones are ignored: the SDK reads `DXRAY_*` too."""

    model_config = SettingsConfigDict(
        env_prefix="DXRAY_", pyproject_toml_table_header=("tool", "dxray"), extra="ignore", frozen=True
    )

    data: Path = Field(Path("~/.dxray/data"), description="the folder that holds everything recorded")
    store: str | None = Field(None, description="where the store is; default: duckdb, in the data folder")
    catalog: str | None = Field(None, description="where the catalog is; default: a SQLite file in the data folder")
    abandoned_after: float = Field(60.0, gt=0, description="seconds without a heartbeat until a run is abandoned")
    owner_wait: float = Field(10.0, ge=0, description="seconds to wait for a previous owner of the data folder")
    max_body: int = Field(16 * 1024 * 1024, gt=0, description="bytes of a body, inflated, taken at once")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="host names besides localhost by which this server may be addressed, comma-separated"
    )

    trace_link: str | None = Field(
        None, description="where traces are shown: an http or https address with {trace_id}, and {run_id} if wanted"
    )

    @field_validator("trace_link")
    @classmethod
    def _leads_to_a_page(cls, value: str | None) -> str | None:
        if value is None or value == "":
            return None
        if not value.startswith(("http://", "https://")) or "{trace_id}" not in value:
            raise ValueError("write an http or https address with {trace_id} in it")
        return value

    @field_validator("data")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip().lower() for part in value.split(",") if part.strip())
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments before the environment before pyproject.toml."""
        return init_settings, env_settings, PyprojectTomlConfigSettingsSource(settings_cls)


def load(**arguments: Any) -> Settings:
    """The settings, with the arguments that are not None on top. Raises `CannotStart` naming a wrong one."""
    try:
        return Settings(**{name: value for name, value in arguments.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise CannotStart(
            f"setting {name!r}: {first['msg']}, got {first['input']!r}",
            field=name,
            fix=f"set DXRAY_{name.upper()} or the argument of that name",
        ) from error
