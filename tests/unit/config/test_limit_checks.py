"""Checks of limits that read a draft of any shape."""

import pytest

from gateway.authn.api_key.key import limit_of
from gateway.config.draft import Draft
from gateway.config.limit_checks import LIMIT_CHECKS, OF_API_KEYS

DRAFTS: tuple[object, ...] = (
    None,
    {"limits": []},
    {"limits": {"login": 3, "a": {"rate": 5}, "failures": {"rate": 1, "per": {}}}},
    {"limits": {"login": {"rate": [], "per": 4, "ip_rate": None}}, "routes": {}},
    {"limits": {"a": {"concurrent": {}}}, "routes": [{"limits": {"a": 1}}]},
    {"routes": [3, {"cost": []}, {"limits": "a", "cost": "x"}, {"limits": [None], "cost": 9}]},
    {"limits": {"default": {"rate": "5/fortnight"}}, "routes": [{"cost": 9}]},
    {"limits": {"default": {"rate": "5/hour", "burst": "x"}}, "routes": [{"cost": 4}]},
)


@pytest.mark.parametrize("draft", DRAFTS)
def test_drafts_of_any_shape_are_read(draft: object) -> None:
    """What is wrong with a single key is told by the schema."""
    assert [] == [found for check in LIMIT_CHECKS for found in check.find(Draft(draft))]


def test_each_mistake_is_found_in_a_draft() -> None:
    """As it was written, before the schema has read it."""
    draft = Draft(
        {
            "limits": {
                "login": {"rate": "1/hour", "per": ["email", "route"], "ip_rate": "1/hour"},
                "default": {"rate": "5/hour"},
                "nothing": None,
                "both": {"concurrent": 2, "rate": "5/hour"},
            },
            "routes": [{"limits": ["login"]}, {"cost": "6"}, {"cost": 5}, {"limits": ["both"]}],
        }
    )
    assert [
        ("own-limit-per", ("limits", "login", "per")),
        ("own-limit-per", ("limits", "login", "ip_rate")),
        ("limit-by-email", ("routes", 0, "limits", 0)),
        ("cost-over-limit", ("routes", 1, "cost")),
        ("limit-without-rate", ("limits", "nothing", "rate")),
        ("limit-without-rate", ("limits", "both", "rate")),
        ("concurrency-of-checks", ("routes", 3, "limits", 0)),
    ] == [(check.code, found.path) for check in LIMIT_CHECKS for found in check.find(draft)]


@pytest.mark.parametrize("per", ["api-key", ["api-key"]])
def test_no_limit_shares_the_counts_of_the_rates_of_api_keys(per: object) -> None:
    """They are counted under the same name, by key: a request would count twice."""
    draft = Draft({"limits": {"api-key": {"rate": "9/hour", "per": per}}})
    [check] = [check for check in LIMIT_CHECKS if list(check.find(draft))]
    assert "limit-of-api-keys" == check.code
    for name, other in (("api-key", "ip"), ("keys", per)):
        draft = Draft({"limits": {name: {"rate": "9/hour", "per": other}}})
        assert [] == [found for check in LIMIT_CHECKS for found in check.find(draft)]


def test_the_rates_of_api_keys_have_the_name_that_is_checked() -> None:
    """Of a limit with a caller that is the id of a key."""
    assert OF_API_KEYS == limit_of(9, 3600).name
