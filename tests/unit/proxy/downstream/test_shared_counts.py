"""Counts of connections in all workers."""

import os
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import NamedTuple

import pytest

from gateway.core.request import Client
from gateway.proxy.downstream.limits import ConnectionCounter
from gateway.proxy.downstream.shared_counts import SharedCounts
from gateway.routing.client_address import client_at

CLIENT, OTHER = client_at(ip_address("203.0.113.9")), client_at(ip_address("203.0.113.10"))


class Workers(NamedTuple):
    """Three workers, and what their supervisor sees."""

    counters: list[ConnectionCounter]
    shared: list[SharedCounts]
    supervisor: SharedCounts

    def served(self, number: int, times: int, cap: int, peer: Client = CLIENT) -> int:
        """How many of so many connections to a worker are within the cap."""
        return sum(self.counters[number - 1].acquire(peer, cap, ()) for _ in range(times))


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Three workers."""
    descriptor = SharedCounts.create(3)
    shared = [SharedCounts(descriptor, 3, number) for number in (1, 2, 3)]
    yield Workers([ConnectionCounter(each) for each in shared], shared, SharedCounts(descriptor, 3))
    os.close(descriptor)


@pytest.mark.parametrize("cap", [1, 10, 1000])
def test_a_client_has_its_cap_over_all_workers(workers: Workers, cap: int) -> None:
    """Whichever worker the kernel gives its connections to; it is exceeded by 5 % at most."""
    one = workers.served(1, cap // 2, cap)
    two = workers.served(2, cap * 2, cap)
    three = workers.served(3, cap * 2, cap)
    assert cap // 2 == one
    assert cap <= one + two + three <= cap * 1.05
    assert cap == workers.served(3, cap * 2, cap, OTHER)


def test_one_worker_may_have_all(workers: Workers) -> None:
    """A client whose connections all go to one worker has its whole cap there."""
    assert 1000 == workers.served(2, 2000, 1000)


def test_closed_connections_give_their_places_back(workers: Workers) -> None:
    """To the client at any worker; nothing is left of a client that is gone."""
    assert 100 == workers.served(1, 100, 100)
    for _ in range(100):
        workers.counters[0].release(CLIENT)
    place = workers.shared[0].place_of(CLIENT.limit_key)
    assert (0, 0) == (workers.shared[1].elsewhere(place), workers.counters[0].clients())
    assert 100 == workers.served(2, 200, 100)


def test_a_dead_worker_gives_its_places_back(workers: Workers) -> None:
    """The supervisor forgets them."""
    assert 100 == workers.served(1, 100, 100)
    assert 1 >= workers.served(2, 100, 100)
    workers.supervisor.clear(1)
    assert 99 <= workers.served(2, 200, 100)


def test_trusted_proxies_are_not_told_of(workers: Workers) -> None:
    """They are exempt at each worker, and take no place from a client."""
    exempt = (ip_network("203.0.113.9/32"),)
    assert all(workers.counters[0].acquire(CLIENT, 10, exempt) for _ in range(100))
    place = workers.shared[0].place_of(CLIENT.limit_key)
    assert 0 == workers.shared[1].elsewhere(place)


def test_a_client_cannot_know_its_place(workers: Workers) -> None:
    """Each gateway has a key of its own, which all of its workers use."""
    descriptor = SharedCounts.create(1)
    other_gateway = SharedCounts(descriptor, 1)
    os.close(descriptor)
    keys = [f"203.0.113.{last}" for last in range(20)]
    places = [[each.place_of(key) for key in keys] for each in (*workers.shared, other_gateway)]
    assert (places[0], places[0]) == (places[1], places[2])
    assert places[0] != places[3]
