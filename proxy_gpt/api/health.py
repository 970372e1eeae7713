"""/healthz and /readyz for whoever distributes the load, /metrics for Prometheus.

Who asks every second and is told that all is well leaves no event. What
is refused or not ready leaves one, of the kind `probe`.
"""
import hmac

from flask import Blueprint, Response, request

from proxy_gpt import auth
from proxy_gpt.answers import answers
from proxy_gpt.client_ip import why_not_local
from proxy_gpt.current import proxy
from proxy_gpt.errors import Forbidden, NotReady, Unauthorized
from proxy_gpt.events import audited
from proxy_gpt.metrics import exposition
from proxy_gpt.models import Kind
from proxy_gpt.readiness import OK, missing
from proxy_gpt.views import TEXT

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
@auth.open_to_everyone
@audited(Kind.PROBE)
@answers({"status": TEXT})
def healthz():
    """The process lives. No store is asked: one that is away is no reason to start this process anew."""
    return {"status": "ok"}


@blueprint.get("/readyz")
@auth.open_to_everyone
@audited(Kind.PROBE)
@answers({"status": {**TEXT, "enum": ["ready", "degraded"]}, "checks": {"type": "object", "additionalProperties": TEXT}}, NotReady)
def readyz():
    """Whether requests should be sent here. Raises NotReady, naming the first thing that is missing as `param`."""
    states = proxy().readiness.look()
    gone = missing(states)
    if gone:
        raise NotReady(f"The proxy is not ready: {', '.join(words for _, words in gone)}.", gone[0][0])
    return {"status": "ready" if set(states.values()) == {OK} else "degraded", "checks": states}


@blueprint.get("/metrics")
@auth.open_to_everyone  # `require_scraper` looks who it is: Prometheus is no user
@audited(Kind.PROBE)
@answers(TEXT, Unauthorized, Forbidden, kind="text/plain", security=("", "bearer"))
def metrics():
    """The numbers of all workers of this server, in the text that Prometheus reads."""
    process = proxy()
    require_scraper(process.settings.metrics_token)
    text, content_type = exposition.text(process, request.headers.get("Accept"))
    return Response(text, content_type=content_type)


def require_scraper(token):
    """Raise Unauthorized, or Forbidden, unless the request has this token; without one, unless it comes from this machine itself.

    Behind a proxy on the same machine everybody comes from there: what was passed on is refused, whoever it claims to be from.
    """
    if token:
        given = request.authorization.token if request.authorization and request.authorization.type == "bearer" else ""
        if not hmac.compare_digest((given or "").encode(), token.encode()):
            raise Unauthorized("The metrics want the token of the setting METRICS_TOKEN. Send it as 'Authorization: Bearer TOKEN'.")
    elif reason := why_not_local(request.environ):
        raise Forbidden(f"The metrics are local only: {reason}. The operator can set METRICS_TOKEN.")
