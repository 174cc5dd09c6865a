"""Charges, grouped for the scripts that settle them."""

from gateway.core.limit import Limit, Spend
from gateway.ratelimit.charge import Charge, by_algorithm, merged


def _charge(limit: Limit, caller: str) -> Charge:
    return Charge((id(limit), caller), limit)


def test_charges_are_grouped_by_algorithm_and_limit_in_order_of_arrival() -> None:
    """Limits of the same name are two limits, as after a reload."""
    one, same, other = Limit("a", 1, 10), Limit("a", 1, 10), Limit("b", 1, 10, algorithm="quota")
    charges = [_charge(one, "x"), _charge(other, "x"), _charge(same, "x"), _charge(one, "y")]

    parts = by_algorithm(charges)

    assert {
        "sliding-window": [(one, [charges[0], charges[3]]), (same, [charges[2]])],
        "quota": [(other, [charges[1]])],
    } == parts
    assert one is parts["sliding-window"][0].limit


def test_a_charge_asks_for_all_its_requests() -> None:
    """Also for those that were admitted ahead."""
    charge = _charge(Limit("a", 1, 10), "x")
    charge.ahead = 2

    assert 2 == charge.asked


def test_charges_of_one_limit_and_caller_are_one() -> None:
    """It costs what they cost together; each has a place in the answer."""
    one, other = Limit("a", 9, 10), Limit("b", 9, 10)
    spends = [Spend(one, "x", 2), Spend(other, "x"), Spend(one, "x"), Spend(one, "y")]

    distinct, places = merged(spends)

    assert [Spend(one, "x", 3), Spend(other, "x"), Spend(one, "y")] == distinct
    assert [0, 1, 0, 2] == places
    assert (spends[:2], [0, 1]) == merged(spends[:2])
