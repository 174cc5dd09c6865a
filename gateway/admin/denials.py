"""Audit lines of requests that the private listener or `admin.route` has denied."""

from typing import Final

from gateway.admin.access import TOKEN_REQUIRED, WRONG_TOKEN, AdminAccess, AdminRequest, Denial
from gateway.admin.guesses import network_of
from gateway.audit.sampling import RefusalSampler
from gateway.core.audit import AuditDetail, AuditEntry, AuditEvent
from gateway.core.ports import AuditTrail

_PAGE: Final = "/"


class DenialTrail:
    """Writes lines of denials, for equal ones one a minute: any client can cause them."""

    def __init__(self, trail: AuditTrail) -> None:
        self._trail = trail
        self._sampler = RefusalSampler()

    def note(self, denial: Denial, asked: AdminRequest, access: AdminAccess, now_s: float) -> None:
        """
        Count a denial, and write the line that is due.

        The line names the route of the API in place of the path. So of what a client may write
        freely, it holds the method alone.
        """
        told = WRONG_TOKEN if _is_wrong_token(denial, asked) else denial
        if told.code == TOKEN_REQUIRED and asked.path == _PAGE:
            return  # nothing was tried: the page asks for the token
        operator = access.denied_operator(denial, asked, now_s)
        kind = (told.code, operator.actor, network_of(operator.origin), asked.path)
        count = self._sampler.count(kind, now_s)
        if count:
            details: dict[str, AuditDetail] = {
                "method": asked.method,
                "why": told.detail,
                "count": count,
            }
            entry = AuditEntry(AuditEvent.ADMIN_REFUSED, "", asked.path, details=details)
            entry = entry._replace(result="refused", reason=told.code)
            self._trail.note(operator.sign(entry))


def _is_wrong_token(denial: Denial, asked: AdminRequest) -> bool:
    return denial.code == TOKEN_REQUIRED and bool(asked.bearer)
