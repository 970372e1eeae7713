"""HTTP as bytes, for tests that look at the wire itself."""
import itertools
import json
import socket
import time

WEB_SOCKET = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
numbers = itertools.count(256)


def elsewhere():
    """An address of this machine that no other test uses: of one address the log keeps few requests without a token."""
    number = next(numbers)
    return f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def forwarded():
    """What a front says of a caller at such an address."""
    return {"X-Forwarded-For": elsewhere()}


class Wire:
    """A plain connection to a server, from another address of this machine if one is given: 127.0.0.1 alone is trusted as a front."""

    def __init__(self, server, timeout=10, source="127.0.0.1"):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout, (source, 0))
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Leave."""
        self.file.close()
        self.socket.close()

    def send(self, data):
        """Send bytes."""
        self.socket.sendall(data)

    def ask(self, method, target, *headers, body=None):
        """Send a request; returns the head of the answer."""
        lines = [f"{method} {target} HTTP/1.1", "Host: proxy", *headers]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))
        return self.head()

    def head(self):
        """(status, [(lower-case name, value)]) of the next answer."""
        status = int(self.file.readline().split()[1])
        pairs = []
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            pairs.append((name.lower(), value.strip()))
        return status, pairs

    def error(self):
        """(status, error) of the next answer, which must be one in OpenAI's shape, with the id of an event."""
        status, headers = self.head()
        body, whole = self.body(headers)
        assert whole and dict(headers)["content-type"] == "application/json" and "x-proxy-request-id" in dict(headers), (status, headers)
        error = json.loads(body)["error"]
        assert set(error) == {"message", "type", "param", "code"} and error["message"].endswith("."), error
        return status, error

    def chunk(self):
        """The next chunk of a chunked body; b"" at its proper end, None when it breaks off."""
        size = self.file.readline().strip()
        if not size:
            return None
        data = self.file.read(int(size, 16))
        self.file.readline()
        return data

    def body(self, headers, method="GET", status=200):
        """The rest of the answer as bytes, and whether it ended properly."""
        headers = dict(headers)
        if method == "HEAD" or status in (204, 304):
            return b"", True
        if "content-length" in headers:
            data = self.file.read(int(headers["content-length"]))
            return data, len(data) == int(headers["content-length"])
        pieces = []
        while piece := self.chunk():
            pieces.append(piece)
        return b"".join(pieces), piece == b""


def bearer(person):
    """The header line with a person's token."""
    return f"Authorization: Bearer {person.token}"


def seconds_until(event, within):
    """How long it takes until the event is set, which must be within so many seconds."""
    begin = time.monotonic()
    assert event.wait(within), f"it did not happen within {within} s"
    return time.monotonic() - begin
