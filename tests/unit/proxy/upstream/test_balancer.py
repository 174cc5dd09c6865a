"""Which server gets a request."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.route import Balance
from gateway.proxy.upstream.balancer import Balancer, Endpoint, HealthPolicy

POLICY = HealthPolicy(
    eject_after=3,
    eject_s=10,
    longest_ejection_s=40,
    slow_start_s=10,
    healthy_after=2,
    unhealthy_after=3,
)
SOON_S, LATER_S = 5.0, 1000.0


def group(
    count: int, balance: Balance = Balance.ROUND_ROBIN, policy: HealthPolicy = POLICY
) -> Balancer:
    """Servers a, b, c, …"""
    return Balancer([Endpoint(chr(ord("a") + place)) for place in range(count)], balance, policy)


def chosen(
    servers: Balancer,
    now_s: float,
    times: int = 1,
    caller: str = "",
    tried: Sequence[Endpoint] = (),
) -> str:
    """The names of the servers of the next requests."""
    return "".join(servers.choose(caller, now_s, tried).name for _ in range(times))


def fail(servers: Balancer, place: int, now_s: float, times: int = 3) -> bool:
    """Requests to one server fail; whether it was ejected for the last one."""
    return [servers.failed(servers.members[place], now_s) for _ in range(times)][-1]


# --- choosing ----------------------------------------------------------------------------------


def test_round_robin_takes_turns() -> None:
    """Each server once, then again."""
    assert "abcabcabc" == chosen(group(3), 0, 9)


def test_the_least_busy_is_chosen() -> None:
    """By requests under way; in turn where that is equal."""
    servers = group(3, Balance.LEAST_CONNECTIONS)
    assert {"a": 2, "b": 2, "c": 2} == Counter(chosen(servers, 0, 6))
    a, b, c = servers.members
    a.in_flight, b.in_flight, c.in_flight = 2, 1, 3
    assert "bbbb" == chosen(servers, 0, 4)


@given(st.lists(st.text(), min_size=1, max_size=30, unique=True), st.integers(2, 6), st.data())
def test_who_leaves_takes_only_its_own_callers(
    callers: list[str], count: int, data: st.DataObject
) -> None:
    """By issuer: the callers of the servers that stay are not moved, and come home after."""
    servers = group(count, Balance.BY_ISSUER, POLICY._replace(eject_after=1))
    home = {caller: chosen(servers, 0, caller=caller) for caller in callers}
    gone = data.draw(st.sampled_from(servers.members))
    servers.failed(gone, 0)
    moved = {caller: chosen(servers, SOON_S, caller=caller) for caller in callers}
    assert gone.name not in moved.values()
    assert {c: h for c, h in home.items() if h != gone.name}.items() <= moved.items()
    assert home == {caller: chosen(servers, LATER_S, caller=caller) for caller in callers}


def test_callers_are_spread_evenly() -> None:
    """A thousand callers over four servers: none has less than a fifth of them."""
    servers = group(4, Balance.BY_ISSUER)
    homes = Counter(chosen(servers, 0, caller=f"did:ethr:{number}") for number in range(1000))
    assert all(200 < count < 300 for count in homes.values())


def test_callers_come_home_by_and_by() -> None:
    """A server on its way back is given ever more of its callers."""
    servers = group(2, Balance.BY_ISSUER)
    callers = [f"did:ethr:{number}" for number in range(400)]
    mine = [caller for caller in callers if chosen(servers, 0, caller=caller) == "a"]
    fail(servers, 0, 0)
    shares = [
        sum(chosen(servers, now_s, caller=caller) == "a" for caller in mine) / len(mine)
        for now_s in (9, 11, 15, 20)
    ]
    assert shares == sorted(shares)
    assert (0, 1) == (shares[0], shares[-1])
    assert 0 < shares[1] < 0.3
    assert 0.3 < shares[2] < 0.7


def test_all_come_back_at_once() -> None:
    """By issuer, with every server on its way back, callers are at home all the same."""
    servers = group(2, Balance.BY_ISSUER)
    home = chosen(servers, 0, caller="x")
    for is_healthy in (False, False, False, True, True):
        for member in servers.members:
            servers.checked(member, 0, is_healthy=is_healthy)
    seen = {chosen(servers, 0.01, caller=f"{number}") for number in range(100)}
    assert {"a", "b"} == seen
    assert home == chosen(servers, LATER_S, caller="x")


# --- ejection ----------------------------------------------------------------------------------


def test_failures_in_a_row_eject() -> None:
    """One answer between them, and they begin anew."""
    servers = group(2)
    member = servers.members[0]
    assert not fail(servers, 0, 0, 2)
    member.answered(0)
    assert not fail(servers, 0, 0, 2)
    assert fail(servers, 0, 0, 1)
    assert "bbbb" == chosen(servers, SOON_S, 4)


def test_what_is_heard_of_an_ejected_server_is_old() -> None:
    """Requests from before that end now say nothing new, neither way."""
    servers = group(3)
    fail(servers, 0, 0)
    assert not fail(servers, 0, 1)
    servers.members[0].answered(1)
    assert "a" not in chosen(servers, 9.9, 6)
    assert "a" in chosen(servers, 10, 20)


@pytest.mark.parametrize(("count", "most"), [(1, 0), (2, 1), (3, 1), (4, 2), (7, 3)])
def test_at_most_half_are_ejected(count: int, most: int) -> None:
    """A failure of all servers is not the fault of one."""
    servers = group(count)
    assert most == sum(fail(servers, place, 0) for place in range(count))
    assert count - most == len(set(chosen(servers, SOON_S, 50)))


def test_a_server_comes_back_slowly() -> None:
    """First a tenth of its share, in the end all of it."""
    servers = group(2)
    fail(servers, 0, 0)
    assert 0.0 == chosen(servers, 9, 100).count("a")
    shares = []
    for now_s in (10, 15, 21):
        shares.append(chosen(servers, now_s, 200).count("a"))
        servers.members[0].answered(now_s)
    assert [18, 67, 100] == [pytest.approx(share, abs=2) for share in shares]


def test_one_that_comes_back_and_fails_goes_at_once_and_for_longer() -> None:
    """The pause doubles up to the longest; after a good while it begins anew."""
    servers = group(2)
    fail(servers, 0, 0)
    now_s, pauses = 10.0, []
    for _ in range(4):
        assert "a" in chosen(servers, now_s, 30)
        assert fail(servers, 0, now_s, 1)
        began_s = now_s
        while "a" not in chosen(servers, now_s, 30):
            now_s += 1
        pauses.append(now_s - began_s)
    assert [20, 40, 40, 40] == pauses
    servers.members[0].answered(now_s)
    assert fail(servers, 0, LATER_S)
    assert "a" not in chosen(servers, LATER_S + 9, 30)
    assert "a" in chosen(servers, LATER_S + 10, 30)


def test_one_on_trial_that_answers_is_trusted_again() -> None:
    """It takes as many failures as before to eject it."""
    servers = group(2)
    fail(servers, 0, 0)
    chosen(servers, 10, 30)
    servers.members[0].answered(10)
    assert not fail(servers, 0, 10, 2)
    assert fail(servers, 0, 10, 1)


def test_on_trial_while_the_others_are_out() -> None:
    """Half of them are out already: it stays, and may still answer."""
    servers = group(2)
    fail(servers, 0, 0)
    chosen(servers, 10, 30)
    fail(servers, 1, 10)
    assert not fail(servers, 0, 10, 5)
    assert "aaa" == chosen(servers, 11, 3)


def test_nobody_comes_while_a_server_is_out() -> None:
    """What it hears first after a long silence still decides."""
    servers = group(2)
    fail(servers, 0, 0)
    assert "a" in chosen(servers, LATER_S, 2)
    assert fail(servers, 0, LATER_S, 1)


# --- once more ---------------------------------------------------------------------------------


def test_another_server_is_tried_if_there_is_one() -> None:
    """Then one that is out, as the last resort; then the same again."""
    servers = group(3)
    a, b, c = servers.members
    fail(servers, 0, 0)
    assert {"b", "c"} == set(chosen(servers, 1, 10))
    assert "cc" == chosen(servers, 1, 2, tried=[b])
    assert "aa" == chosen(servers, 1, 2, tried=[b, c])
    assert {"b", "c"} == set(chosen(servers, 1, 10, tried=[a, b, c]))


def test_the_last_resort_that_answers_is_back() -> None:
    """It has just shown that it can."""
    servers = group(2)
    a, b = servers.members
    fail(servers, 0, 0)
    assert "a" == chosen(servers, 1, tried=[b])
    a.answered(1)
    assert 0 < chosen(servers, 1, 100).count("a") < 20


# --- health ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "believed"),
    [
        pytest.param("+", True, id="well"),
        pytest.param("-", False, id="the-first-is-believed"),
        pytest.param("+--", True, id="a-few-bad-ones"),
        pytest.param("+---", False, id="enough-bad-ones"),
        pytest.param("+--+--", True, id="not-in-a-row"),
        pytest.param("-+", False, id="one-good-one"),
        pytest.param("-++", True, id="enough-good-ones"),
        pytest.param("-+-+", False, id="good-ones-not-in-a-row"),
    ],
)
def test_health_checks(results: str, believed: bool) -> None:
    """It takes several in a row to change what is believed, but for the first one."""
    servers = group(2)
    changes = [
        servers.checked(servers.members[0], 0, is_healthy=result == "+") for result in results
    ]
    assert believed == servers.members[0].is_usable(0)
    assert believed is (sum(changes) % 2 == 0)
    assert ("a" in chosen(servers, 0, 40)) is believed


def test_one_that_is_well_again_comes_back_slowly() -> None:
    """As after an ejection."""
    servers = group(2)
    for is_healthy in (False, True, True):
        servers.checked(servers.members[0], 0, is_healthy=is_healthy)
    assert 18 == pytest.approx(chosen(servers, 0, 200).count("a"), abs=2)
    assert 100 == pytest.approx(chosen(servers, 11, 200).count("a"), abs=2)


def test_where_all_are_ill_all_are_asked() -> None:
    """It may be the checks that fail."""
    servers = group(2)
    for member in servers.members:
        servers.checked(member, 0, is_healthy=False)
    assert {"a", "b"} == set(chosen(servers, 0, 10))


@given(
    st.sampled_from(Balance),
    st.integers(1, 5),
    st.lists(
        st.tuples(
            st.sampled_from(["fail", "answer", "ill", "well", "choose"]),
            st.integers(0, 4),
            st.floats(0, 30),
        ),
        max_size=60,
    ),
)
def test_somebody_is_always_asked(
    balance: Balance, count: int, events: list[tuple[str, int, float]]
) -> None:
    """In any order of events at most half are ejected, and no unusable server is chosen in vain."""
    servers, now_s = group(count, balance), 0.0
    for event, place, later_s in events:
        now_s += later_s
        member = servers.members[place % count]
        match event:
            case "fail":
                servers.failed(member, now_s)
            case "answer":
                member.answered(now_s)
            case "ill" | "well":
                servers.checked(member, now_s, is_healthy=event == "well")
        one = servers.choose("x", now_s)
        usable = [other for other in servers.members if other.is_usable(now_s)]
        assert one in (usable or servers.members)
        assert sum(other.is_ejected(now_s) for other in servers.members) <= count // 2


# --- looking ahead -----------------------------------------------------------------------------


@pytest.mark.parametrize("balance", Balance)
def test_a_preview_is_the_next_choice_and_takes_no_turn(balance: Balance) -> None:
    """However often it is asked, and while servers are out, too."""
    servers = group(4, balance)
    for now_s in (SOON_S, LATER_S):
        for caller in "abcdefgh":
            previews = {servers.preview(caller, now_s).name for _ in range(3)}
            assert {chosen(servers, now_s, caller=caller)} == previews
        fail(servers, 1, LATER_S)
