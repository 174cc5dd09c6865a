"""Status of a gateway, as workers send it and a supervisor merges it."""

from gateway.admin.status import Status, StatusCheck, merged_checks

FAILING = StatusCheck("store", False, "no answer")
OK = StatusCheck("store", True, "answered")


def test_a_status_survives_its_way_to_the_supervisor() -> None:
    """With its checks."""
    status = Status(True, "ok", "unavailable", True, (FAILING, OK))
    assert status == Status.from_json(status.to_json())


def test_a_check_that_fails_in_one_worker_fails() -> None:
    """Each name is listed once, in the order of the first worker."""
    other = StatusCheck("upstream app", True, "1 of 1 servers usable")
    assert (FAILING, other) == merged_checks([OK, other, FAILING, other])
    assert (FAILING,) == merged_checks([FAILING, OK])
    assert (FAILING,) == merged_checks([FAILING, FAILING._replace(detail="another")])
