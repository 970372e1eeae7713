"""gunicorn's gevent worker with two things of ours: a bound on every wait for a client, and our own words for what is not HTTP.

gunicorn answers malformed requests with HTML that repeats the bad header, and logs it: it may be the one with the token.
"""
import errno
import json
import resource
from http.client import responses

from gevent import Timeout, getcurrent, socket
from gunicorn import util
from gunicorn.http import errors as http
from gunicorn.http.body import ChunkedReader
from gunicorn.workers.ggevent import GeventWorker

from proxy_gpt import incoming
from proxy_gpt.client_ip import canonical, is_trusted, network
from proxy_gpt.errors import FAULT, Malformed, ProxyError, place_of
from proxy_gpt.eventlog.record import Record
from proxy_gpt.offload import let_others_run
from proxy_gpt.upstream.headers import BELOW_V1

PIECE = 8192  # bytes that gunicorn reads of a head or of chunks at once
DISCARDED = 256 << 10  # bytes of an unwanted body that are read at once
LONGEST_LINE = 8190  # bytes of the request's line, and of each header
MOST_HEADERS = 100
SHARES, LEAST_SHARE = 10, 10  # one address without a known caller gets a tenth of this worker's places, and at least this many
# (status, code, sentence) for what gunicorn's parser refuses. The sentences say nothing of what was in the request.
REFUSALS = {
    http.LimitRequestLine: (414, "uri_too_long", f"The path with its query is longer than {LONGEST_LINE} bytes. Send less."),
    http.LimitRequestHeaders: (431, "headers_too_large", f"There are more than {MOST_HEADERS} headers, or one is longer than {LONGEST_LINE} bytes. Send less."),
    http.ExpectationFailed: (417, "expectation_failed", "The only expectation that is met is 'Expect: 100-continue'."),
    http.UnsupportedTransferCoding: (501, "unsupported_transfer_coding", "The only Transfer-Encoding of a body that is read is 'chunked'."),
    http.InvalidHTTPVersion: (505, "unsupported_version", "This server speaks HTTP/1.1 and HTTP/1.0."),
    http.InvalidSchemeHeaders: (400, "malformed_request", "The headers of the proxies in front contradict each other about https."),
    http.ParseException: (400, "malformed_request", "This is not a request as HTTP/1.1 wants it: its line, a header or its length is wrong."),
}  # fmt: skip


class Worker(GeventWorker):
    """The worker. gunicorn calls these methods; see gunicorn/workers/base_async.py for when."""

    def run(self):
        """Serve. How much of the places one address may take follows from how many there are, which gunicorn's own options can change."""
        incoming.connections.most = incoming.bodies.most = max(LEAST_SHARE, self.worker_connections // SHARES)
        super().run()

    def handle(self, listener, client, addr):
        """Serve a connection. Whoever waits for its client waits for so long and no longer (`timeout_ctx` bounds the heads)."""
        if type(client) is socket.socket:  # with gunicorn's own option for TLS it is another one
            client = Client(client.family, client.type, client.proto, client.detach())
        settings = self.wsgi.extensions["proxy"].settings
        client.settimeout(settings.client_timeout)
        connection = getcurrent()
        connection.peer, connection.holds = None, False
        if isinstance(addr, tuple):
            addr = (canonical(addr[0]), *addr[1:])
            if not is_trusted(addr[0], settings.trusted_proxies):  # a front has the connections of many
                connection.peer = network(addr[0])
        try:
            super(GeventWorker, self).handle(listener, client, addr)  # GeventWorker's own would take the timeout away
        finally:
            incoming.let_go()

    def timeout_ctx(self):
        """The time for the head of a request, and for the idleness before it."""
        return HeadTimeout(self.cfg.keepalive, False)

    def handle_request(self, listener_name, req, sock, addr):
        """Serve a request. The end of a client who does not read is none that gunicorn should log with a traceback."""
        getcurrent().request = req
        try:
            super().handle_request(listener_name, req, sock, addr)
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "The client takes nothing more.") from error
        except StopIteration:  # gunicorn closes the connection after this answer
            if req.body.failed or is_unread(req.body):
                _linger(sock)
            raise
        if not req.body.failed and is_unread(req.body):
            self._discard(req.body)
        if req.unreader.buf.getbuffer().nbytes:  # the next request is here already: others have their turn before it
            let_others_run()
        if req.body.failed:  # it is not known where the next request begins
            _linger(sock)  # closed at once, what is unread would reset the connection before the answer is read

    def _discard(self, body):
        """Read the rest of a body, so that its client reads the answer. It may take as long as a head.

        gunicorn would read a kilobyte at a time, and copy what is buffered, up to a megabyte, each time.
        """
        with self.timeout_ctx():
            while body.read(DISCARDED):
                pass
            return
        body.failed = True  # where the next request begins is not known

    def handle_error(self, req, client, addr, exc):
        """Answer what is not HTTP, and what went wrong outside of the application."""
        if not isinstance(exc, Exception):  # the worker stops, and does not wait for this connection
            return
        error = refusal(exc)
        peer = addr[0] if isinstance(addr, tuple) else ""
        record = _record(req, peer, error, self.wsgi.extensions["proxy"].settings.capture)
        try:
            client.settimeout(1)
            client.sendall(_answer(error, record.id))
        except OSError:
            return  # nobody is there to be told
        finally:
            if self.wsgi.extensions["proxy"].log.finish(record):  # else a stranger could fill the disk with warnings
                self.log.warning("A connection from %s ends with status %d: %s", peer, error.status, place_of(exc))
        _linger(client)


class Client(socket.socket):
    """A client's socket that lets other requests run between two pieces that come without a wait."""

    __slots__ = ()

    def recv(self, *args):
        """Some bytes. A full piece means that more of them may be there."""
        data = super().recv(*args)
        if len(data) >= PIECE:
            let_others_run()
        return data


def is_unread(body):
    """Whether gunicorn has not read a request's body to its end."""
    reader = body.reader
    return reader.parser is not None if isinstance(reader, ChunkedReader) else reader.length > 0


class HeadTimeout(Timeout):
    """Ends the wait for a head without a word, as the timeout of the socket itself does when that is the shorter one.

    It does so at once if the peer has its share of connections already.
    """

    def __enter__(self):
        if not incoming.hold():
            raise StopIteration  # gunicorn then closes the connection
        return super().__enter__()

    def __exit__(self, kind, error, trace):
        return super().__exit__(kind, error, trace) or isinstance(error, TimeoutError)


def _linger(sock):
    """Close a connection when its client has had time to read the answer, if its address has a place for that."""
    (util.close_graceful if incoming.hold() else util.close)(sock)


def descriptors(wanted):
    """How many files and connections this process may have open, after asking for so many. The usual limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def refusal(exc):
    """The ProxyError for what gunicorn could not read, or for a fault of ours."""
    known = next((REFUSALS[kind] for kind in type(exc).__mro__ if kind in REFUSALS), None)
    if known is None or isinstance(exc, (http.InvalidResponseHeader, http.InvalidResponseHeaderName)):
        return ProxyError(FAULT)
    error = Malformed(known[2])
    error.status, error.code = known[:2]
    return error


def _record(req, peer, error, capture):
    method, path = getattr(req, "method", None) or "", getattr(req, "path", None) or ""
    record = Record(method, path, peer, capture=capture)
    record.status = error.status
    record.settle(error.outcome, error.message)
    record.end()
    return record


def _answer(error, event_id):
    body = json.dumps(error.body()).encode()
    lines = (
        f"HTTP/1.1 {error.status} {responses.get(error.status, 'Error')}", "Connection: close", "Content-Type: application/json",
        f"Content-Length: {len(body)}", f"x-proxy-request-id: {event_id}", "Cache-Control: no-store", *map(": ".join, BELOW_V1), "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + body
