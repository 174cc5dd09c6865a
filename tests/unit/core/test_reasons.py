"""Reasons of refusals."""

import re

import pytest

from gateway.core.reasons import ForbiddenReason, Reason

LISTS = [kind for kind in Reason.__subclasses__() if kind.__module__ == "gateway.core.reasons"]


def test_a_reason_is_its_word_and_has_a_meaning() -> None:
    """The word is what logs, metrics and problem documents hold."""
    reason = ForbiddenReason.DENIED
    assert ("denied", "A `deny` rule of the route matches.") == (reason, reason.meaning)
    assert "denied" == f"{reason}"


def test_a_list_of_reasons_is_closed() -> None:
    """A word that is not on it is an error."""
    assert "denied" in list(ForbiddenReason)
    assert "dry" not in list(ForbiddenReason)


@pytest.mark.parametrize("kind", LISTS, ids=lambda kind: kind.__name__)
def test_words_can_stand_in_labels_and_meanings_are_sentences(kind: type[Reason]) -> None:
    """Metrics and log queries use the words; people read the meanings."""
    assert LISTS
    for reason in kind:
        assert re.fullmatch("[a-z][a-z0-9_]*", reason)
        assert reason.meaning.endswith(".")


def test_reasons_that_clients_see_name_no_value_of_a_rule() -> None:
    """They say which matcher failed: the list is short, and the same for all routes."""
    assert {
        *("denied", "not_listed", "role_missing", "permission_missing", "scope_missing"),
        *("credential_not_allowed", "network_not_allowed", "method_not_allowed"),
    } == set(ForbiddenReason)
