"""What batches travel by."""

from gateway.store.rest import RestLines


async def test_an_exchange_over_rest_needs_a_task() -> None:
    """No line is ready before its answer is asked for."""
    lines = RestLines("http://127.0.0.1:1", "secret", 5)

    assert lines.take_ready(0.0) is None
    await lines.aclose()
