"""Those who listen to a chat, each in a thread of its own: over server-sent events and over a WebSocket."""
import json
import queue
import socket
import threading
from urllib.parse import urlencode

import requests
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

    def __init__(self, person, chat_id, url=None, **more):
        parameters = {"id": chat_id, **more}
        headers = {"Authorization": f"Bearer {person.token}"}
        self.answer = requests.get(f"{url or person.server.url}/chat/stream", params=parameters, headers=headers, stream=True, timeout=60)
        assert self.answer.status_code == 200, self.answer.text
        self.socket = self.answer.raw.connection.sock
        super().__init__()

    def _listen(self):
        try:
            for line in self.answer.iter_lines(chunk_size=1):
                if line.startswith(b"id: "):
                    self.ids.append(line[4:].decode())
                elif line.startswith(b"data: "):
                    self._hear(line[6:])
                elif line == b": ping":
                    self.pings += 1
        except (requests.RequestException, AttributeError, ValueError):
            pass  # `close` was called meanwhile
        self.closed.set()

    def close(self):
        """Leave."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)
        self.answer.close()


class WebSocket(Listener):
    """A WebSocket."""

    def __init__(self, person, chat_id, url=None, **more):
        parameters = {"id": chat_id, "token": person.token, **more}
        self.ws = connect_web_socket(url or person.server.url, parameters)
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
        self.ws.close()


def connect_web_socket(url, parameters, **headers):
    """A WebSocket of another make than the server's."""
    query = urlencode({name: value for name, value in parameters.items() if value is not None})
    return connect(f"{url.replace('http', 'ws', 1)}/chat/stream?{query}", additional_headers=headers, proxy=None, max_size=None)
