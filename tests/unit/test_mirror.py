"""The tree of ``tests/unit``: it mirrors the package, a test file for each module."""

from pathlib import Path

from tools.layers import PACKAGE

UNIT = Path(__file__).parent

COVERED_ELSEWHERE = {
    "__main__": "Calls `cli.main`; every journey starts the gateway by it.",
    "authn.api_key.inspect": "tests/unit/authn/test_inspect.py inspects each kind.",
    "authn.did_token.inspect": "tests/unit/authn/test_inspect.py inspects each kind.",
    "authn.jwt.inspect": "tests/unit/authn/test_inspect.py inspects each kind.",
    "cli.api_keys": "tests/contract/test_api_key_commands.py runs each of its commands.",
    "cli.issuers": "tests/journey/test_sessions_cli.py names users by email.",
    "cli.limits": "tests/journey/test_limits_cli.py runs each of its commands.",
    "cli.roles": "tests/journey/test_roles_cli.py runs each of its commands.",
    "cli.sessions": "tests/journey/test_sessions_cli.py runs each of its commands.",
    "cli.signed_in": "tests/journey/test_sessions_cli.py lists who is signed in.",
    "cli.users": "tests/journey/test_users_cli.py runs each of its commands.",
    "config.check": "tests/unit/config/test_checks.py runs every check.",
    "config.credential_checks": "tests/unit/config/test_checks.py runs every check.",
    "config.redis_checks": "tests/unit/config/test_redis.py breaks each of its rules.",
    "store.store_check": "tests/contract/test_store_check.py examines servers of each kind.",
    "proxy.client_side": "A protocol, which mypy checks; test_exchange.py beside it implements it.",
    "proxy.downstream.phase": "tests/unit/proxy/downstream/test_connection.py tests its table.",
    "proxy.downstream.serve": "tests/unit/proxy/downstream/test_connection.py serves by it.",
    "proxy.http1.parser": "tests/contract/test_http1.py holds aiohttp's parsers to their contract.",
    "core.address": "Two type aliases, which mypy checks.",
    "core.limit": "Values without behaviour; the tests of `ratelimit` compare them.",
    "core.ports": "Protocols; tests/contract runs each over all its implementations.",
    "core.record": "Values without behaviour; the tests of `pipeline` compare them.",
    "core.request": "Values without behaviour; the tests of every stage compare them.",
    "proxy.tunnel.switch": "tests/journey/test_upgrades.py upgrades over real sockets.",
    "proxy.upstream.answer": "Values, which tests/unit/proxy/upstream/test_connection.py reads.",
    "ratelimit.counts": "tests/contract/test_limit_counts.py runs it over each kind of store.",
    "ratelimit.list_store": "tests/contract/test_limit_lists.py runs it over each kind of store.",
    "runtime.services.credentials.api_key": "tests/journey/test_api_keys.py enables the kind.",
    "runtime.services.credentials.certificate": "tests/journey/test_certificates.py enables it.",
    "runtime.services.credentials.did_token": "tests/journey/test_identity.py sends DID tokens.",
    "runtime.services.credentials.jwt": "tests/journey/test_jwts.py enables the kind.",
    "runtime.services.credentials.kind": "test_registry.py beside it makes a toy of its type.",
}
"""Modules without a test file of their name, and the reason. Add one only with such a reason."""


def modules() -> set[str]:
    """Name all modules of the package; those that only make a folder are left out."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for path in PACKAGE.rglob("*.py")
        if path.name != "__init__.py"
    }


def has_test_file(module: str) -> bool:
    """Whether the unit tests of ``module`` are in a file named after it."""
    *rooms, name = module.split(".")
    return UNIT.joinpath(*rooms, f"test_{name}.py").is_file()


def test_every_module_has_a_test_file_of_its_name() -> None:
    """A reader finds the tests of a module by its path, or the reason why there are none."""
    missing = {module for module in modules() if not has_test_file(module)}
    assert [] == sorted(missing - COVERED_ELSEWHERE.keys())


def test_the_list_of_exceptions_names_only_modules_without_a_test_file() -> None:
    """An entry goes when its module gets a test file, or is removed."""
    needless = [
        module for module in COVERED_ELSEWHERE if module not in modules() or has_test_file(module)
    ]
    assert [] == needless


def test_every_exception_has_a_reason() -> None:
    """A reason is a sentence."""
    assert [] == [module for module, why in COVERED_ELSEWHERE.items() if not why.endswith(".")]
