"""What a process without a supervisor makes for itself."""

from gateway.runtime.process import standalone


def test_each_process_has_keys_of_its_own() -> None:
    """They are random, and nothing else is inherited."""
    one, other = standalone(), standalone()
    assert {32} == {len(key) for key in (*one[:2], *other[:2])}
    assert 4 == len({*one[:2], *other[:2]})
    assert (None, None, None) == one[2:5]
