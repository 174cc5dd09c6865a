"""Explanations for people: the answer first, then the stages."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil
from typing import Final

from gateway.explain.trace import Details, Explanation, StageTrace, StageVerdict

_NAME_WIDTH: Final = 17
_VERDICT_WIDTH: Final = 9
_MARKS: Final[Mapping[StageVerdict, str]] = {StageVerdict.REFUSED: "REFUSED"}


def lines_of(explanation: Explanation) -> Iterator[str]:
    """Write an explanation."""
    yield answer_of(explanation)
    yield from (f"  {meaning}" for meaning in _meanings(explanation))
    yield ""
    for stage in explanation.stages:
        told = list(_told(stage)) or [""]
        mark = _MARKS.get(stage.verdict, stage.verdict.value)
        start = f"  {stage.stage.replace('_', ' '):<{_NAME_WIDTH}}{mark:<{_VERDICT_WIDTH}}"
        yield (start + told[0]).rstrip()
        yield from (" " * len(start) + line for line in told[1:])
    if explanation.notes:
        yield ""
    yield from (f"note: {note}" for note in explanation.notes)


def answer_of(explanation: Explanation) -> str:
    """Write the answer alone, on one line."""
    by = f"by route {explanation.route}" if explanation.route else "by no route"
    if explanation.verdict is StageVerdict.ADMITTED:
        status = "" if explanation.status is None else f"{explanation.status} "
        return f"{status}admitted, {by}"
    if explanation.verdict is StageVerdict.ANSWERED:
        return f"{explanation.status} answered by the gateway, {by}"
    return f"{explanation.status} {_refusal(explanation.code, explanation.reason)}, {by}"


def _refusal(code: str, reason: str) -> str:
    return f"{code} ({reason})" if reason else code


def _meanings(explanation: Explanation) -> Iterator[str]:
    for stage in explanation.stages:
        if meaning := stage.details.get("meaning"):
            yield meaning


def _told(stage: StageTrace) -> Iterator[str]:
    details = stage.details
    if stage.verdict is StageVerdict.REFUSED:
        yield _refusal(details["code"], details.get("reason", ""))
    yield from _WRITERS.get(stage.stage, _nothing)(details)


def _nothing(_details: Details) -> Iterator[str]:
    yield from ()


def _request(details: Details) -> Iterator[str]:
    if "method" in details:
        yield f"{details['method']}, {_number(details['fields'], 'header field')}"


def _client(details: Details) -> Iterator[str]:
    if details["client"] == details["peer"]:
        yield f"{details['client']}, the peer"
    else:
        yield f"{details['client']}, by {details['read_from']} of the peer {details['peer']}"
    yield from (f"{details['read_from']}: {line}" for line in details["lines"])
    for hop in details["hops"]:
        network = hop["trusted_by"]
        is_trusted = f"trusted, in {network}" if network else "not trusted: the walk ends"
        yield f"{hop['address']} is {is_trusted}"
    if details["lines"] and _is_last_trusted(details["client"], details["hops"]):
        yield "no address can be read to the left of it: the walk ends"


def _is_last_trusted(client: str, hops: Sequence[Details]) -> bool:
    """Whether the walk ended at a proxy: it would have gone on by another address."""
    return bool(hops) and hops[-1]["address"] == client and hops[-1]["trusted_by"] is not None


def _target(details: Details) -> Iterator[str]:
    if "canonical" not in details:
        yield details["raw"]
        return
    raw, canonical = details["raw"], details["canonical"]
    host = f" on {details['host']}" if details["host"] else ""
    yield f"{canonical}{host}" + ("" if raw == canonical else f", written {raw}")


def _route(details: Details) -> Iterator[str]:
    if "route" in details:
        yield details["route"]
    if "preflight_for" in details:
        yield f"a CORS preflight for {details['preflight_for']}"
    if "forwarded_path" in details:
        yield f"the app gets the path {details['forwarded_path']}"
    for candidate in details["candidates"]:
        if candidate["lost"]:
            where = candidate["host"] + candidate["path"]
            yield f"{candidate['route']} ({where}) lost: {candidate['lost']}"


def _upgrade(details: Details) -> Iterator[str]:
    yield f"to {details['asked']}; the route lists {', '.join(details['listed']) or 'none'}"


def _limits(details: Details) -> Iterator[str]:
    if not details["limits"]:
        yield "none counts the request"
    for limit in details["limits"]:
        cost = f", of which it costs {limit['cost']}" if limit["cost"] > 1 else ""
        quota = f"{limit['rate']} in {limit['window_s']} s{cost}"
        yield f"{limit['limit']} ({quota}) of {limit['caller']}: {_left(limit)}"


def _left(limit: Details) -> str:
    if not limit["known"]:
        return "not known, as the store did not answer"
    if not limit["would_refuse"]:
        return f"{limit['remaining']} left after it"
    if limit["shadow"]:
        return "used up (mode: shadow, so it passes)"
    return f"used up, again in {ceil(limit['retry_after_s'])} s"


def _credentials(details: Details) -> Iterator[str]:
    if details["auth"] == "none":
        yield "not looked at: the route has auth: none"
    elif not details["credentials"]:
        yield f"none was sent; the route has auth: {details['auth']}"
    for each in details["credentials"]:
        name = "assumed" if each.get("assumed") else each["fingerprint"]
        source = f" in {each['source']}" if "source" in each else ""
        yield f"{each['kind']} {name}{source}: {_credential_verdict(each)}"
    if "identity" in details:
        identity = details["identity"]
        email = f" ({identity['email']})" if identity["email"] else ""
        yield f"the caller is {identity['issuer']}{email}, by {identity['by']}"


def _credential_verdict(each: Details) -> str:
    match each["verdict"]:
        case "valid":
            return "valid"
        case "refused":
            return _refusal(each["code"], each.get("reason", ""))
        case _:
            return f"not checked, {each['why']}"


def _origin(details: Details) -> Iterator[str]:
    if "note" in details:
        yield details["note"]
    elif not details["sent_automatically"]:
        yield "browsers do not send this credential by themselves"
    else:
        origin = ", ".join(details["origin"]) or "not sent"
        site = ", ".join(details["sec_fetch_site"]) or "not sent"
        yield f"Origin: {origin}; Sec-Fetch-Site: {site}"


def _roles(details: Details) -> Iterator[str]:
    for name in ("roles", "permissions"):
        words = details.get(name, [])
        yield f"{name}: " + ("not known" if words is None else ", ".join(words) or "none")


def _rules(details: Details) -> Iterator[str]:
    for rule in details["rules"]:
        holds = "holds" if rule["holds"] else "does not hold"
        yield f"{rule['rule']} {rule['number']} {holds}"
        for matcher in rule["matchers"]:
            mark = "+" if matcher["holds"] else "-"
            yield f"  {mark} {matcher['matcher']}: {', '.join(matcher['values'])}"


def _fields(details: Details) -> Iterator[str]:
    for what in ("dropped", "changed"):
        if details[what]:
            yield f"{what}: {', '.join(details[what])}"
    for name, value in details["written"]:
        yield f"{name}: {value}"


def _upstream(details: Details) -> Iterator[str]:
    yield f"{details['upstream']}: {details['method']} {details['target']}"
    if "server" in details:
        yield f"server {details['server']}"
    for name, is_usable in details.get("servers", {}).items():
        if not is_usable:
            yield f"server {name} is out: ejected or unhealthy"


def _login(details: Details) -> Iterator[str]:
    yield f"Location: {details['location']}"


def _reply(details: Details) -> Iterator[str]:
    yield f"fields: {', '.join(details['fields']) or 'none'}"


def _number(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


_WRITERS: Final[Mapping[str, Callable[[Details], Iterator[str]]]] = {
    "request": _request,
    "client": _client,
    "target": _target,
    "route": _route,
    "upgrade": _upgrade,
    "limits": _limits,
    "identity_limits": _limits,
    "concurrency": _limits,
    "credentials": _credentials,
    "origin": _origin,
    "roles": _roles,
    "rules": _rules,
    "fields": _fields,
    "upstream": _upstream,
    "login": _login,
    "answer": _reply,
}
"""How the details of each stage are written."""
