"""Which environment asks for traces, and what becomes of them at the end."""

import builtins
import logging
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gateway.core.errors import StartError
from gateway.hooks.courier import LAST_S
from gateway.pipeline.stages import Stages
from gateway.runtime.last_resort import WORKER_S
from gateway.runtime.services import tracing
from gateway.runtime.services.tracing import (
    MAGIC,
    NOT_INSTALLED,
    STAGES,
    STORE,
    is_asked_for,
    traces,
)
from gateway.store.redis import RedisStore
from gateway.users.magic_api import MagicApi
from tests.fakes.pipelines import PUBLIC, pipeline_for

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "front"}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", **ENDPOINT}, False),
        ({"OTEL_SDK_DISABLED": "true", **ENDPOINT}, False),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", **ENDPOINT}, True),
    ],
)
def test_which_environment_asks_for_traces(environ: Mapping[str, str], *, expected: bool) -> None:
    """One that names an exporter or its endpoint, and does not turn it off."""
    assert expected == is_asked_for(environ)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"OTEL_TRACES_EXPORTER": "jaeger"}, "OTEL_TRACES_EXPORTER: jaeger: expected otlp or none"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", **ENDPOINT}, "grpc: expected http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "_ENDPOINT: expected http://HOST:PORT"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "x"}, "_TRACES_ENDPOINT: expected http://"),
    ],
)
def test_what_the_gateway_cannot_export_by(environ: Mapping[str, str], message: str) -> None:
    """It does not start: traces would be missing without a word."""
    with pytest.raises(StartError, match=message):
        is_asked_for(environ)


async def test_without_the_extra_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    imported = builtins.__import__

    def missing(name: str, *more: Any) -> object:
        if name.startswith("opentelemetry.exporter"):
            raise ModuleNotFoundError(name=name)
        return imported(name, *more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(StartError) as caught:
        async with traces(ENDPOINT):
            pass
    assert NOT_INSTALLED in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1", "OTEL_…: max_queue_size must be"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-4", "OTEL_…: OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT must"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,Authorization: Bearer s3cret", "expected name=value"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "s3cret", "expected name=value"),
    ],
)
async def test_a_value_that_cannot_be_used_ends_the_start(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: str,
    message: str,
) -> None:
    """With a message, in which no credential is; nor is one in the log."""
    monkeypatch.setenv(name, value)
    with pytest.raises(StartError, match=message) as caught:
        async with traces({**ENDPOINT, name: value}):
            pass
    assert "s3cret" not in f"{caught.value}{caplog.text}"


async def test_credentials_for_the_collector_may_be_written_in_either_way() -> None:
    """Percent-encoded, as the specification wants it, or as they are."""
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20x, Tenant=a b,"}
    async with traces({**ENDPOINT, **headers}) as made:
        assert made is not None


def test_the_end_leaves_time_to_a_collector_that_hangs() -> None:
    """Else a worker would be ended for it, and its last log lines with it."""
    the_log_s = 1.0
    assert tracing._FLUSH_S + LAST_S + the_log_s <= WORKER_S


async def test_a_collector_that_hangs_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is lost is said."""
    monkeypatch.setattr(tracing, "_FLUSH_S", 0.05)
    caplog.set_level(logging.WARNING, "gateway")
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        monkeypatch.setenv(
            "OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{hanging.getsockname()[1]}"
        )
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        async with traces(ENDPOINT) as made:
            assert made is not None
            made.part(object(), {})
            provider_span(made)
    told = [record.message for record in caplog.records if record.name == "gateway"]
    assert ["traces were not exported within 0.05 s: the last are lost"] == told


def provider_span(made: Any) -> None:
    """Export one span."""
    made._tracer.start_span("x").end()


def test_the_calls_of_the_tables_exist() -> None:
    """Else a stage that was renamed would end the start."""
    stages: Stages = pipeline_for(PUBLIC).pipeline.stages
    calls: Sequence[tuple[object, Mapping[str, str]]] = [
        *((getattr(stages, name), calls) for name, calls in STAGES.items()),
        (RedisStore, STORE),
        (MagicApi, MAGIC),
    ]
    missing = [call for part, named in calls for call in named if not hasattr(part, call)]
    assert [] == missing
