"""The upstream's answer, read by llhttp (the parser of Node.js) through httptools: each piece of its body when it arrives."""
import re
import ssl
import time

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from proxy_gpt.errors import UpstreamBroke, UpstreamError, UpstreamRefusedKey, UpstreamTimeout
from proxy_gpt.upstream.headers import EVENT_STREAM

PIECE = 64 << 10  # bytes read at once, at most: what is there is taken, a full piece is never waited for
LONGEST_HEAD = 256 << 10  # bytes
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # what no reason phrase may hold, RFC 9112 section 4
BROKEN = (OSError, HttpParserError, HttpParserUpgrade)
NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)  # of a socket that does not wait


class Answer:
    """The upstream's answer: status, headers, and the pieces of its body. The parser calls what begins with `on_`."""

    def __init__(self, connection, method, longest):
        self.connection, self.longest = connection, longest
        self.parser = HttpResponseParser(self)
        self.bodyless = method == "HEAD"
        self.reason, self.pairs = "", []
        self.asked = False  # whether the upstream has the whole request: else its connection cannot serve another one
        self.begun = self.complete = self.reusable = False
        self.arrived = []
        self.head_bytes = 0

    def hear(self):
        """Take what has arrived of the head, while the request is still being sent on a socket that does not wait."""
        try:
            if not self.begun:
                self._receive_head()
        except NOT_NOW:
            return

    def is_refusal(self):
        """Whether it is there and says that the rest of the request is not wanted; with a 2xx the upstream may go on reading."""
        return self.begun and self.status >= 300

    def read_head(self):
        """Wait for the head."""
        now = time.monotonic()
        self.deadline = now + self.longest
        while not self.begun:
            if time.monotonic() > now + self.connection.connections.read_timeout:
                raise TimeoutError("The head comes too slowly.")
            self._receive_head()
        if CONTROL.search(self.reason):
            raise HttpParserError("The reason phrase has a control character.")
        self.found = {name.lower(): value for name, value in reversed(self.pairs)}
        self.ends_with_connection = not {"content-length", "transfer-encoding"} & self.found.keys()

    def header(self, name, default=""):
        """The value of one of the headers (in lower case) as the upstream sent it."""
        return self.found.get(name, default)

    def is_event_stream(self):
        """Whether its body is server-sent events."""
        return self.header("content-type").lower().startswith(EVENT_STREAM)

    def require_accepted_key(self):
        """Raise UpstreamRefusedKey for a 401: it is about the shared key, for the caller's own token is good."""
        if self.status == 401:
            raise UpstreamRefusedKey("The upstream refused the proxy's own key. Tell the operator to check API_KEY.")

    def pieces(self):
        """Yield the body's bytes, each piece when it arrives. Raises UpstreamBroke or UpstreamTimeout.

        An upstream that sends a byte now and then is never silent for long: the whole answer has its time too.
        """
        try:
            while True:
                if self.arrived:
                    piece = self.arrived[0] if len(self.arrived) == 1 else b"".join(self.arrived)
                    self.arrived = []
                    yield piece
                if self.complete:
                    return
                if time.monotonic() > self.deadline:
                    raise UpstreamTimeout("The upstream's answer took too long in all (ANSWER_TIMEOUT). Ask for less at once.")
                self._receive()
        except BROKEN as error:
            raise translated(error, broke=True) from error

    def close(self):
        """Give the connection back if the answer was read to its end and nothing came after it, else close it."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.release(self.complete and self.reusable and self.asked)

    def _receive_head(self):
        self.head_bytes += self._receive()
        if self.head_bytes > LONGEST_HEAD:
            raise HttpParserError("The head is too long.")

    def _receive(self):
        data = self.connection.sock.recv(PIECE)
        if data:
            self._parse(data)
        elif self.begun and self.ends_with_connection:
            self.complete = True
        else:
            raise ConnectionResetError("The connection ended in the middle of an answer.")
        return len(data)

    def _parse(self, data):
        try:
            self.parser.feed_data(data)
        except HttpParserError:
            if not self.complete:
                raise
            self.reusable = False  # something else followed

    def on_message_begin(self):
        """An answer begins: the one asked for, after a 1xx, or one that nobody asked for."""
        if self.complete:
            self.reusable = False
        elif not self.begun:
            self.reason, self.pairs = "", []

    def on_status(self, reason):
        """A part of the reason phrase."""
        if not self.begun:
            self.reason += reason.decode("latin-1")

    def on_header(self, name, value):
        """A header, or after the body a trailer, which has no meaning for a caller."""
        if not self.begun:
            self.pairs.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self):
        """The head is whole."""
        if not self.begun:
            self.status = self.parser.get_status_code()
            self.begun = self.status >= 200
            if self.begun and self.bodyless:
                self.on_message_complete()

    def on_body(self, data):
        """A part of the body."""
        if self.complete:
            self.reusable = False
        else:
            self.arrived.append(data)

    def on_message_complete(self):
        """The end of the body."""
        if self.begun and not self.complete:
            self.complete = True
            self.reusable = self.parser.should_keep_alive()


def translated(error, broke=False):
    """The ProxyError for what a connection raised: before the answer's headers, or (`broke`) in the middle of its body."""
    if isinstance(error, TimeoutError):
        return UpstreamTimeout("The upstream did not answer in time. Try again later.")
    if broke:
        return UpstreamBroke("The upstream broke off in the middle of its answer. Try again.")
    return UpstreamError("The upstream cannot be reached, or broke off before it answered. Try again later.")
