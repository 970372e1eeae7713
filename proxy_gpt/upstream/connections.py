"""Connections to the upstream, kept open for the next request while they are idle."""
import socket
import ssl
from select import POLLIN
from urllib.parse import urlsplit

import requests.certs
from gevent.monkey import get_original

MOST_IDLE = 1024


class Connections:
    """The connections of one process to one origin (scheme://host[:port])."""

    def __init__(self, origin, connect_timeout, read_timeout):
        url = urlsplit(origin)
        self.address = url.hostname, url.port or {"http": 80, "https": 443}[url.scheme]
        self.host = url.netloc
        self.connect_timeout, self.read_timeout = connect_timeout, read_timeout
        self.tls = _tls() if url.scheme == "https" else None
        self.idle = []

    def take(self):
        """A Connection, for one exchange. Raises OSError."""
        while self.idle:
            connection = self.idle.pop()
            if connection.is_quiet():
                return connection
            connection.sock.close()
        return Connection(self, self._connected())

    def _connected(self):
        sock = socket.create_connection(self.address, self.connect_timeout)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_hostname=self.address[0])
            sock.settimeout(self.read_timeout)
        except BaseException:
            sock.close()
            raise
        return sock


class Connection:
    """A connection, in use or idle."""

    __slots__ = ("connections", "sock")

    def __init__(self, connections, sock):
        self.connections = connections
        self.sock = sock

    def is_quiet(self):
        """Whether nothing has arrived: all that an idle connection can have to say is that it ends."""
        poll = get_original("select", "poll")()  # gevent's own would go through its loop
        poll.register(self.sock, POLLIN)
        return not poll.poll(0)

    def release(self, reusable):
        """The exchange is over. Keep the connection, if it can be used again and there is room for it."""
        if reusable and len(self.connections.idle) < MOST_IDLE:
            self.connections.idle.append(self)
        else:
            self.sock.close()


def _tls():
    """Certificates are verified against the roots that requests brings, and against those the machine trusts besides."""
    context = ssl.create_default_context(cafile=requests.certs.where())
    context.load_default_certs()
    return context
