"""The upstream: one question, for its list of models."""
import json
from dataclasses import replace
from datetime import timezone
from email.utils import parsedate_to_datetime

from proxy_gpt import clock
from proxy_gpt.checkup.finding import ok, problem, warning
from proxy_gpt.checkup.stores import SKEW
from proxy_gpt.errors import ProxyError, UpstreamBroke
from proxy_gpt.upstream.call import Call
from proxy_gpt.upstream.transport import Upstream

ABOUT = "upstream"
PATIENCE = 10  # seconds for each step of the answer
LONGEST = 4 << 20  # bytes of the list
HEADERS = {"Accept": "application/json", "User-Agent": "proxy-gpt"}


def examine(settings):
    """Yield the Findings."""
    quick = replace(settings, **{name: min(PATIENCE, getattr(settings, name)) for name in ("connect_timeout", "upstream_timeout", "answer_timeout")})
    upstream = Upstream(quick)
    origin = upstream.address.origin
    try:
        answer = upstream.send(Call(), "GET", "/models", "", HEADERS)
        body = _read(answer)
    except ProxyError as error:
        why = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
        yield problem(ABOUT, f"{origin} does not answer as it should{why}: check API_URL, and that this machine may reach it.")
        return
    yield _answered(answer.status, origin, settings)
    yield from _clock(answer.header("date"))
    if answer.status == 200 and not upstream.address.azure:  # Azure lists models, and is asked for deployments
        yield from _models(body, settings)


def _answered(status, origin, settings):
    if status in (401, 403):
        return problem(ABOUT, f"{origin} refuses the key (status {status}): {'check' if settings.api_key else 'set'} API_KEY.")
    if status == 200:
        return ok(ABOUT, f"{origin} answers and takes the key.")
    return warning(ABOUT, f"{origin} answers /v1/models with status {status}: check API_URL, unless it has no such list.")


def _models(body, settings):
    try:
        listed = {model["id"] for model in json.loads(body)["data"]}
    except (ValueError, RecursionError, KeyError, TypeError):
        yield warning("models", "The upstream's list of models is not what OpenAI's would be: check API_URL.")
        return
    for alias, model in settings.models:
        if model not in listed:
            yield warning("models", f"The upstream does not list {model!r}, which the chats' model {alias!r} means: set MODELS to names that it has.")
    if {model for _, model in settings.models} <= listed:
        yield ok("models", "The upstream has all models of the setting MODELS.")


def _clock(date):
    try:
        apart = abs((clock.now() - parsedate_to_datetime(date).astimezone(timezone.utc)).total_seconds())
    except (ValueError, TypeError):  # it does not say
        return
    if apart > SKEW + PATIENCE:
        yield warning("clock", f"The clocks of the upstream and of this machine are {apart:.0f} seconds apart. Let this machine follow a time server.")


def _read(answer):
    body = b""
    try:
        for piece in answer.pieces():
            body += piece
            if len(body) > LONGEST:
                raise UpstreamBroke("The list is too long.")
    finally:
        answer.close()
    return body
