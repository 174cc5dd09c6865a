"""Build what traces requests, where the environment names an exporter of OpenTelemetry."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from gateway import __version__
from gateway.core.errors import StartError
from gateway.core.ports import Store
from gateway.pipeline.stages import Stages
from gateway.runtime.process import MagicServices
from gateway.telemetry.tracing import Traces

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

STAGES: Final[Mapping[str, Mapping[str, str]]] = {
    "clients": {"client_of": "client address"},
    "resolver": {"resolve": "route"},
    "limits": {
        "charge_now": "limits",
        "charge": "limits",
        "charge_preflight": "limits",
        "charge_identity": "limits of the caller",
        "take_leases": "requests under way",
    },
    "authenticator": {"identify": "authenticate"},
    "authoriser": {"with_roles": "roles", "enforce": "authorise"},
    "fields": {"rewrite": "header fields"},
}
"""The spans of a request: the parts of `Stages`, and the calls that are stages."""

STORE: Final[Mapping[str, str]] = {
    name: f"store {name}" for name in ("get", "get_pair", "set", "add", "delete", "run", "publish")
}
MAGIC: Final[Mapping[str, str]] = {"user": "magic user", "issuers": "magic issuers"}

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HTTP = "http/protobuf"
_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
_FLUSH_S = 1.0
"""Time to export what is left at the end of the process; see `gateway.runtime.last_resort`."""

NOT_INSTALLED: Final = "traces are asked for, by OTEL_…: pip install 'magic-gateway[otel]'"

_log = logging.getLogger("gateway")


def is_asked_for(environ: Mapping[str, str]) -> bool:
    """
    Return whether the environment asks for traces, by the variables that OpenTelemetry defines.

    Raises `StartError` for an exporter or a protocol that the gateway does not have, and for an
    endpoint that is none.
    """
    exporter = environ.get("OTEL_TRACES_EXPORTER", "")
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter == "none":
        return False
    if exporter not in {"", "otlp"}:
        raise StartError(f"OTEL_TRACES_EXPORTER: {exporter}: expected otlp or none")
    endpoints = [name for name in _ENDPOINTS if environ.get(name)]
    if not exporter and not endpoints:
        return False
    for name in endpoints:
        if not environ[name].lower().startswith(("http://", "https://")):
            raise StartError(f"{name}: expected http://HOST:PORT or https://HOST:PORT")
    protocol = next(filter(None, map(environ.get, _PROTOCOLS)), _HTTP)
    if protocol != _HTTP:
        raise StartError(f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol}: expected {_HTTP}")
    return True


@asynccontextmanager
async def traces(environ: Mapping[str, str]) -> AsyncIterator[Traces | None]:
    """
    Build what traces requests; None where the environment asks for none.

    Raises `StartError` where it does, and the extra is not installed, or a value cannot be used.
    """
    if not is_asked_for(environ):
        yield None
        return
    try:
        from gateway.telemetry.otel import OpenTelemetryTraces  # noqa: PLC0415 (of the extra)

        provider = _provider(environ)
    except ImportError as error:
        raise StartError(f"{NOT_INSTALLED} ({error.name} is missing)") from error
    except ValueError as error:
        raise StartError(f"OTEL_…: {error}") from error
    try:
        yield OpenTelemetryTraces(provider.get_tracer("gateway", __version__))
    finally:
        await _end(provider)


def _provider(environ: Mapping[str, str]) -> "TracerProvider":
    """Build the provider; sampling, batches and the exporter follow the environment."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    _refuse_malformed_headers(environ)
    known = {SERVICE_NAME: environ.get("OTEL_SERVICE_NAME") or "gateway"}
    resource = Resource.create({**known, "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _refuse_malformed_headers(environ: Mapping[str, str]) -> None:
    """Raise `StartError` for what OpenTelemetry would ignore, and log with its credentials."""
    from opentelemetry.util.re import parse_env_headers  # noqa: PLC0415

    logging.getLogger(parse_env_headers.__module__).disabled = True
    for name in _HEADERS:
        entries = filter(str.strip, environ.get(name, "").split(","))
        if not all(parse_env_headers(entry, liberal=True) for entry in entries):
            raise StartError(f"{name}: expected name=value,…, percent-encoded")


async def _end(provider: "TracerProvider") -> None:
    """
    Export what is left, within a time: a collector that hangs does not hold up the end.

    The thread is a daemon, which the end of the process does not wait for.
    """
    loop, flushed = asyncio.get_running_loop(), asyncio.Event()

    def flush() -> None:
        provider.force_flush(int(_FLUSH_S * 1000))
        with suppress(RuntimeError):  # the loop is closed: it was too late
            loop.call_soon_threadsafe(flushed.set)

    threading.Thread(target=flush, daemon=True).start()
    try:
        async with asyncio.timeout(_FLUSH_S):
            await flushed.wait()
    except TimeoutError:
        _log.warning("traces were not exported within %s s: the last are lost", _FLUSH_S)


def traced_stages(stages: Stages, traces: Traces) -> Stages:
    """Return ``stages`` with a span around each."""
    parts = {name: traces.part(getattr(stages, name), calls) for name, calls in STAGES.items()}
    return replace(stages, **parts)


def traced_store(store: Store, traces: Traces | None) -> Store:
    """Return ``store`` with a span around each call within a trace."""
    return store if traces is None else traces.part(store, STORE)


def traced_magic(magic: MagicServices, traces: Traces | None) -> MagicServices:
    """Return ``magic`` with a span around each question to it within a trace."""
    return magic if traces is None else replace(magic, source=traces.part(magic.source, MAGIC))
