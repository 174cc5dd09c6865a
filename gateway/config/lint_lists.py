"""Lints of the deny and allow lists of limits; see `gateway.config.lint`."""

from gateway.config.compile import LOGIN
from gateway.config.lint_limits import limits_of
from gateway.config.lint_rules import Lint, LintFindings, routes
from gateway.config.schema import Settings
from gateway.core.limit import PROVEN_PARTS
from gateway.core.route import Auth
from gateway.ratelimit.entry import Entry


def _callers_allowed_too_late(settings: Settings) -> LintFindings:
    for name, entry in settings.limits.items():
        is_late = entry.concurrent is not None or not PROVEN_PARTS.isdisjoint(entry.per)
        if name == LOGIN or is_late:
            continue
        for place, each in enumerate(entry.allow):
            if _is_about_callers(each):
                yield (
                    ("limits", name, "allow", place),
                    "has no effect: the limit is charged before callers are known",
                    "name their addresses or networks",
                )


def _callers_denied_where_unknown(settings: Settings) -> LintFindings:
    denying = {
        name for name, entry in settings.limits.items() if any(map(_is_about_callers, entry.deny))
    }
    for key, route in routes(settings):
        for name in limits_of(settings, route):
            if route.auth is Auth.NONE and name in denying:
                yield (
                    key,
                    f"public: issuers and email addresses in limits.{name}.deny are not refused",
                    "use auth: optional",
                )


def _is_about_callers(each: object) -> bool:
    return isinstance(each, Entry) and each.prefix is None


LIST_LINTS: tuple[tuple[str, Lint], ...] = (
    ("allow-to-no-effect", _callers_allowed_too_late),
    ("denied-where-unknown", _callers_denied_where_unknown),
)
"""Codes and functions, in the order of the report."""
