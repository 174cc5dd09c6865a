"""A bounded table for keys that peers choose."""

from gateway.util.generations import Generations


def test_a_key_in_use_outlives_any_number_of_others() -> None:
    """Keys that come once displace each other."""
    table: Generations[str, int] = Generations(3)
    table.keep("used", 1)
    for number in range(100):
        table.keep(f"made-up-{number}", number)
        assert 1 == table.get("used", table.renew("used"))
    assert table.renew("made-up-0") is None


def test_it_is_bounded() -> None:
    """A generation has its number of entries, and there are two."""
    table: Generations[int, int] = Generations(3)
    for number in range(100):
        table.keep(number, number)
        assert len(table) <= 3
    found = [number for number in range(100) if number in table or table.renew(number) is not None]
    assert len(found) <= 6
    assert 99 in found


def test_an_unknown_key_is_not_renewed() -> None:
    """There is nothing to keep."""
    table: Generations[str, int] = Generations(3)
    assert table.renew("a") is None
    assert {} == table


def test_what_is_not_looked_up_is_dropped_with_the_second_generation() -> None:
    """However few entries there are."""
    table: Generations[str, int] = Generations(3)
    table.keep("used", 1)
    table.keep("unused", 2)
    table.begin()
    assert 1 == table.renew("used")
    table.begin()
    assert 1 == table.renew("used")
    assert table.renew("unused") is None
