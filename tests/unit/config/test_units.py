"""Durations, sizes, rates, counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import units
from gateway.core.rate import read_rate


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("250ms", 0.25, id="milliseconds"),
        pytest.param("10s", 10.0, id="seconds"),
        pytest.param("5m", 300.0, id="minutes"),
        pytest.param("1h", 3600.0, id="hours"),
        pytest.param("30d", 2_592_000.0, id="days"),
        pytest.param("3650d", 315_360_000.0, id="the-longest"),
    ],
)
def test_duration(text: str, expected: float) -> None:
    """A duration is a whole number and its unit."""
    assert expected == units.duration_s(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("10", id="a-number-without-unit-could-be-anything"),
        pytest.param("0s", id="zero-would-switch-a-timeout-off-or-fire-at-once"),
        pytest.param("-1s", id="negative"),
        pytest.param("1.5h", id="a-fraction"),
        pytest.param("1h30m", id="two-units"),
        pytest.param("10 s", id="a-space"),
        pytest.param("10s\n", id="a-newline"),
        pytest.param("10S", id="upper-case"),
        pytest.param("١s", id="digits-of-another-script"),
        pytest.param("3651d", id="longer-than-ten-years"),
    ],
)
def test_no_duration(text: str) -> None:
    """A duration that could be misread is refused."""
    with pytest.raises(ValueError, match="expected a duration"):
        units.duration_s(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("512", 512, id="bytes-without-unit"),
        pytest.param("512B", 512, id="bytes"),
        pytest.param("16KiB", 16_384, id="kibibytes"),
        pytest.param("8MiB", 8_388_608, id="mebibytes"),
        pytest.param("1GiB", 1_073_741_824, id="gibibytes"),
        pytest.param("1024TiB", 1 << 50, id="the-largest"),
    ],
)
def test_size(text: str, expected: int) -> None:
    """A size is a whole number of bytes, or of powers of 1024."""
    assert expected == units.size_bytes(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("0", id="zero-could-mean-none-or-unlimited"),
        pytest.param("16KB", id="thousands-or-1024s"),
        pytest.param("16k", id="lower-case"),
        pytest.param("1.5GiB", id="a-fraction"),
        pytest.param("1025TiB", id="more-than-the-parser-can-count"),
    ],
)
def test_no_size(text: str) -> None:
    """A size that could be misread is refused."""
    with pytest.raises(ValueError, match="expected a size"):
        units.size_bytes(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.0", "1e3", "1000000000", "true"])
def test_no_count(text: str) -> None:
    """A count is a whole number from 1 up, of at most nine digits."""
    with pytest.raises(ValueError, match="expected a whole number"):
        units.count(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(True, True, id="yes"),
        pytest.param(False, False, id="no"),
        pytest.param("true", True, id="yes-from-a-variable"),
        pytest.param("false", False, id="no-from-a-variable"),
    ],
)
def test_flag(value: object, expected: bool) -> None:
    """A flag is true or false, also as text."""
    assert units.flag(value) is expected


@pytest.mark.parametrize(("text", "expected"), [("0", 0), ("1", 1), ("10", 10)])
def test_few(text: str, expected: int) -> None:
    """A small number may be zero."""
    assert expected == units.few(text)


@pytest.mark.parametrize("text", ["", "-1", "11", "1.0", "1e1", "many", "9999999999"])
def test_not_few(text: str) -> None:
    """More than ten retries would overload an app that fails under load."""
    with pytest.raises(ValueError, match="expected a whole number from 0 to 10"):
        units.few(text)


@pytest.mark.parametrize("value", [1, 0, "yes", "no", "on", "True", "", None, [True]])
def test_no_flag(value: object) -> None:
    """Other words for true and false are refused: a misread switch is a security hole."""
    with pytest.raises(ValueError, match="expected true or false"):
        units.flag(value)


@given(st.integers(1, 3650 * 86_400_000))
def test_durations_are_read_as_they_are_written(length_ms: int) -> None:
    """Writing and reading gives the same duration, to the millisecond."""
    assert length_ms / 1000 == units.duration_s(units.duration_text(length_ms / 1000))


@given(st.integers(1, 1 << 50))
def test_sizes_are_read_as_they_are_written(size: int) -> None:
    """Writing and reading gives the same size."""
    assert size == units.size_bytes(units.size_text(size))


@given(st.one_of(st.none(), st.integers(1, 10**9).map(lambda n: n / 1000)))
def test_lifetimes_are_read_as_they_are_written(length_s: float | None) -> None:
    """Writing and reading gives the same lifetime; None is that of the token."""
    assert length_s == units.lifetime_s(units.lifetime_text(length_s))


@pytest.mark.parametrize(("size", "text"), [(0, "0B"), (1, "1B"), (65536, "64KiB")])
def test_a_size_that_may_be_zero_is_written_as_it_is_read(size: int, text: str) -> None:
    """Zero has no other unit than bytes."""
    assert text == units.size_or_zero_text(size)
    assert size == units.size_or_zero_bytes(text)
    assert 0 == units.size_or_zero_bytes("0")
    with pytest.raises(ValueError, match="expected a size"):
        units.size_or_zero_bytes("0KiB")


@pytest.mark.parametrize(("text", "expected"), [("auto", None), ("1", 1), ("256", 256)])
def test_workers(text: str, expected: int | None) -> None:
    """A number of processes, or as many as there are cores; written as it is read."""
    assert expected == units.workers(text)
    assert text == str(units.workers_text(expected))


@pytest.mark.parametrize("text", ["0", "257", "-1", "many", "", "1e2"])
def test_no_workers(text: str) -> None:
    """Zero workers, and more than 256, are typing errors."""
    with pytest.raises(ValueError, match=r"^expected auto, or a whole number from 1 to 256$"):
        units.workers(text)


@given(st.integers(1, 10**9 - 1))
def test_counts_are_read_as_they_are_written(number: int) -> None:
    """Writing and reading gives the same count."""
    assert number == units.count(str(number))


@pytest.mark.parametrize(
    "parse", [units.duration_s, units.size_bytes, read_rate, units.count, units.lifetime_s]
)
@given(text=st.text())
def test_no_parser_shows_what_it_read(parse: object, text: str) -> None:
    """A parser returns a value or says what it expected; the text itself may be a secret."""
    assert callable(parse)
    try:
        parse(text)
    except ValueError as error:
        assert str(error).startswith("expected ")  # noqa: PT017 - that it raises is not the claim
