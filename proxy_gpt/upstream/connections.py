"""Connections to the upstream, kept open for the next request while they are idle."""
import collections
import socket
import ssl
import time
from select import POLLIN
from urllib.parse import urlsplit

import requests.certs
from gevent.monkey import get_original

MOST_IDLE = 1024
LONGEST_IDLE = 60  # seconds; what stands between us and the upstream may forget a connection that is silent for longer
KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}  # seconds, seconds, probes; as far as the system has it


class Connections:
    """The connections of one process to one origin (scheme://host[:port])."""

    def __init__(self, origin, connect_timeout, read_timeout):
        url = urlsplit(origin)
        self.address = url.hostname, url.port or {"http": 80, "https": 443}[url.scheme]
        self.host = url.netloc
        self.connect_timeout, self.read_timeout = connect_timeout, read_timeout
        self.tls = _tls() if url.scheme == "https" else None
        self.idle = collections.deque()  # the one that is idle for longest first

    def take(self):
        """A Connection, for one exchange. Raises OSError."""
        while self.idle:
            connection = self.idle.pop()
            if connection.is_quiet():
                return connection
            connection.sock.close()
        return Connection(self, self._connected())

    def keep(self, connection):
        """A connection is idle, and may be used again; those that were not for long are closed."""
        connection.idle_since = time.monotonic()
        self.idle.append(connection)
        while len(self.idle) > MOST_IDLE or self.idle[0].idle_since < connection.idle_since - LONGEST_IDLE:
            self.idle.popleft().sock.close()

    def _connected(self):
        sock = socket.create_connection(self.address, self.connect_timeout)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a dead line is noticed before the read's timeout
            for option in KEEPALIVE.keys() & vars(socket).keys():
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), KEEPALIVE[option])
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_hostname=self.address[0])
            sock.settimeout(self.read_timeout)
        except BaseException:
            sock.close()
            raise
        return sock


class Connection:
    """A connection, in use or idle."""

    __slots__ = ("connections", "sock", "idle_since")

    def __init__(self, connections, sock):
        self.connections = connections
        self.sock = sock

    def is_quiet(self):
        """Whether it is young and nothing has arrived: all that an idle connection can have to say is that it ends."""
        if self.idle_since < time.monotonic() - LONGEST_IDLE:
            return False
        poll = get_original("select", "poll")()  # gevent's own would go through its loop
        poll.register(self.sock, POLLIN)
        return not poll.poll(0)

    def release(self, reusable):
        """The exchange is over. Keep the connection if it can be used again."""
        if reusable:
            self.connections.keep(self)
        else:
            self.sock.close()


def _tls():
    """Certificates are verified against the roots that requests brings, and against those the machine trusts besides."""
    context = ssl.create_default_context(cafile=requests.certs.where())
    context.load_default_certs()
    return context
