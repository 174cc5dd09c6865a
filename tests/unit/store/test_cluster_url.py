"""URLs of a Redis Cluster."""

import pytest

from gateway.store.cluster_url import parse
from gateway.store.slots import NodeAddress


def test_a_url_names_some_nodes_and_what_holds_for_all() -> None:
    """Each node has a URL of its own, with user, password and options."""
    url = parse("rediss+cluster://user:p%40ss@h1:7000,[::1]:7001,h3/0?ssl_ca_certs=/ca.pem")

    assert ("h1", 7000) == url.seeds[0]
    assert (NodeAddress("::1", 7001), NodeAddress("h3", 6379)) == url.seeds[1:]
    node = url.of_node(NodeAddress("10.0.0.1", 7003))
    assert "rediss://user:p%40ss@10.0.0.1:7003?ssl_ca_certs=/ca.pem" == node


@pytest.mark.parametrize("text", ["redis+cluster://h", "redis+cluster://h/", "redis+cluster://h/0"])
def test_a_cluster_has_one_database(text: str) -> None:
    """It may be named, and no other."""
    assert "redis://h:6379" == parse(text).of_node(parse(text).seeds[0])


@pytest.mark.parametrize(
    "text",
    [
        "redis://s3cret@h",
        "redis+cluster://",
        "redis+cluster://s3cret@",
        "redis+cluster://s3cret@h/1",
        "redis+cluster://s3cret@h/00",
        "redis+cluster://s3cret@h,",
        "redis+cluster://s3cret@h:0",
        "redis+cluster://s3cret@h:65536",
        "redis+cluster://s3cret@h:x",
        "redis+cluster://s3cret@[::1",
        "redis+cluster://s3cret@h h",
        "redis+cluster://s3cret@h#f",
    ],
)
def test_what_is_no_url_of_a_cluster(text: str) -> None:
    """It is refused, and not repeated: it may hold a password."""
    with pytest.raises(ValueError, match="expected") as refused:
        parse(text)

    assert "s3cret" not in str(refused.value)
