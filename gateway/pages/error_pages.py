"""
Pages of refusals, in place of problem documents, for people.

Refusals are answered without a wait, and come in floods. So each page is rendered once for its
status, its language and what it shows; then only the request id is put in. What varies otherwise
(seconds to wait, the name of the caller) is escaped and put in where the template has left a mark.
"""

from collections.abc import Iterator
from html import escape
from itertools import product
from math import ceil
from typing import NamedTuple

from multidict import CIMultiDictProxy, istr

from gateway.authn.login_redirect import shows_page
from gateway.config.schema import Settings
from gateway.core.errors import PROBLEM_TYPES, Refusal, SignInFirst, StartError
from gateway.core.problem import ProblemAnswer
from gateway.core.request import RequestHead
from gateway.core.route import FieldLines
from gateway.pages.languages import choose
from gateway.pages.look import Look
from gateway.pages.templates import faults
from gateway.util.lru import LruCache

_ACCEPT, _FETCH_MODE, _UPGRADE = istr("Accept"), istr("Sec-Fetch-Mode"), istr("Upgrade")
_FIRST_ERROR = 400
_FORBIDDEN = 403
NAMES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    408: "timeout",
    413: "too_large",
    421: "misdirected",
    429: "too_many",
    431: "head_too_large",
    500: "internal",
    502: "bad_gateway",
    503: "unavailable",
    504: "gateway_timeout",
}
"""
By status: what keys of texts go on with after ``error_``. No refusal has 421: a proxy in front may,
and asks for its page (`gateway.pages.refused`).
"""
_STATUSES = tuple(
    sorted({*NAMES, *(int(about.status) for about in PROBLEM_TYPES.values())} - {302})
)
_WORTH_A_RETRY = frozenset({408, 429, 431, 500, 502, 503, 504})

# Private-use characters: no text of a config or template holds them by accident.
_MARK = "\ue000"
_REQUEST_ID, _RETRY_S, _SIGNED_IN_AS = f"{_MARK}\ue001", f"{_MARK}\ue002", f"{_MARK}\ue003"
_RETRY_IN = f"{_MARK}\ue004"
_MINUTE_S = 60
_MOST_ANSWERS = 512
"""Answers that are kept, of 4 KiB each. A limit has one for each second left of its window."""
_MOST_KEPT = 4 << 20
"""Characters of all answers that are kept: of large templates there are fewer."""
_LARGEST_BYTES = 64 << 10

_REPLACED = frozenset({"Content-Type"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_SECURITY: FieldLines = (
    ("Content-Security-Policy", _POLICY),
    # The switches of language and account lead back by it; no other site is told.
    ("Referrer-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)


class _Shown(NamedTuple):
    """The key of a rendered page: all that its text depends on, beside the marks in it."""

    status: int
    language: str
    waits: bool
    """Whether the answer says when to try again."""
    is_signed_in: bool
    can_sign_in: bool


class ErrorPages:
    """Pages of refusals by one config."""

    def __init__(self, look: Look) -> None:
        """Raises `StartError` where a template cannot be used."""
        self.look = look
        self._texts: dict[_Shown, str] = {}
        """Bounded: there are as many as statuses, languages and combinations of three facts."""
        if look.has_own_templates:  # all are tried: no request is the first to find a fault
            for fault in look.faults():
                raise StartError(fault)
            for shown in _all_forms(look):
                self._text(shown)
        largest = max(map(len, self._texts.values()), default=1)
        most = min(_MOST_ANSWERS, _MOST_KEPT // largest)
        self._answers: LruCache[tuple[object, ...], ProblemAnswer] = LruCache(most)

    def of_request(
        self, head: RequestHead, refusal: Refusal, answer: ProblemAnswer
    ) -> ProblemAnswer:
        """Do what `page` does, for a request that no page has taken."""
        headers = head.headers
        # Two look-ups for a program: `shows_page` takes three times as long.
        accepted = headers.get(_ACCEPT)
        if (accepted is None or "html" not in accepted.lower()) and _FETCH_MODE not in headers:
            return answer
        if "websocket" in headers.get(_UPGRADE, "").lower():  # other upgrades are ignored
            return answer
        return self.page(headers, refusal, answer)

    def page(
        self, headers: CIMultiDictProxy[str], refusal: Refusal, answer: ProblemAnswer
    ) -> ProblemAnswer:
        """Return ``answer`` with a page in place of its document, where a person waits for one."""
        if answer.status < _FIRST_ERROR or not shows_page(headers):
            return answer
        if isinstance(refusal, SignInFirst):  # also as a 401: nginx makes a redirect of it
            return answer
        return self.for_person(headers, refusal, answer)

    def for_person(
        self, headers: CIMultiDictProxy[str], refusal: Refusal, answer: ProblemAnswer
    ) -> ProblemAnswer:
        """Return ``answer`` with a page in place of its document."""
        language = choose(headers, self.look.offered)
        signed_in_as, can_sign_in = refusal.signed_in_as, bool(refusal.login_url)
        if signed_in_as:  # each caller has their own: none is kept
            return self._made(answer, language, signed_in_as, can_sign_in)
        key = (answer.code, answer.fields, answer.own_fields, language, can_sign_in)
        found = self._answers.get(key)
        if found is None:
            found = self._made(answer, language, "", can_sign_in)
            self._answers.put(key, found)
        return found

    def _made(
        self, answer: ProblemAnswer, language: str, signed_in_as: str, can_sign_in: bool
    ) -> ProblemAnswer:
        fields = answer.fields + answer.own_fields
        retry_s = next((value for name, value in fields if name == "Retry-After"), "")
        is_signed_in = bool(signed_in_as)
        text = self._text(_Shown(answer.status, language, bool(retry_s), is_signed_in, can_sign_in))
        if retry_s:
            text = text.replace(_RETRY_S, retry_s).replace(_RETRY_IN, _wait(int(retry_s)))
        text = text.replace(_SIGNED_IN_AS, escape(signed_in_as.replace(_MARK, "")))
        before_id, _, after_id = text.partition(_REQUEST_ID)
        kept = tuple(line for line in answer.fields if line[0] not in _REPLACED)
        return answer._replace(
            fields=(
                ("Content-Type", "text/html; charset=utf-8"),
                ("Content-Language", language),
                *kept,
                *_SECURITY,
            ),
            before_id=before_id.encode(),
            after_id=after_id.encode(),
            heads={},
        )

    def _text(self, shown: _Shown) -> str:
        text = self._texts.get(shown)
        if text is None:
            text = self._texts[shown] = _rendered(self.look, shown)
        return text


def template_faults(settings: Settings) -> Iterator[str]:
    """Find what `ErrorPages` of one config raises for, all of it, each fault once."""
    found = dict.fromkeys(faults(settings.pages.templates)) or dict.fromkeys(_faults(settings))
    yield from found


def _faults(settings: Settings) -> Iterator[str]:
    """Find what fails when it is rendered."""
    try:
        look = Look(settings)
    except StartError:  # its logo, which is another finding
        return
    yield from look.faults()
    for shown in _all_forms(look):
        try:
            _rendered(look, shown)
        except StartError as error:
            yield str(error)


def _all_forms(look: Look) -> Iterator[_Shown]:
    is_true = (True, False)
    for shown in product(_STATUSES, look.offered, is_true, is_true, is_true):
        yield _Shown(*shown)


def _rendered(look: Look, shown: _Shown) -> str:
    """Render a page with marks in it. Raises `StartError` where a template cannot be used."""
    status, language, waits, is_signed_in, can_sign_in = shown
    key, templates = f"error_{NAMES.get(status, 'other')}", [f"{status}.html", "error.html"]
    words = look.texts[language]
    text = look.render(
        templates,
        language,
        status=status,
        title=words[key],
        help=words[f"{key}_help"],
        request_id=_REQUEST_ID,
        retry_after_s=_RETRY_S if waits else "",
        retry_in=_RETRY_IN if waits else "",
        signed_in_as=_SIGNED_IN_AS if is_signed_in else "",
        can_sign_in=can_sign_in,
        can_retry=waits or status in _WORTH_A_RETRY,
        can_switch=is_signed_in and status == _FORBIDDEN,
        back="",
    )
    if text.count(_REQUEST_ID) != 1:
        said = "a page of a refusal shows {{ request_id }} once"
    elif len(text) > _LARGEST_BYTES:
        said = "a page of a refusal has up to 64 KiB"
    else:
        return text
    raise StartError(f"pages.templates: {look.file_of(templates)}: {said}")


def _wait(seconds: int) -> str:
    """Write a length of time in symbols that all languages share, as in ``10 h 15 min``."""
    if seconds < _MINUTE_S:
        return f"{seconds} s"
    hours, minutes = divmod(ceil(seconds / _MINUTE_S), 60)
    told = ((hours, "h"), (minutes, "min"))
    return " ".join(f"{number} {unit}" for number, unit in told if number)
