"""Deadlines that do not count the loop's own stalls."""

import asyncio
import time

from gateway.util.stall import LONGEST, Deadline, FairDeadlines

TIMEOUT_S = 0.2


def test_a_deadline_is_over_when_its_time_is() -> None:
    """Looks that come in time change nothing."""
    deadline = Deadline(10.0, 10.2)

    assert [False, True] == [deadline.is_over(now_s, 0.001, TIMEOUT_S) for now_s in (10.19, 10.2)]


def test_a_late_look_puts_it_off_by_what_it_was_late() -> None:
    """The loop was stalled, and read nothing."""
    deadline = Deadline(10.0, 10.2)

    assert not deadline.is_over(10.3, 0.25, TIMEOUT_S)
    assert not deadline.is_over(10.44, 0.0, TIMEOUT_S)
    assert deadline.is_over(10.45, 0.0, TIMEOUT_S)


def test_what_began_during_a_stall_is_put_off_by_its_own_part() -> None:
    """The stall before it is not its own."""
    deadline = Deadline(10.0, 10.2)

    deadline.is_over(10.01, 5.0, TIMEOUT_S)

    assert 10.21 == round(deadline.due_s, 6)


def test_it_is_put_off_for_so_long_and_no_longer() -> None:
    """A loop that is always late ends its waits, too; after a stall there is one last look."""
    deadline = Deadline(10.0, 10.2)
    latest_s = 10.0 + LONGEST * TIMEOUT_S

    assert not deadline.is_over(99.0, 89.0, TIMEOUT_S)
    assert latest_s == deadline.due_s
    assert deadline.is_over(99.1, 0.05, TIMEOUT_S)


async def test_items_expire_one_by_one() -> None:
    """Those that end before do not, and no timer is left."""
    expired: list[str] = []
    deadlines: FairDeadlines[str] = FairDeadlines(0.02, expired.append)
    for item in ("a", "b", "c"):
        deadlines.begin(item, asyncio.get_running_loop())
    deadlines.end("b")
    deadlines.end("never began")

    async with asyncio.timeout(10):
        while len(expired) < 2:
            await asyncio.sleep(0.001)

    assert ["a", "c"] == expired
    assert deadlines._timer is None


async def test_a_stall_expires_nothing_by_itself() -> None:
    """After it, an item has the rest of its time."""
    expired: list[str] = []
    deadlines: FairDeadlines[str] = FairDeadlines(TIMEOUT_S, expired.append)
    deadlines.begin("a", asyncio.get_running_loop())
    await asyncio.sleep(0)
    time.sleep(2 * TIMEOUT_S)  # noqa: ASYNC251 (the stall)
    await asyncio.sleep(0.001)

    assert [] == expired
    deadlines.close()


async def test_after_the_close_nothing_expires() -> None:
    """The timer is cancelled."""
    expired: list[str] = []
    deadlines: FairDeadlines[str] = FairDeadlines(0.001, expired.append)
    deadlines.close()
    deadlines.begin("a", asyncio.get_running_loop())
    deadlines.close()

    assert deadlines._timer is None
    assert [] == expired


async def test_an_item_may_begin_while_another_expires() -> None:
    """There is one timer for both."""
    expired: list[str] = []

    def expire(item: str) -> None:
        expired.append(item)
        if item == "a":
            deadlines.begin("b", asyncio.get_running_loop())

    deadlines: FairDeadlines[str] = FairDeadlines(0.005, expire)
    deadlines.begin("a", asyncio.get_running_loop())

    async with asyncio.timeout(10):
        while len(expired) < 2:
            await asyncio.sleep(0.001)

    assert ["a", "b"] == expired


async def test_an_error_of_one_expiry_ends_no_other() -> None:
    """A mistake of the caller's is told to the loop."""
    expired: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: expired.append(repr(context["exception"])))

    def expire(item: str) -> None:
        if item == "a":
            raise ValueError(item)
        expired.append(item)

    deadlines: FairDeadlines[str] = FairDeadlines(0.02, expire)
    deadlines.begin("a", loop)
    deadlines.begin("b", loop)

    async with asyncio.timeout(10):
        while len(expired) < 2:
            await asyncio.sleep(0.001)

    assert ["ValueError('a')", "b"] == expired
