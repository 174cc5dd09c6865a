"""When Magic is left alone."""

from gateway.util.circuit_breaker import MAX_PAUSE_S, Circuit


def test_a_few_failures_are_tolerated() -> None:
    """One failure fewer than tolerated, or a success in between, keeps calls going."""
    circuit = Circuit(tolerated=3)
    circuit.failed(10.0)
    circuit.failed(10.0)
    circuit.succeeded()
    circuit.failed(10.0)
    circuit.failed(10.0)
    assert circuit.open_for_s(10.0) == 0


def test_pause() -> None:
    """After the last tolerated failure there is a pause; after it, one failure is enough."""
    circuit = Circuit(tolerated=2, pause_s=4.0)
    circuit.failed(10.0)
    circuit.failed(10.0)
    assert [circuit.open_for_s(now_s) for now_s in (10.0, 13.0, 14.0)] == [4.0, 1.0, 0.0]
    circuit.failed(15.0)
    assert circuit.open_for_s(15.0) == 4.0


def test_retry_after() -> None:
    """Who says when to come back is believed at once, but not for ever."""
    circuit = Circuit()
    circuit.failed(10.0, retry_after_s=7.0)
    assert circuit.open_for_s(10.0) == 7.0
    circuit.failed(10.0, retry_after_s=1e9)
    assert circuit.open_for_s(10.0) == MAX_PAUSE_S


def test_a_failure_shortens_no_pause() -> None:
    """A late failure of another call does not undo what Retry-After asked for."""
    circuit = Circuit(tolerated=1, pause_s=1.0)
    circuit.failed(10.0, retry_after_s=60.0)
    circuit.failed(10.0)
    circuit.failed(10.0, retry_after_s=0.0)
    assert circuit.open_for_s(10.0) == 60.0
