"""`XRay`: a pipeline's recorder, and the door to runs and steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, TypeVar, overload
from urllib.parse import quote, unquote

from dxray.sdk import context, decorators
from dxray.sdk.channel import Channel, channel_for
from dxray.sdk.fields import now_us
from dxray.sdk.guard import guard, logger
from dxray.sdk.null import NULL_RUN, NULL_STEP, NullRun, NullStep
from dxray.sdk.run import Run, resumed_position
from dxray.sdk.settings import Settings, resolve
from dxray.sdk.step import Step
from dxray.sdk.values import NAME_LIMIT, as_optional_text, as_text
from dxray.wire.ids import is_run_id, new_run_id, uuid7_hex

RUN_HEADER = "dxray-run-id"
STEP_HEADER = "dxray-step-id"
PIPELINE_HEADER = "dxray-pipeline"
_HEADER_LIMIT = 12 * NAME_LIMIT  # what a name of that many characters takes, percent-encoded

Function = TypeVar("Function", bound=Callable[..., Any])


class XRay:
    """Records the runs of one pipeline.

    Args, each also a `DXRAY_*` variable: `api_url` of the server; `api_key`; `project`;
    `offline_mode` (`buffer` keeps what cannot be sent on disk, `drop` does not, `strict` raises
    DeliveryError at the end of a run that was not acknowledged); `capture` of evidence (`auto`,
    `full`, `sample`, `none`); `environment`; `code_version`; `spool_dir`; `disabled`.
    """

    def __init__(
        self,
        pipeline: str,
        api_url: str | None = None,
        *,
        api_key: str | None = None,
        project: str | None = None,
        offline_mode: str | None = None,
        capture: str | None = None,
        environment: str | None = None,
        code_version: str | None = None,
        spool_dir: str | None = None,
        strict_timeout: float | None = None,
        disabled: bool | None = None,
    ) -> None:
        self.pipeline = as_text(pipeline)
        self._settings: Settings = resolve(
            api_url=api_url,
            api_key=api_key,
            project=project,
            offline_mode=offline_mode,
            capture=capture,
            environment=environment,
            code_version=code_version,
            spool_dir=spool_dir,
            strict_timeout=strict_timeout,
            disabled=disabled,
        )
        if not self._settings.disabled:
            channel_for(self._settings)

    @property
    def _channel(self) -> Channel | None:
        # Asked for at each use: a test's capture puts another one in its place.
        return None if self._settings.disabled else channel_for(self._settings)

    @property
    def api_url(self) -> str:
        """The server this records to."""
        return self._settings.api_url

    def run(
        self,
        input: Any = None,
        *,
        run_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        variant: str | None = None,
        code_version: str | None = None,
        environment: str | None = None,
        parent_run_id: str | None = None,
        trace_id: str | None = None,
    ) -> Run | NullRun:
        """One execution, to be used with `with`. A `run_id` that is none (`A-Za-z0-9._:-`, 1 to 128) is replaced."""
        channel = self._channel
        if channel is None:
            return NULL_RUN
        run = Run(self.pipeline, channel, self._settings, self._run_id(run_id))
        try:
            if type(run_id) is str and run.run_id == run_id:  # it may be used again: what each use adds is kept apart
                run._origin, run._position = f"x{uuid7_hex()[-6:]}.", resumed_position()
            outer = context.RUN.get()
            run._parent_run_id = as_optional_text(parent_run_id) or (outer.run_id if outer is not None else None)
            run._variant = as_optional_text(variant)
            run._trace_id = as_optional_text(trace_id)
            if code_version is not None or environment is not None:
                run._settings = _with(self._settings, code_version, environment)
            if input is not None:
                run._set_text("input", input)
        except Exception as error:
            guard.caught(error)
        if metadata is not None:
            with guard:
                for key, value in metadata.items():
                    run.set_metadata(key, value)
        return run

    def resume(self, run_id: str) -> Run | NullRun:
        """Go on with a run that waited for a person, in any process, any time later."""
        channel = self._channel
        if channel is None:
            return NULL_RUN
        run = Run(
            self.pipeline,
            channel,
            self._settings,
            self._run_id(run_id),
            origin=f"r{uuid7_hex()[-6:]}.",
            position=resumed_position(),
        )
        run._resumed = True
        return run

    def _run_id(self, wanted: str | None) -> str:
        if wanted is None:
            return new_run_id()
        if is_run_id(as_text(wanted)):
            return as_text(wanted)
        made = new_run_id()
        logger.warning("dxray: a run_id has 1 to 128 of A-Z a-z 0-9 . _ : -; a given one does not, %s is used", made)
        return made

    # -- decorators ------------------------------------------------------------------------------

    @overload
    def observe(self, function: Function, /) -> Function: ...

    @overload
    def observe(self, /, **options: Any) -> Callable[[Function], Function]: ...

    def observe(self, function: Any = None, /, **options: Any) -> Any:
        """Decorator: each call is a run. Arguments are its input, what is returned its output.

        For functions, coroutines and generators of both kinds. `options` go to `run(...)`.
        """
        return decorators.observe(self, function, options)

    @overload
    def step(self, name: Function, /) -> Function: ...

    @overload
    def step(
        self, name: str | None = None, step_type: str | None = None, **options: Any
    ) -> Callable[[Function], Function]: ...

    def step(self, name: Any = None, step_type: str | None = None, **options: Any) -> Any:
        """Decorator: each call is a step of the current run; outside a run it records nothing."""
        return decorators.step(name, step_type, options)

    # -- across processes ------------------------------------------------------------------------

    def inject(self, carrier: MutableMapping[str, str] | None = None) -> MutableMapping[str, str]:
        """Write which run and step this is into a mapping, e.g. a request's headers."""
        carrier = {} if carrier is None else carrier
        with guard:
            run, step = context.RUN.get(), context.STEP.get()
            if run is not None:
                carrier[RUN_HEADER] = run.run_id
                carrier[PIPELINE_HEADER] = quote(run._pipeline, errors="replace")  # headers take no other letters
            if step is not None:
                carrier[STEP_HEADER] = step.step_id
        return carrier

    @contextmanager
    def extract(self, carrier: Mapping[str, str]) -> Iterator[Run | NullRun]:
        """Go on in the run that `inject` wrote: steps made inside belong to it. It ends where it began."""
        run: Run | NullRun = NULL_RUN
        with guard:
            run = self._joined(carrier)
        if not isinstance(run, Run):
            yield run
            return
        with run:
            step = None
            with guard:
                step = _remote_step(run, carrier)
            with context.entered(run, step):
                yield run

    def _joined(self, carrier: Mapping[str, str]) -> Run | NullRun:
        found = {as_text(key).lower(): as_text(value, _HEADER_LIMIT) for key, value in carrier.items()}
        run_id, channel = found.get(RUN_HEADER, ""), self._channel
        if not is_run_id(run_id) or channel is None:
            return NULL_RUN
        return Run(
            as_text(unquote(found[PIPELINE_HEADER])) if PIPELINE_HEADER in found else self.pipeline,
            channel,
            self._settings,
            run_id,
            origin=f"j{uuid7_hex()[-6:]}.",
            position=resumed_position(),
            joined=True,
        )

    # -- delivery --------------------------------------------------------------------------------

    def flush(self, timeout: float = 5.0) -> bool:
        """True when everything recorded so far is committed by the server."""
        channel = self._channel
        if channel is None:
            return True
        with guard:
            return channel.flush(timeout)
        return False

    def sync_offline(self) -> dict[str, int]:
        """Send what waits here and what earlier processes could not send: `{"synced": n, "failed": m}`, in runs."""
        channel = self._channel
        if channel is not None:
            with guard:
                return channel.sync_offline()
        return {"synced": 0, "failed": 0}


def _with(settings: Settings, code_version: str | None, environment: str | None) -> Settings:
    from dataclasses import replace

    return replace(
        settings,
        code_version=as_optional_text(code_version) or settings.code_version,
        environment=as_optional_text(environment) or settings.environment,
    )


def _remote_step(run: Run, carrier: Mapping[str, str]) -> Step | None:
    """The step the call came from, as a parent for the steps made here; it is never recorded again."""
    step_id = {as_text(key).lower(): as_text(value) for key, value in carrier.items()}.get(STEP_HEADER)
    if step_id is None:
        return None
    step = Step(run, "", None, "full", 0)
    step.step_id = step_id
    return step


def current_run() -> Run | NullRun:
    """The run the code is in; outside of any, one that records nothing and is falsy."""
    return context.RUN.get() or NULL_RUN


def current_step() -> Step | NullStep:
    """The step the code is in; outside of any, one that records nothing and is falsy."""
    return context.STEP.get() or NULL_STEP


__all__ = ["XRay", "current_run", "current_step", "now_us"]
