"""
All refusals of the gateway, and the one table that turns them into responses.

A stage refuses by raising a `Refusal`. Its class decides the response (`PROBLEM_TYPES`). Its
``reason`` is for the operator's log, holds nothing secret, and never reaches the client, except
that of `Forbidden`.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple

from gateway.core.limit import LimitState
from gateway.core.reasons import ForbiddenReason


class GatewayError(Exception):
    """Base of all errors that the gateway raises on purpose."""


class ConfigError(GatewayError):
    """The configuration cannot be used. ``problems`` names file, line and key of each error."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StartError(GatewayError):
    """The gateway cannot start here: a library lacks its C part, a port is taken, and the like."""


class NotReached(StartError):
    """A server that the gateway needs to start did not answer."""


class Refusal(GatewayError):
    """A request that goes no further. Abstract: raise one of its sub-classes."""

    reason: str
    login_url: str = ""
    """URL of the login page, for the problem document of a 401; empty if there is none."""
    signed_in_as: str = ""
    """What the session of the caller names: an email address, else a phone number or an issuer."""

    def __init__(self, reason: str = "") -> None:
        if type(self) not in PROBLEM_TYPES:
            raise TypeError(f"{type(self).__name__} is no kind of refusal: it has no response")
        self.args = (reason,)  # as `Exception` does: refusals come in floods, and a call costs more
        self.reason = reason


# --- the request as sent -------------------------------------------------------------------------


class BadRequest(Refusal):
    """The message breaks the grammar of HTTP/1.1, or is ambiguous."""


class BadTarget(Refusal):
    """The target is malformed or ambiguous (encoded slash, dot segment, control character)."""


class BadHost(Refusal):
    """Host is missing, malformed, or differs from the authority of an absolute-form target."""


class AmbiguousCredentials(Refusal):
    """Two credentials of one kind; picking one could pick the attacker's."""

    clears: tuple[str, ...] = ()
    """Set-Cookie values that clear cookies of our name that the gateway did not set."""

    def __init__(self, reason: str = "", *, is_cookie: bool = False) -> None:
        super().__init__(reason)
        self.is_cookie = is_cookie


class ConflictingCredentials(Refusal):
    """Two valid credentials that name different people or programs."""


class RequestTimeout(Refusal):
    """The client took too long to send the head or the next part of the body."""


class BodyTooLarge(Refusal):
    """The body is longer than ``server.max.body``."""


class HeadTooLarge(Refusal):
    """The head is longer than ``server.max.head_bytes`` or has too many fields."""


class UnsupportedVersion(Refusal):
    """Neither HTTP/1.0 nor HTTP/1.1."""


class UnsupportedMethod(Refusal):
    """A method that the gateway does not forward on any route."""


class UnsupportedCoding(Refusal):
    """A transfer coding other than ``chunked``."""


class UnsupportedUpgrade(Refusal):
    """The request asks for an upgrade that the gateway does not tunnel."""


class WrongWebSocketVersion(Refusal):
    """A WebSocket handshake of a version other than 13."""


class ExpectationFailed(Refusal):
    """``Expect`` asks for something other than ``100-continue``."""


# --- routing and limits --------------------------------------------------------------------------


class NoRoute(Refusal):
    """No route matches."""


class MethodNotAllowed(Refusal):
    """Routes match the host and the path, but none of them the method; `Allow` lists theirs."""

    def __init__(self, reason: str = "", allowed: Iterable[str] = ()) -> None:
        super().__init__(reason)
        self.allowed = tuple(allowed)


class UntrustedPeer(Refusal):
    """A forward-auth check from a peer that is not in ``server.trusted_proxies``."""


class BadOriginal(Refusal):
    """A forward-auth check whose description of the request is incomplete or contradicts itself."""


class RateLimited(Refusal):
    """A limit is used up; ``state`` says which, and when to come back."""

    def __init__(self, state: LimitState) -> None:
        Refusal.__init__(self, f"limit {state.limit.name}")  # half the time of `super`
        self.state = state


class DeniedByLimit(Refusal):
    """The caller is on the deny list of a limit of the route."""

    def __init__(self, limit: str) -> None:
        super().__init__(f"limit {limit}")


# --- credentials and rights ----------------------------------------------------------------------


class Unauthenticated(Refusal):
    """The route requires authentication and the request carries no credential."""


class SignInFirst(Refusal):
    """Redirect of a browser to the login page, for `unauthenticated` and `session_ended`."""

    def __init__(self, reason: str = "", location: str = "/") -> None:
        super().__init__(reason)
        self.location = location


class SignInByProxy(SignInFirst):
    """Like `sign_in_first`, for nginx, which accepts no redirect from a check: 401 with a `Location`."""


class InvalidToken(Refusal):
    """The token is malformed, forged, or of an unknown issuer."""

    def __init__(self, reason: str = "", *, is_forged: bool = False) -> None:
        super().__init__(reason)
        self.is_forged = is_forged
        """Whether nothing but the signature is wrong with it: the check cost CPU time."""


class ExpiredToken(InvalidToken):
    """The token was valid, but has expired."""


class CredentialNotAccepted(Refusal):
    """The route does not accept this kind of credential, see `accept`; it was not checked."""


class RevokedToken(InvalidToken):
    """The token was issued before its issuer was revoked."""


class InvalidApiKey(Refusal):
    """The API key is malformed or unknown."""


class ExpiredApiKey(Refusal):
    """The API key was valid, but has expired."""


class RevokedApiKey(Refusal):
    """The API key was valid until it was revoked."""


class RevokedCertificate(Refusal):
    """The name of the certificate was revoked after the certificate began to be valid."""


class TokenAlreadyUsed(Refusal):
    """The DID token was exchanged for a session before."""


class SessionEnded(Refusal):
    """The session cookie names no living session."""


class NoSession(Refusal):
    """The caller has no living session of that id."""


class LockHeld(Refusal):
    """Another holder has the lock; `Retry-After` says when its lease ends."""

    def __init__(self, reason: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class TooManyLocks(LockHeld):
    """The owner of the API key holds as many locks as it may; `Retry-After` says when one ends."""


class LockLost(Refusal):
    """The lease of this holder and fence has ended, or never was."""


class RevokedSession(SessionEnded):
    """The session began before its issuer was revoked."""


class CrossSite(Refusal):
    """CSRF: a credential that browsers send by themselves, on a state-changing request that no page of this site made."""


class Forbidden(Refusal):
    """The caller is authenticated but not allowed; ``reason`` in the document says what is missing."""

    def __init__(self, reason: ForbiddenReason) -> None:
        super().__init__(reason)


class MustBeBearer(Refusal):
    """Only a DID token can be exchanged for a session."""


class NonceRequired(Refusal):
    """The exchange needs the nonce of a sign-in attempt (`POST /login/attempt`), and has none."""


class NonceRefused(Refusal):
    """The nonce is used, expired, for another browser or contact, or not bound into the token."""


# --- dependencies --------------------------------------------------------------------------------


class Unavailable(Refusal):
    """Something that the gateway needs is unavailable for now. Abstract."""

    retry_after_s: float

    def __init__(self, reason: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class StoreUnavailable(Unavailable):
    """Redis did not answer in time, so whether the session lives is unknown."""


class OutboxFull(Unavailable):
    """The event of a first sign-in finds no room, as events are not delivered."""


class AuditUnavailable(Unavailable):
    """The audit file takes no lines, and `audit.on_failure` is `refuse`."""


class MagicUnavailable(Unavailable):
    """Magic did not answer in time, and the issuer is not known here yet."""


class KeysUnavailable(Unavailable):
    """The keys of a JWT's issuer have not been fetched yet, or not for a day."""


class UpstreamBusy(Unavailable):
    """No connection to the upstream is free for this client, or `max_in_flight` is reached."""


class UpstreamDown(Unavailable):
    """The circuit breaker of the upstream is open after repeated failures."""


class Overloaded(Unavailable):
    """``server.max.connections`` or ``server.max.tunnels`` is reached."""


class UpstreamUnreachable(Refusal):
    """No connection to the upstream, or it was lost before the response began."""


class UpstreamTimeout(Refusal):
    """The upstream did not begin its response in time."""


class BadUpstreamAnswer(Refusal):
    """The upstream's response breaks the grammar of HTTP/1.1."""


class InternalError(Refusal):
    """A bug in the gateway. Its traceback is in the log, under the request id."""


class ProblemType(NamedTuple):
    """Response to a kind of refusal."""

    status: HTTPStatus
    code: str
    title: str
    source: str


_S = HTTPStatus
PROBLEM_TYPES: dict[type[Refusal], ProblemType] = {
    BadRequest:           ProblemType(_S.BAD_REQUEST, "bad_request", "Malformed or ambiguous request", "RFC 9112 §2.2"),
    BadTarget:            ProblemType(_S.BAD_REQUEST, "bad_target", "Malformed or ambiguous request target", "RFC 9112 §3.2"),
    BadHost:              ProblemType(_S.BAD_REQUEST, "bad_host", "Missing or wrong Host", "RFC 9112 §3.2"),
    AmbiguousCredentials: ProblemType(_S.BAD_REQUEST, "ambiguous_credentials", "More than one credential of a kind", "RFC 6750 §2"),
    ConflictingCredentials: ProblemType(_S.BAD_REQUEST, "conflicting_credentials", "Credentials of different people", "RFC 9110 §15.5.1"),
    RequestTimeout:       ProblemType(_S.REQUEST_TIMEOUT, "request_timeout", "The request took too long to arrive", "RFC 9110 §15.5.9"),
    BodyTooLarge:         ProblemType(_S.REQUEST_ENTITY_TOO_LARGE, "body_too_large", "The body is too large", "RFC 9110 §15.5.14"),
    HeadTooLarge:         ProblemType(_S.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", "The header section is too large", "RFC 6585 §5"),
    UnsupportedVersion:   ProblemType(_S.HTTP_VERSION_NOT_SUPPORTED, "unsupported_version", "HTTP version not supported", "RFC 9110 §15.6.6"),
    UnsupportedMethod:    ProblemType(_S.NOT_IMPLEMENTED, "unsupported_method", "Method not supported", "RFC 9110 §15.6.2"),
    UnsupportedCoding:    ProblemType(_S.NOT_IMPLEMENTED, "unsupported_coding", "Transfer coding not supported", "RFC 9112 §6.1"),
    UnsupportedUpgrade:   ProblemType(_S.NOT_IMPLEMENTED, "unsupported_upgrade", "Upgrade not supported", "RFC 9110 §7.8"),
    WrongWebSocketVersion: ProblemType(_S.UPGRADE_REQUIRED, "wrong_websocket_version", "WebSocket version not supported", "RFC 6455 §4.4"),
    ExpectationFailed:    ProblemType(_S.EXPECTATION_FAILED, "expectation_failed", "Expectation not supported", "RFC 9110 §15.5.18"),
    NoRoute:              ProblemType(_S.NOT_FOUND, "no_route", "Nothing here", "RFC 9110 §15.5.5"),
    MethodNotAllowed:     ProblemType(_S.METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed here", "RFC 9110 §15.5.6"),
    UntrustedPeer:        ProblemType(_S.FORBIDDEN, "untrusted_peer", "Only proxies of ours may ask for checks", "RFC 9110 §15.5.4"),
    BadOriginal:          ProblemType(_S.BAD_REQUEST, "bad_original", "Unclear which request the check is about", "RFC 9110 §15.5.1"),
    RateLimited:          ProblemType(_S.TOO_MANY_REQUESTS, "rate_limited", "Too many requests", "RFC 6585 §4"),
    DeniedByLimit:        ProblemType(_S.FORBIDDEN, "denied_by_limit", "Not allowed", "RFC 9110 §15.5.4"),
    Unauthenticated:      ProblemType(_S.UNAUTHORIZED, "unauthenticated", "Sign in first", "RFC 9110 §15.5.2"),
    SignInFirst:          ProblemType(_S.FOUND, "sign_in_first", "Sign in first", "RFC 9110 §15.4.3"),
    SignInByProxy:        ProblemType(_S.UNAUTHORIZED, "sign_in_by_proxy", "Sign in first", "RFC 9110 §15.5.2"),
    InvalidToken:         ProblemType(_S.UNAUTHORIZED, "invalid_token", "The token is not valid", "RFC 6750 §3.1"),
    ExpiredToken:         ProblemType(_S.UNAUTHORIZED, "expired_token", "The token has expired", "RFC 6750 §3.1"),
    RevokedToken:         ProblemType(_S.UNAUTHORIZED, "revoked_token", "The token was revoked", "RFC 6750 §3.1"),
    SessionEnded:         ProblemType(_S.UNAUTHORIZED, "session_ended", "The session has ended", "RFC 9110 §15.5.2"),
    CredentialNotAccepted: ProblemType(_S.UNAUTHORIZED, "credential_not_accepted", "Not with this kind of credential", "RFC 9110 §15.5.2"),
    NoSession:            ProblemType(_S.NOT_FOUND, "no_session", "No such session of yours", "RFC 9110 §15.5.5"),
    LockHeld:             ProblemType(_S.CONFLICT, "lock_held", "Another holder has the lock", "RFC 9110 §15.5.10"),
    TooManyLocks:         ProblemType(_S.TOO_MANY_REQUESTS, "too_many_locks", "Too many locks are held", "RFC 6585 §4"),
    LockLost:             ProblemType(_S.PRECONDITION_FAILED, "lock_lost", "The lock is not yours, or no longer", "RFC 9110 §15.5.13"),
    RevokedSession:       ProblemType(_S.UNAUTHORIZED, "revoked_session", "The session was revoked", "RFC 9110 §15.5.2"),
    InvalidApiKey:        ProblemType(_S.UNAUTHORIZED, "invalid_api_key", "The API key is not valid", "RFC 9110 §15.5.2"),
    ExpiredApiKey:        ProblemType(_S.UNAUTHORIZED, "expired_api_key", "The API key has expired", "RFC 9110 §15.5.2"),
    RevokedApiKey:        ProblemType(_S.UNAUTHORIZED, "revoked_api_key", "The API key was revoked", "RFC 9110 §15.5.2"),
    RevokedCertificate:   ProblemType(_S.UNAUTHORIZED, "revoked_certificate", "The certificate was revoked", "RFC 9110 §15.5.2"),
    TokenAlreadyUsed:     ProblemType(_S.CONFLICT, "token_already_used", "The token was exchanged before", "RFC 9110 §15.5.10"),
    CrossSite:            ProblemType(_S.FORBIDDEN, "cross_site", "Cross-site request refused", "RFC 9110 §15.5.4"),
    Forbidden:            ProblemType(_S.FORBIDDEN, "forbidden", "Not allowed", "RFC 9110 §15.5.4"),
    MustBeBearer:         ProblemType(_S.FORBIDDEN, "must_be_bearer", "Only a DID token can be exchanged", "RFC 9110 §15.5.4"),
    NonceRequired:        ProblemType(_S.FORBIDDEN, "nonce_required", "Ask for an attempt first", "RFC 9110 §15.5.4"),
    NonceRefused:         ProblemType(_S.FORBIDDEN, "nonce_refused", "The attempt does not count", "RFC 9110 §15.5.4"),
    StoreUnavailable:     ProblemType(_S.SERVICE_UNAVAILABLE, "store_unavailable", "Sign-in state cannot be checked right now", "RFC 9110 §15.6.4"),
    OutboxFull:           ProblemType(_S.SERVICE_UNAVAILABLE, "outbox_full", "New users cannot sign in right now", "RFC 9110 §15.6.4"),
    AuditUnavailable:     ProblemType(_S.SERVICE_UNAVAILABLE, "audit_unavailable", "Signing in is not possible right now", "RFC 9110 §15.6.4"),
    MagicUnavailable:     ProblemType(_S.SERVICE_UNAVAILABLE, "magic_unavailable", "Sign-in cannot be checked right now", "RFC 9110 §15.6.4"),
    KeysUnavailable:      ProblemType(_S.SERVICE_UNAVAILABLE, "keys_unavailable", "The token cannot be checked right now", "RFC 9110 §15.6.4"),
    UpstreamBusy:         ProblemType(_S.SERVICE_UNAVAILABLE, "upstream_busy", "The application is busy", "RFC 9110 §15.6.4"),
    UpstreamDown:         ProblemType(_S.SERVICE_UNAVAILABLE, "upstream_down", "The application is down", "RFC 9110 §15.6.4"),
    Overloaded:           ProblemType(_S.SERVICE_UNAVAILABLE, "overloaded", "Too many connections", "RFC 9110 §15.6.4"),
    UpstreamUnreachable:  ProblemType(_S.BAD_GATEWAY, "upstream_unreachable", "The application cannot be reached", "RFC 9110 §15.6.3"),
    BadUpstreamAnswer:    ProblemType(_S.BAD_GATEWAY, "bad_upstream_answer", "The application gave a malformed answer", "RFC 9110 §15.6.3"),
    UpstreamTimeout:      ProblemType(_S.GATEWAY_TIMEOUT, "upstream_timeout", "The application took too long", "RFC 9110 §15.6.5"),
    InternalError:        ProblemType(_S.INTERNAL_SERVER_ERROR, "internal_error", "The gateway failed", "RFC 9110 §15.6.1"),
}  # fmt: skip
"""The response to each refusal. A test checks that every concrete refusal is in it, once."""
