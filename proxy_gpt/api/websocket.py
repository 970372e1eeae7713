"""A WebSocket by simple-websocket on the server's own socket; what it leaves open (RFC 6455 is all its own) is closed here."""
import errno
import socket
import threading

from flask import Response
from simple_websocket import ConnectionClosed, Server
from simple_websocket import ConnectionError as HandshakeError
from werkzeug.wsgi import ClosingIterator
from wsproto.utilities import ProtocolError

from proxy_gpt.errors import BadRequest

PING = 15  # seconds between pings; a client that does not answer one is let go
LONGEST = 4096  # bytes of a message from the client, which is not read anyway
REASON = 123  # bytes of a close frame's reason, RFC 6455 section 5.5


class Bell:
    """Rung when the client has sent something or is gone. simple-websocket takes it for the Event that its reader sets."""

    def __init__(self):
        self.ring = lambda: None

    def set(self):
        """Something has happened."""
        self.ring()


class WholeSocket:
    """The server's socket for two writers: the ping's and ours each send whole frames (`send` alone may send a part)."""

    def __init__(self, sock):
        self.sock = sock
        self.lock = threading.Lock()
        self.recv, self.fileno = sock.recv, sock.fileno

    def send(self, data):
        """Send all of it."""
        with self.lock:
            self.sock.sendall(data)

    def close(self):
        """End the talk, without the descriptor: that is the server's to close."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EBADF):  # the client, or the server, was faster
                raise


def accept(environ, bell):
    """Shake hands. Raises BadRequest when the request is not a WebSocket's."""
    # Without Sec-WebSocket-Extensions there is no compression, which would hold 300 kB for each idle subscriber.
    environ = {key: value for key, value in environ.items() if key != "HTTP_SEC_WEBSOCKET_EXTENSIONS"}
    environ["gunicorn.socket"] = WholeSocket(environ["gunicorn.socket"])
    try:
        return Server.accept(environ, ping_interval=PING, max_message_size=LONGEST, event_class=lambda: bell)
    except (HandshakeError, ProtocolError) as error:
        raise BadRequest("The WebSocket handshake is not complete. Use a WebSocket client of version 13.") from error


def close(ws, code, reason=""):
    """Say goodbye, and give the client a second to say it too."""
    try:
        ws.close(code, reason.encode()[:REASON].decode("utf-8", "ignore"))
    except (ConnectionClosed, OSError):
        return  # the client is gone already
    ws.thread.join(1)


def unread(ws):
    """Drop what the client has sent. Returns whether it is still there."""
    while ws.input_buffer:
        ws.receive()
    return ws.connected


class Spoken(Response):
    """A response that is spoken on the socket itself, after the request's context is gone."""

    def __init__(self, talk):
        super().__init__(Conversation(talk), 101)

    def get_app_iter(self, environ):
        """The conversation: Werkzeug would leave out the body of a 101."""
        return ClosingIterator(self.response, self.close)


class Conversation:
    """The body of such a response."""

    def __init__(self, talk):
        self.talk = talk

    def __iter__(self):
        return self

    def __next__(self):
        self.talk()
        # The server must send nothing more, and closes the connection: this error is one that it expects.
        raise OSError(errno.ENOTCONN, "The WebSocket is closed.")
