"""/v1/*: OpenAI's API, verbatim in both directions, with the shared key in place of the caller's token."""
from flask import Blueprint, Response, g, request
from werkzeug.routing import BaseConverter, Rule

from proxy_gpt import include_usage, operations
from proxy_gpt.answers import answers
from proxy_gpt.auth import caps_for, charged_team
from proxy_gpt.current import proxy
from proxy_gpt.errors import (
    Forbidden,
    LimitReached,
    MethodRefused,
    NotFound,
    RequestTimeout,
    TooLarge,
    UnsupportedCoding,
    UnsupportedType,
    UpstreamError,
    UpstreamTimeout,
    WebSocketRefused,
)
from proxy_gpt.eventlog.metering import Meter
from proxy_gpt.ledger import estimate
from proxy_gpt.ledger.entries import bounds_use
from proxy_gpt.passthrough import BODYLESS, PIECE, Exchange
from proxy_gpt.upstream import headers
from proxy_gpt.upstream.address import split_target

NOT_FORWARDED = ("TRACE", "CONNECT")  # an answer to TRACE repeats the request, with the shared key; CONNECT is no request at all
REFERENCE = "https://platform.openai.com/docs/api-reference"
blueprint = Blueprint("v1", __name__)


class Verbatim(Response):
    """The upstream's answer: Werkzeug adds and takes away no header, and no layer of it stands between two pieces."""

    default_mimetype = None
    has_guards = True  # see `events.attach`

    def __call__(self, environ, start_response):
        """The server iterates over this response itself, and closes it."""
        try:
            start_response(self.status, self.headers.to_wsgi_list())
        except BaseException:  # the server does not close what it has not been given
            self.close()
            raise
        return self

    def __iter__(self):
        return iter(self.response)


class Everything(BaseConverter):
    """The rest of a path, whatever it is: Werkzeug's own `path` takes neither nothing nor a slash at its beginning."""

    regex = r"[\s\S]*"  # a line break too
    part_isolating = False


@blueprint.record_once
def add_rule(state):
    """Every path, and every method, known or not (a Flask route would need a list of them)."""
    state.app.url_map.converters["everything"] = Everything
    for view in (passthrough, web_socket):
        endpoint = f"v1.{view.__name__}"
        state.app.url_map.add(Rule("/v1/<everything:below>", endpoint=endpoint, websocket=view is web_socket))
        state.app.view_functions[endpoint] = view


@answers(None)
def web_socket(below):
    """A WebSocket, such as the Realtime API's, is refused with 501."""
    raise WebSocketRefused("WebSockets are not passed on, so the Realtime API cannot be used here. Use an endpoint that answers over HTTP.")


@answers(
    None, Forbidden, LimitReached, NotFound, RequestTimeout, TooLarge, UnsupportedType, UnsupportedCoding, WebSocketRefused, UpstreamError,
    UpstreamTimeout, kind="*/*", link=REFERENCE,
)  # fmt: skip
def passthrough(below):
    """Send the request upstream and its answer back. The path is taken as it came, not as it was decoded for routing."""
    environ = request.environ
    if environ["REQUEST_METHOD"] in NOT_FORWARDED:
        raise MethodRefused("TRACE and CONNECT are not forwarded.")
    path, query = split_target(environ["RAW_URI"])
    process = proxy()
    operations.require_open(g.event.endpoint, process.settings.allow_client_secrets)
    g.event.team_id = charged_team()
    g.event.caps = caps_for(g.event.team_id)
    meter = Meter.for_call(environ["REQUEST_METHOD"], g.event.endpoint, process.prices)
    exchange = Exchange(g.event, process.watch, environ.get("gunicorn.socket"), process.settings, meter)
    try:
        answer = _ask(process, exchange, environ, path, query)
    except BaseException:
        exchange.close()
        raise
    response = Verbatim(exchange.download(), f"{answer.status} {answer.reason}", _response_headers(answer, process.settings))
    response.call_on_close(exchange.close)
    return response


def _ask(process, exchange, environ, path, query):
    sent = headers.upstream(environ, process.settings.allow_organization)
    length = environ.get("CONTENT_LENGTH")
    length = int(length) if length else None
    chunked = environ.get("HTTP_TRANSFER_ENCODING")
    if chunked and chunked.lower() != "chunked":  # "gzip, chunked", of which gunicorn undoes the chunks alone
        raise UnsupportedCoding("The only Transfer-Encoding of a body that is read is 'chunked'. Compression is a Content-Encoding.")
    includes = process.settings.include_usage and environ["REQUEST_METHOD"] == "POST" and path in include_usage.PATHS
    stream = environ["wsgi.input"] if length or chunked else None
    coding, short = environ.get("HTTP_CONTENT_ENCODING"), include_usage.LONGEST if includes else PIECE
    cost = operations.FREE
    if bounds_use(g.event.caps):
        cost = operations.cost_of(environ["REQUEST_METHOD"], g.event.endpoint, process.settings.allow_unmetered)
        exchange.must_read = cost == operations.METERED
    body = exchange.upload(stream, length, environ.get("CONTENT_TYPE"), coding, short)
    if g.event.caps:
        body = estimate.beginning(body)
        can_use = None if cost == operations.FREE else estimate.of_request(exchange.meter, exchange.uploaded, length, process.gate.usual_out)
        if exchange.uploaded:
            exchange.uploaded.trim()
        process.gate.admit(g.event, can_use)
    if includes and isinstance(body, bytes):
        body, length = _include_usage(exchange, sent, body)
    process.log.intend(g.event, exchange.presumed())
    try:
        answer = process.upstream.send(exchange, environ["REQUEST_METHOD"], path, query, sent, body, length)
    except UpstreamError as error:
        raise exchange.reason(error) from error
    exchange.answered(answer, environ["REQUEST_METHOD"])
    return answer


def _include_usage(exchange, sent, body):
    """The body that makes the upstream report its usage too, and its length; the exchange will keep that from the caller."""
    changed = include_usage.with_usage(body)
    if changed is None:
        return body, len(body)
    exchange.stripper = include_usage.Stripper()
    sent.pop("Accept-Encoding", None)  # the answer must be readable
    return changed, len(changed)


def _response_headers(answer, settings):
    kept = headers.downstream(answer.pairs, settings.allow_organization)
    if answer.is_event_stream():  # it has no length, and nginx in front of us must not buffer it
        kept = [*_without("content-length", kept), ("X-Accel-Buffering", "no")]
    elif not answer.header("content-type").strip() and answer.status not in BODYLESS and answer.header("content-length") != "0":
        kept = [*_without("content-type", kept), ("Content-Type", "application/octet-stream")]  # else a browser guesses
    return [*kept, *headers.BELOW_V1]


def _without(unwanted, pairs):
    return [pair for pair in pairs if pair[0].lower() != unwanted]
