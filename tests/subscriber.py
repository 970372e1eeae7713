"""Those who listen to a chat, each in a thread of its own: over server-sent events and over a WebSocket."""
import contextlib
import json
import queue
import socket
import threading
from http.client import HTTPConnection
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect


class Listener:
    """Gathers what it hears. `closed` is set when the server ends the stream, `close_code` says how (WebSocket)."""

    def __init__(self):
        self.heard = []
        self.news = queue.Queue()
        self.ids = []
        self.pings = 0
        self.closed = threading.Event()
        self.close_code = None
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def next(self, within=10):
        """The next message."""
        return self.news.get(timeout=within)

    def until_whole(self, within=10):
        """All messages up to and with the next whole one."""
        messages = [self.next(within)]
        while messages[-1]["partial"]:
            messages.append(self.next(within))
        return messages

    def _hear(self, text):
        message = json.loads(text)
        self.heard.append(message)
        self.news.put(message)


class EventSource(Listener):
    """Server-sent events."""

    def __init__(self, person, chat_id, url=None, token=None, **more):
        self.connection = HTTPConnection((url or person.server.url).removeprefix("http://"), timeout=60)
        query = urlencode({"id": chat_id, **more})
        self.connection.request("GET", f"/chat/stream?{query}", headers={"Authorization": f"Bearer {token or person.token}"})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        super().__init__()

    def _listen(self):
        for line in self.answer:
            if line.startswith(b"id: "):
                self.ids.append(line[4:].strip().decode())
            elif line.startswith(b"data: "):
                self._hear(line[6:])
            elif line == b": ping\n":
                self.pings += 1
        self.closed.set()
        self.connection.close()  # a server that stops would wait for its next request

    def close(self):
        """Leave."""
        with contextlib.suppress(AttributeError, OSError):  # it has ended already
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)
        self.connection.close()


class WebSocket(Listener):
    """A WebSocket."""

    def __init__(self, person, chat_id, url=None, **more):
        parameters = {"id": chat_id, "token": person.token, **more}
        self.connection = web_socket(url or person.server.url, parameters)
        self.ws = self.connection.__enter__()
        super().__init__()

    def _listen(self):
        try:
            for text in self.ws:
                self._hear(text)
        except ConnectionClosedError:
            pass  # without a goodbye, or with one that means no good
        self.close_code = self.ws.close_code
        self.closed.set()

    def close(self):
        """Leave, and say so."""
        self.connection.__exit__(None, None, None)


def web_socket(url, parameters, **headers):
    """A WebSocket of another make than the server's, for a `with` block."""
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    return connect(f"{url.replace('http', 'ws', 1)}/chat/stream?{query}", additional_headers=headers, proxy=None, max_size=None)
