"""The accept side: whether a caller who may use a route reaches it."""

from http import HTTPStatus

from gateway.config.schema import RouteSettings
from gateway.core.identity import AuthMethod
from gateway.core.route import Auth
from gateway.selftest.callers import MEMBER, wanted
from gateway.selftest.trial import ConfigTrial


async def show_acceptance(trial: ConfigTrial) -> None:
    """Show for each protected route that a caller reaches it, or note that this was not shown."""
    pairs = zip(trial.settings.routes, trial.lab.settings.routes, strict=True)
    for route, under_test in pairs:
        if route.auth is Auth.NONE or route.upstream is None:
            continue
        kind = await _kind_that_passes(trial, route, under_test)
        if kind:
            trial.shown[route.name] = kind
        else:
            trial.notes.append(f"route {route.name}: not shown that anyone reaches it")
        if route.auth is Auth.REQUIRED and not await _passes_stranger(trial, route):
            trial.closed_to_strangers.append(route)


async def _kind_that_passes(
    trial: ConfigTrial, route: RouteSettings, under_test: RouteSettings
) -> str:
    """Return the kind of credential by which a caller reaches ``route``; empty for none."""
    people = trial.lab.people.emails
    for caller in wanted(trial.lab.settings, people, under_test):
        for credential in await trial.callers.all_of(caller):
            done = await trial.ask(route, by=credential, method=caller.method)
            for arrived in done.arrived:
                if arrived.upstream == route.upstream and not trial.is_anonymous(arrived):
                    return (arrived.values("X-Auth-Method") or ["credential"])[0]
    return ""


async def _passes_stranger(trial: ConfigTrial, route: RouteSettings) -> bool:
    made = {
        AuthMethod.DID_TOKEN: trial.callers.bearer(MEMBER),
        AuthMethod.SESSION: await trial.callers.cookie(MEMBER),
    }
    for kind, by in made.items():
        done = await trial.ask(route, by=by)
        if done.arrived:
            return True
        if kind in route.accept and done.answer.status == HTTPStatus.UNAUTHORIZED:
            trial.gaps.append(f"route {route.name}: the selftest's own credentials are refused")
    return False
