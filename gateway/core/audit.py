"""What the audit file tells of: decisions about identities, and who made them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from gateway.core.word import WordWithMeaning


class AuditEvent(WordWithMeaning):
    """Kinds of lines, by their member ``event``."""

    LOGIN = "user.login", "A user signed in, or tried to with a DID token."
    LOGOUT = "user.logout", "A user signed out."
    SESSION_REVOKED = "session.revoked", "One session was ended by its user or by an operator."
    ISSUER_REVOKED = (
        "issuer.revoked",
        "All that an issuer has proven was revoked: sessions, tokens, tunnels.",
    )
    ACCESS_REFUSED = "access.refused", "An authenticated caller lacks a right, or was revoked."
    ADMIN_REFUSED = "admin.refused", "A request to the dashboard or its API was refused."
    ROLE_GRANTED = "role.granted", "Roles in the store were given."
    ROLE_REVOKED = "role.revoked", "Roles in the store were taken."
    API_KEY_CREATED = "api_key.created", "An API key was created."
    API_KEY_REVOKED = "api_key.revoked", "An API key was revoked."
    API_KEYS_RESEALED = "api_key.resealed", "API keys were sealed with the first session key."
    USER_FORGOTTEN = "user.forgotten", "Stored records of users were deleted."
    LIMIT_RESET = "limit.reset", "What a caller has used of a limit was set back."
    LIMIT_SET = "limit.set", "A caller was given a rate of its own, or lost it."
    LIMIT_LIST = "limit.list", "An entry was added to a list of a limit, or removed."
    HOOKS_REPLAYED = "hooks.replayed", "Dead letters of a webhook were queued again."
    HOOKS_DROPPED = "hooks.dropped", "Dead letters of a webhook were dropped."
    HOOKS_MARKED = "hooks.marked", "Issuers were marked as people who have signed in before."
    CONFIG_LOADED = "config.loaded", "A gateway started with this config."
    CONFIG_RELOADED = "config.reloaded", "A config was read again: applied, or refused."
    DRAINED = "gateway.drained", "An operator had a gateway drain by the API."
    BEGAN = "audit.began", "A process began a chain."
    ENDED = "audit.ended", "A process ended its chain: no line may follow."
    FILE_LEFT = "audit.file_left", "The chain goes on in another file, as SIGUSR1 asked."
    FILE_OPENED = "audit.file_opened", "The chain comes from another file, as SIGUSR1 asked."
    HALF_LINE = "audit.half_line", "The file ended in half a line, as a crash leaves it."
    LOST = "audit.lost", "Lines could not be written, and were dropped."


AuditResult = Literal["ok", "refused", "failed"]

AuditDetail = str | int | float | bool | list[str] | None

NO_DETAILS: Mapping[str, AuditDetail] = MappingProxyType({})


class AuditEntry(NamedTuple):
    """One decision. No member holds a secret."""

    event: AuditEvent
    actor: str
    """Who asked: an issuer, ``user@host`` of an operator, ``api-key:ID``, or ``gateway``."""
    subject: str = ""
    """What or who it is about."""
    origin: str = ""
    """Address of the client; the member ``from`` of the line."""
    result: AuditResult = "ok"
    reason: str = ""
    request_id: str = ""
    details: Mapping[str, AuditDetail] = NO_DETAILS
