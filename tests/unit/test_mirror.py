"""The tree of ``tests/unit``: it mirrors the package, a test file for each module."""

from pathlib import Path

from tools.layers import PACKAGE

UNIT = Path(__file__).parent

COVERED_ELSEWHERE = {
    "audit.heads": "tests/contract/test_audit_heads.py, over each kind of store.",
    "cli.audit": "tests/journey/test_audit.py verifies files of a running gateway.",
    "cli.audit_trail": "tests/journey/test_audit.py finds the line of each command.",
    "__main__": "Calls `cli.main`; every journey starts the gateway by it.",
    "authn.api_key.inspect": "tests/unit/authn/test_inspect.py inspects each kind.",
    "authn.did_token.inspect": "tests/unit/authn/test_inspect.py inspects each kind.",
    "authn.jwt.inspect": "tests/unit/authn/test_inspect.py inspects each kind.",
    "cli.terminal": "tests/unit/cli/test_common.py and test_health.py beside it.",
    "cli.api_keys": "tests/contract/test_api_key_commands.py runs each of its commands.",
    "hooks.dead_letters": "tests/contract/test_dead_letters.py, over each kind of store.",
    "hooks.known_people": "tests/contract/test_known_people.py, over each kind of store.",
    "hooks.outbox_view": "tests/contract/test_outbox_view.py, over each kind of store.",
    "hooks.queue_view": "tests/contract/test_queue_view.py, over each kind of store.",
    "hooks.first_login": "tests/contract/test_first_login.py, over each kind of store.",
    "hooks.outbox": "tests/contract/test_outbox.py, over each kind of store.",
    "hooks.outboxes": "tests/contract/test_outboxes.py, over a cluster and other stores.",
    "hooks.queue": "tests/contract/test_delivery_queue.py, over each kind of store.",
    "cli.hook_letters": "tests/journey/test_hooks_cli.py replays and drops letters.",
    "cli.hook_status": "tests/journey/test_hooks_cli.py lists endpoints and shows events.",
    "cli.hook_trial": "tests/journey/test_hooks_cli.py posts to receivers of each kind.",
    "cli.hooks": "tests/journey/test_hooks_cli.py runs each of its commands.",
    "cli.issuers": "tests/journey/test_sessions_cli.py names users by email.",
    "cli.limit_lists": "tests/journey/test_limits_cli.py shows the lists of callers.",
    "cli.limits": "tests/journey/test_limits_cli.py runs each of its commands.",
    "cli.roles": "tests/journey/test_roles_cli.py runs each of its commands.",
    "cli.sessions": "tests/journey/test_sessions_cli.py runs each of its commands.",
    "cli.signed_in": "tests/journey/test_sessions_cli.py lists who is signed in.",
    "cli.users": "tests/journey/test_users_cli.py runs each of its commands.",
    "config.check": "tests/unit/config/test_checks.py runs every check.",
    "config.credential_checks": "tests/unit/config/test_checks.py runs every check.",
    "config.hook_checks": "tests/unit/config/test_hooks.py breaks each of its rules.",
    "config.redis_checks": "tests/unit/config/test_redis.py breaks each of its rules.",
    "selftest.attacks.acceptance": "tests/unit/selftest/test_run.py attacks configs by it.",
    "selftest.attacks.addresses": "tests/unit/selftest/test_run.py attacks configs by it.",
    "selftest.attacks.cors": "tests/unit/selftest/test_run.py attacks configs by it.",
    "selftest.attacks.destinations": "tests/unit/selftest/test_run.py attacks configs by it.",
    "selftest.attacks.fields": "tests/unit/selftest/test_run.py attacks configs by it.",
    "selftest.attacks.identities": "tests/unit/selftest/test_run.py attacks configs by it.",
    "selftest.attacks.markup": "tests/unit/selftest/test_run.py attacks configs by it.",
    "selftest.attacks.pages": "tests/unit/selftest/test_run.py attacks configs by it.",
    "selftest.attacks.paths": "tests/unit/selftest/test_run.py attacks configs by it.",
    "selftest.attacks.smuggling": "tests/unit/selftest/test_run.py attacks configs by it.",
    "selftest.attacks.tokens": "tests/unit/selftest/test_run.py attacks configs by it.",
    "selftest.callers": "tests/unit/selftest/test_run.py attacks configs by it.",
    "selftest.corpus.answers": "tests/hostile/test_answers.py sends each answer.",
    "selftest.corpus.chunked": "tests/hostile/test_requests.py sends each request.",
    "selftest.corpus.forge": "tests/hostile/test_tokens.py sends what it forges.",
    "selftest.corpus.framing": "tests/hostile/test_requests.py sends each request.",
    "selftest.corpus.lines": "tests/hostile/test_requests.py sends each request.",
    "selftest.corpus.paths": "tests/hostile/test_checks.py asks for each target.",
    "selftest.corpus.redirects": "tests/unit/authn/test_return_to.py reads each value.",
    "selftest.corpus.request_case": "tests/hostile/test_requests.py sends what it writes.",
    "selftest.corpus.requests": "tests/hostile/test_requests.py sends each request.",
    "selftest.corpus.smuggling": "tests/hostile/test_requests.py sends each request.",
    "selftest.corpus.targets": "tests/hostile/test_requests.py sends each request.",
    "selftest.corpus.token_case": "tests/hostile/test_tokens.py sends what it forges.",
    "selftest.corpus.tokens": "tests/hostile/test_tokens.py sends each token.",
    "selftest.jwt_keys": "tests/unit/selftest/test_run.py attacks configs by it.",
    "selftest.lab": "tests/unit/selftest/test_run.py attacks configs by it.",
    "selftest.trial": "tests/unit/selftest/test_run.py attacks configs by it.",
    "store.lock": "tests/contract/test_lock.py, over each kind of store.",
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
    "core.handling": "Two types, which mypy checks; otel and the proxy hold them.",
    "core.word": "tests/unit/core/test_reasons.py and the audit tests read words and meanings.",
    "core.event_ports": "Protocols; tests/contract runs each over all its implementations.",
    "runtime.services.unmarked": "tests/journey/test_hooks_cli.py checks stores of each state.",
    "runtime.supervise": "tests/journey/test_workers.py starts, reloads and ends workers by it.",
    "sessions.absent": "tests/contract/test_sessions.py, over each kind of store.",
    "telemetry.metric_kinds": "test_metrics.py beside it tests the kinds by their metrics.",
    "admin.promotion": "Values; tests/unit/runtime/test_config_files.py promotes.",
    "runtime.quiet": "The tests of explanations and tests/journey/test_shadow.py decide by it.",
    "telemetry.tracing": "A port; test_otel.py beside it runs the one that implements it.",
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
