"""How many lines clients can cause."""

from gateway.audit.sampling import MAX_A_SECOND, SAMPLE_S, RefusalSampler


def test_equal_refusals_have_one_line_a_minute() -> None:
    """It says for how many it stands; another kind has a line of its own."""
    sampler = RefusalSampler()
    assert [1, 0, 0] == [sampler.count(("a",), 1000.0 + each) for each in range(3)]
    assert 1 == sampler.count(("b",), 1002.0)
    assert 3 == sampler.count(("a",), 1000.0 + SAMPLE_S)
    assert 1 == sampler.count(("a",), 900.0)


def test_a_flood_of_different_refusals_is_bounded() -> None:
    """What found no line is told with the next of its kind."""
    sampler = RefusalSampler()
    counts = [sampler.count((str(each),), 1000.5) for each in range(MAX_A_SECOND + 5)]
    assert MAX_A_SECOND == sum(counts)
    assert 2 == sampler.count((str(MAX_A_SECOND + 1),), 1001.5)
