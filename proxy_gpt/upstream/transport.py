"""Sending one request upstream over pooled connections, and its answer back piece by piece.

requests' adapter brings the pool, TLS and its certificates. Its own `send` is not used, since on its way urllib3 rewrites
the request target (`include[]=` becomes `include%5B%5D=`) and retries; the connection below takes it as it came, once.
"""
import http.client
from contextlib import contextmanager

from requests import Request
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError
from urllib3.util import SKIP_HEADER, Timeout

from proxy_gpt.errors import UpstreamBroke, UpstreamError, UpstreamTimeout
from proxy_gpt.upstream import address
from proxy_gpt.upstream.headers import downstream

PIECE = 64 << 10  # bytes read at once, at most: what is there is taken, a full piece is never waited for
IDLE_CONNECTIONS = 1024
BROKEN = (OSError, http.client.HTTPException, HTTPError)
# What urllib3 would add of its own when the caller did not send it.
UNSENT = {"User-Agent": SKIP_HEADER, "Accept-Encoding": SKIP_HEADER}


class Upstream:
    """The upstream of one process: an address, a credential, and a pool of connections."""

    def __init__(self, settings):
        self.address = address.parse(settings.api_url)
        self.credential = self.address.credential(settings.api_key)
        self.timeout = Timeout(connect=settings.connect_timeout, read=settings.upstream_timeout)
        self.pool = _pool(self.address.origin)
        self.models = dict(settings.models)
        self.usual_model = next(iter(self.models))  # of a chat that names none

    def model(self, name):
        """What the upstream calls a chat's model."""
        return self.models.get(name, name)

    def send(self, call, method, path, query, headers, body=None, length=None):
        """The Answer to a request for a path below /v1; a body without length is sent in chunks.

        `call` is told the connection, so that it can be cut. Raises UpstreamError or UpstreamTimeout.
        """
        headers = {**UNSENT, **headers}
        if self.credential:
            headers[self.credential[0]] = self.credential[1]
        if length is not None:
            headers["Content-Length"] = str(length)
        with self._connection() as connection:
            call.connected(connection.sock)
            self._request(connection, method, self.address.target(path, query), headers, body, length)
            return Answer(self.pool, connection, connection.getresponse())

    @contextmanager
    def _connection(self):
        """A connection for one exchange. The Answer gives it back; if there is none, it is closed here."""
        connection = self.pool._get_conn()
        try:
            connection.timeout = self.timeout.connect_timeout
            if connection.sock is None:
                connection.connect()
            connection.timeout = self.timeout.read_timeout
            yield connection
        except BROKEN as error:
            _discard(self.pool, connection)
            raise translated(error) from error
        except BaseException:  # the caller left, or the worker stops: not the upstream's fault, but the end of this
            _discard(self.pool, connection)
            raise

    @staticmethod
    def _request(connection, method, target, headers, body, length):
        try:
            connection.request(
                method, target, body, headers,
                chunked=body is not None and length is None, preload_content=False, decode_content=False,
            )  # fmt: skip
        except (BrokenPipeError, ConnectionResetError):
            pass  # the upstream may have answered before it had the whole body (413, say): read that


class Answer:
    """The upstream's answer: status, headers, and the pieces of its body as they arrive."""

    def __init__(self, pool, connection, response):
        self.pool = pool
        self.connection = connection
        self.response = response
        self.status = response.status
        self.reason = response.reason
        self.headers = downstream(response.headers.items())

    def header(self, name, default=""):
        """The value of one of the headers as the upstream sent it."""
        return self.response.headers.get(name, default)

    def pieces(self):
        """Yield the body's bytes, each piece when it arrives. Raises UpstreamBroke or UpstreamTimeout."""
        read = self.response.read1
        try:
            while piece := read(PIECE):
                yield piece
        except BROKEN as error:
            raise translated(error, broke=True) from error

    def close(self):
        """Give the connection back if the body was read to its end, else close it."""
        connection, self.connection = self.connection, None
        if connection is None:
            return
        if not self.response.isclosed() or self.response.length_remaining:
            connection.close()
        self.response.close()
        self.pool._put_conn(connection)


def translated(error, broke=False):
    """The ProxyError for what a connection raised: before the answer's headers, or (`broke`) in the middle of its body."""
    refused = isinstance(error, NewConnectionError)  # for urllib3 that is a kind of ConnectTimeoutError
    if isinstance(error, (TimeoutError, ConnectTimeoutError, ReadTimeoutError)) and not refused:
        return UpstreamTimeout("The upstream did not answer in time. Try again later.")
    if broke:
        return UpstreamBroke("The upstream broke off in the middle of its answer. Try again.")
    return UpstreamError("The upstream cannot be reached, or broke off before it answered. Try again later.")


def _pool(origin):
    """requests' pool of connections to one server, with requests' certificates."""
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=IDLE_CONNECTIONS)
    pool = adapter.get_connection_with_tls_context(Request("GET", origin).prepare(), verify=True)
    adapter.cert_verify(pool, origin, verify=True, cert=None)
    return pool


def _discard(pool, connection):
    """Close a connection in the middle of something; its place in the pool is free again."""
    connection.close()
    pool._put_conn(connection)
