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

_text = json.JSONEncoder().encode
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
            most = proxy().settings.log_body_bytes  # characters, each of four bytes at most
            record.response = response.get_data()[: 4 * most].decode("utf-8", "ignore")[:most]
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


def room_for_fields():
    """Return how many characters the event of this request has room for; none where the fields may be secret."""
    return proxy().settings.log_body_bytes if g.event.kind == Kind.REQUEST else 0


def keep_fields(text, size):
    """Keep the fields of this request, as `shown`, in its event."""
    g.event.bytes_in = size
    g.event.request = text


def shown(pairs, room):
    """Return the beginning of these names and values as a JSON object, without the secret ones. It asks nothing of Flask."""
    try:
        return _Beginning(room).of(pairs)
    except RecursionError:
        return "[nested too deeply to be kept]"


class _Beginning:
    """The first characters of some JSON. What comes behind them costs nothing."""

    def __init__(self, room):
        self.room, self.pieces = room, []

    def of(self, pairs):
        """Return the beginning of an object of these pairs."""
        room = self.room
        self._add_object(pairs)
        return "".join(self.pieces)[:room]

    def _put(self, text):
        self.pieces.append(text)
        self.room -= len(text)

    def _add(self, value):
        if isinstance(value, dict):
            self._add_object(value.items())
        elif isinstance(value, list):
            self._put("[")
            for part in self._between(value):
                self._add(part)
            self._put("]")
        else:
            self._put(_text(value[: max(0, self.room)] if isinstance(value, str) else value))

    def _add_object(self, pairs):
        self._put("{")
        for name, part in self._between(pairs):
            self._put(f"{_text(name[: self.room])}: ")
            self._add(HIDDEN if name.strip().lower() in SECRET else part)
        self._put("}")

    def _between(self, parts):
        for number, part in enumerate(parts):
            if self.room <= 0:
                return
            if number:
                self._put(", ")
            yield part


def hide_secrets(query):
    """A query string without the values of secret parameters."""
    return "&".join(map(_hide_secret, query.split("&"))) if query else ""


def _hide_secret(part):
    name, equals, _ = part.partition("=")
    return f"{name}={HIDDEN}" if equals and unquote_plus(name).strip().lower() in SECRET else part
