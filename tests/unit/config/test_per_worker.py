"""Division of caps among workers."""

from collections.abc import Callable

from gateway.config.per_worker import share
from gateway.config.schema import Settings

Read = Callable[..., Settings]

TEXT = """
server:
  public_url: https://a
  max: {{connections: {connections}, connections_per_client: {of_one}}}
upstreams:
  app: {{servers: ['http://a'], connections: {to_app}, max_in_flight: {in_flight}}}
  other: {{servers: ['http://b'], connections: {to_app}}}
admin: {admin}
"""


def test_caps_are_divided(read: Read) -> None:
    """Shares are rounded up; all else is unchanged."""
    whole = read(TEXT.format(connections=100, of_one=10, to_app=2, in_flight=7, admin="{}"))
    assert read(TEXT.format(connections=34, of_one=10, to_app=1, in_flight=3, admin="{}")) == share(
        whole, 3
    )
