"""/healthz and /readyz, for whoever distributes the load.

Who asks every second and is told that all is well leaves no event: the one exception from "a row for every request". What
is refused or not ready leaves one, of the kind `probe`.
"""
from flask import Blueprint, current_app

from proxy_gpt import auth, events
from proxy_gpt.errors import NotReady
from proxy_gpt.readiness import OK, missing

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@auth.open_to_everyone
@events.audited(events.PROBE)
def healthz():
    """The process lives. No store is asked: one that is away is no reason to start this process anew."""
    return {"status": "ok"}


@blueprint.get("/readyz")
@auth.open_to_everyone
@events.audited(events.PROBE)
def readyz():
    """Whether requests should be sent here. Raises NotReady, naming the first thing that is missing as `param`."""
    states = current_app.extensions["proxy"].readiness.look()
    gone = missing(states)
    if gone:
        raise NotReady(f"The proxy is not ready: {', '.join(words for _, words in gone)}.", gone[0][0])
    return {"status": "ready" if set(states.values()) == {OK} else "degraded", "checks": states}
