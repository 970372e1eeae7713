"""Those who listen to a chat, each in a thread of its own: over server-sent events and over a WebSocket."""
import json
import queue
import threading

import requests
import simple_websocket


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
        self.answer.close()


class WebSocket(Listener):
    """A WebSocket."""

    def __init__(self, person, chat_id, url=None, **more):
        base = (url or person.server.url).replace("http", "ws", 1)
        query = "&".join(f"{name}={value}" for name, value in {"id": chat_id, "token": person.token, **more}.items())
        self.ws = simple_websocket.Client.connect(f"{base}/chat/stream?{query}")
        super().__init__()

    def _listen(self):
        try:
            while True:
                self._hear(self.ws.receive())
        except simple_websocket.ConnectionClosed as error:
            self.close_code = int(error.reason)
        self.closed.set()

    def close(self):
        """Leave, and say so."""
        try:
            self.ws.close()
        except simple_websocket.ConnectionClosed:
            pass
