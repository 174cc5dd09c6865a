"""The container's files: what is published, what is secret, and that the parts fit together."""

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from gateway.cli.health import health
from gateway.cli.main import main
from gateway.config.compile import login_page
from gateway.config.lint import lint
from gateway.config.load import parse
from gateway.config.schema import Settings

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config" / "compose.yaml"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SECRETS = {
    "PUBLIC_URL": "https://app.example.com",
    "MAGIC_SECRET_KEY": "sk_live_1234567890",
    "MAGIC_PUBLISHABLE_KEY": "pk_live_1234567890",
    "SESSION_KEY": "0123456789abcdef0123456789abcdef",
}

SERVICE_KEYS = {
    *("build", "image", "command", "entrypoint", "environment"),
    *("depends_on", "healthcheck", "restart", "stop_grace_period"),
    *("networks", "ports", "volumes", "tmpfs"),
    *("cap_drop", "read_only", "security_opt"),
}
"""Those of the Compose specification that are in use: another one may be a slip of the pen."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """docker-compose.yml."""
    made = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert isinstance(made, dict)
    return made


@pytest.fixture(scope="module")
def settings() -> Settings:
    """The config that the gateway's container is given, with its secrets."""
    return parse(CONFIG.read_text(), CONFIG.name, SECRETS, lambda path: path)


def test_services_have_known_keys_and_defined_parts(compose: dict[str, Any]) -> None:
    """Every network, volume and service that is named is there."""
    assert {"services", "networks", "volumes"} == compose.keys()
    assert {"gateway", "redis", "app"} == compose["services"].keys()
    for service in compose["services"].values():
        assert service.keys() <= SERVICE_KEYS
        assert set(service["networks"]) <= compose["networks"].keys()
        assert set(service.get("depends_on", {})) <= compose["services"].keys()
        named = [volume.partition(":")[0] for volume in service.get("volumes", [])]
        assert {name for name in named if not name.startswith("./")} <= compose["volumes"].keys()


def test_only_the_gateway_is_published_and_only_to_this_host(compose: dict[str, Any]) -> None:
    """Neither Redis, nor the app, nor the private listener can be reached from outside."""
    published = {name: made.get("ports", []) for name, made in compose["services"].items()}
    assert {"gateway": ["127.0.0.1:8080:8080"], "redis": [], "app": []} == published
    assert compose["networks"]["back"]["internal"] is True
    assert ["back"] == compose["services"]["redis"]["networks"]
    assert ["back"] == compose["services"]["app"]["networks"]


def test_every_service_is_watched(compose: dict[str, Any]) -> None:
    """The gateway by its image, the others by the compose file; it waits for both of them."""
    services = compose["services"]
    assert "CMD" == services["redis"]["healthcheck"]["test"][0]
    assert "CMD" == services["app"]["healthcheck"]["test"][0]
    assert "HEALTHCHECK" in DOCKERFILE
    healthy = {"condition": "service_healthy"}
    assert {"redis": healthy, "app": healthy} == services["gateway"]["depends_on"]


def test_secrets_are_asked_for_by_name(compose: dict[str, Any]) -> None:
    """Each has no default, and a sentence for an operator who has not set it."""
    given = compose["services"]["gateway"]["environment"]
    for name in SECRETS:
        assert re.fullmatch(rf"\$\{{{name}:\?set it in \.env, .+\}}", given[name])


def test_the_container_is_given_what_its_config_asks_for(compose: dict[str, Any]) -> None:
    """Every variable without a default is passed on, and the config stands where it is read."""
    asked = set(re.findall(r"\$\{([A-Z_]+)\}", CONFIG.read_text()))
    gateway = compose["services"]["gateway"]
    assert asked == set(SECRETS)
    assert asked <= gateway["environment"].keys()
    assert ["./config/compose.yaml:/etc/gateway/gateway.yaml:ro"] == gateway["volumes"]
    assert "GATEWAY_CONFIG=/etc/gateway/gateway.yaml" in DOCKERFILE


def test_users_can_sign_in(settings: Settings) -> None:
    """The login page has its key, and `gateway check` has nothing to warn of."""
    assert login_page(settings) is not None
    assert () == lint(settings)


def test_the_config_names_the_services(settings: Settings) -> None:
    """Live mode, on the port that is published, with the hosts of the compose file."""
    assert "live" == settings.magic.mode
    assert [("0.0.0.0", 8080)] == [tuple(address) for address in settings.server.listen]
    assert "redis://redis:6379/0" == settings.redis.url.get_secret_value()
    assert ["http://app:3000"] == [str(server) for server in settings.upstreams["app"].servers]


def test_the_health_check_asks_the_private_listener(settings: Settings) -> None:
    """The one of the config, which is on loopback."""
    assert settings.admin is not None
    [line] = [line for line in DOCKERFILE.splitlines() if "CMD" in line]
    program, *arguments = json.loads(line.partition("CMD")[2])
    assert ("gateway", "health", f"http://{settings.admin.listen}") == (
        *(program, arguments[0]),
        arguments[arguments.index("--url") + 1],
    )
    with health.make_context(
        "health", arguments[1:], parent=click.Context(main, **main.context_settings)
    ) as context:
        assert ("live", True) == (context.params["probe"], context.params["timeout_s"] < 3)
    assert str(settings.admin.listen).startswith("127.0.0.1:")


def test_requests_have_time_to_finish(compose: dict[str, Any], settings: Settings) -> None:
    """Docker kills what does not stop; that must come after the drain."""
    grace = compose["services"]["gateway"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > settings.server.timeouts.drain_s


def test_the_image_runs_the_gateway_as_nobody_special() -> None:
    """Two stages, of which only the last is kept: a user without rights, no shell in between."""
    build, final = re.split(r"^FROM .*$", DOCKERFILE, flags=re.MULTILINE)[1:]
    assert "pip" in build
    assert "pip" not in final
    assert re.search(r"^USER (?!0)\d+:\d+$", final, re.MULTILINE)
    assert ["gateway", "run"] == json.loads(final.split("ENTRYPOINT ")[1])
