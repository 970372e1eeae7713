"""The event of the current request: begun before anything else is done, finished when the last byte is out."""
import functools
import json
from urllib.parse import unquote_plus

from flask import g, request

from proxy_gpt import incoming
from proxy_gpt.client_ip import client_ip
from proxy_gpt.current import proxy
from proxy_gpt.eventlog.record import Outcome, Record
from proxy_gpt.models import Kind
from proxy_gpt.upstream.headers import BELOW_V1, NO_SNIFFING

SECRET = ("password", "old_password", "new_password", "token")
HIDDEN = "[hidden]"


def begin():
    """Start the record of this request."""
    environ = request.environ
    g.event = Record(
        environ["REQUEST_METHOD"], readable(environ["PATH_INFO"]), client_ip(environ, proxy().settings.trusted_proxies),
        hide_secrets(environ.get("QUERY_STRING", "")), proxy().settings.capture,
    )  # fmt: skip


def readable(text):
    """A text of the WSGI environment, whose characters stand for bytes, as UTF-8."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "replace")


def attach(response):
    """Give the response the event's id, and finish the record when it is closed."""
    record = g.event
    record.status = response.status_code
    response.headers["x-proxy-request-id"] = record.id
    if not getattr(response, "has_guards", False):
        _guard(response)
    if response.is_sequence and record.outcome != Outcome.CLIENT_GONE:
        record.bytes_out = response.content_length or 0
        if record.kind == Kind.REQUEST:
            record.response = response.get_data(as_text=True)[: proxy().settings.log_body_bytes]
    log, gate = proxy().log, proxy().gate
    response.call_on_close(lambda: finish(log, gate, record))
    return response


def _guard(response):
    """Add what our own answers say to browsers; some files may be cached."""
    response.headers.update(BELOW_V1 if request.environ["PATH_INFO"].startswith("/v1/") else NO_SNIFFING)
    response.headers.setdefault("Cache-Control", "no-store")


def finish(log, gate, record):
    """The last byte is out, or the caller is gone: the event is whole, unless its work goes on in the background."""
    if record.detached:
        return
    if incoming.took_nothing():
        record.settle(Outcome.CLIENT_GONE, incoming.TOOK_NOTHING)
    record.settle(Outcome.COMPLETE)
    record.end()
    gate.settle(record)
    log.finish(record, kept=record.kind != Kind.PROBE or record.status >= 400)  # a row every second that all is well buries the others


def audited(kind):
    """Mark a view whose events are of a kind of their own; their bodies hold secrets and are never kept."""

    def decorate(view):
        @functools.wraps(view)
        def wrapper(*args, **kwargs):
            g.event.kind = kind
            return view(*args, **kwargs)

        return wrapper

    return decorate


def keep_fields(values, size):
    """Keep the fields of this request in its event, without the secret ones."""
    g.event.bytes_in = size
    if g.event.kind == Kind.REQUEST:
        g.event.request = _shown(values)[: proxy().settings.log_body_bytes] if values else ""


def _shown(values):
    try:
        return json.dumps(_without_secrets(values))
    except RecursionError:
        return "[nested too deeply to be kept]"


def _without_secrets(value):
    if isinstance(value, dict):
        return {name: HIDDEN if name.strip().lower() in SECRET else _without_secrets(part) for name, part in value.items()}
    return [_without_secrets(part) for part in value] if isinstance(value, list) else value


def hide_secrets(query):
    """A query string without the values of secret parameters."""
    return "&".join(map(_hide_secret, query.split("&"))) if query else ""


def _hide_secret(part):
    name, equals, _ = part.partition("=")
    return f"{name}={HIDDEN}" if equals and unquote_plus(name).strip().lower() in SECRET else part
