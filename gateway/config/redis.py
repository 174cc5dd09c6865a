"""Sections of ``redis``: TLS with the server, and the credentials of sentinels."""

from typing import Annotated

from gateway.config.addresses import Host
from gateway.config.section import GIVEN, Section
from gateway.config.texts import OptionalSecret, OptionalText


class RedisTlsSettings(Section):
    """TLS to rediss:// servers. The files are read again when they change, for new connections."""

    ca: OptionalText = ""
    """PEM file of trusted CAs. The CAs of the system when empty."""
    certificate: OptionalText = ""
    """PEM file: the gateway's client certificate and its chain, for servers that request one."""
    key: OptionalText = ""
    """PEM file: the private key of the client certificate."""
    server_name: Annotated[Host | None, GIVEN] = None
    """
    Name that the certificates of all servers must contain. The host of each server when absent:
    with Sentinel, the address that the sentinels tell.
    """


class SentinelSettings(Section):
    """Credentials for the sentinels themselves. Those for the servers stand beside."""

    username: OptionalText = ""
    """Name of the ACL user at the sentinels. The default user when empty."""
    password: OptionalSecret = None
    """Password at the sentinels. None when empty."""
    username_file: OptionalText = ""
    """File of the user name, read again for each connection."""
    password_file: OptionalText = ""
    """File of the password, read again for each connection."""
