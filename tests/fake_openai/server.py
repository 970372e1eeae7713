"""The server: one thread a connection, raw sockets."""
import collections
import hashlib
import select
import socket
import socketserver
import struct
import threading
import time

HANG_UP = object()  # a step: close the connection politely
RESET = object()  # a step: break it off with a TCP reset
KEPT = 1 << 20  # bytes of a question's body that are remembered; all of it goes into the digest


class Question:
    """A request as it arrived."""

    def __init__(self, method, target, headers):
        self.method, self.target, self.headers = method, target, headers
        self.body = b""
        self.size = 0
        self.digest = hashlib.sha256()
        self.framed_by = None  # "length", "chunks" or None
        self.gone = threading.Event()  # set when the asker closes before the answer is out

    def header(self, name, default=None):
        """The value of a header, whatever its case."""
        return dict((key.lower(), value) for key, value in self.headers).get(name.lower(), default)

    def take(self, data):
        """The next bytes of the body."""
        self.size += len(data)
        self.digest.update(data)
        self.body += data[: max(0, KEPT - len(self.body))]


class FakeOpenAI(socketserver.ThreadingTCPServer):
    """Listens on 127.0.0.1. `script` the next answer; without a script it answers like OpenAI."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, port=0, host="127.0.0.1", tls=None):
        super().__init__((host, port), Talk)
        self.tls = tls  # an SSLContext: then it speaks https
        self.questions = []
        self.scripts, self.interruptions = collections.deque(), collections.deque()
        self.asked = threading.Condition()
        self.connections = 0
        self.start()

    def start(self):
        """Accept connections."""
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def url(self):
        """Its address, for API_URL."""
        return "%s://%s:%d" % ("https" if self.tls else "http", *self.server_address)

    def script(self, *steps):
        """Answer the next question with these steps: bytes, seconds to pause, an Event to stall for, HANG_UP or RESET."""
        self.scripts.append(steps)

    def interrupt(self, *steps):
        """Take these steps between the head and the body of the next question."""
        self.interruptions.append(steps)

    def forget(self):
        """Start afresh."""
        with self.asked:
            self.questions.clear()
            self.scripts.clear()
            self.interruptions.clear()

    def hear(self, question):
        """Remember a question; returns the steps of the answer, or None to answer like OpenAI."""
        with self.asked:
            self.questions.append(question)
            self.asked.notify_all()
            return self.scripts.popleft() if self.scripts else None

    def question(self, number=0, within=5):
        """The question of that number, once it is asked."""
        with self.asked:
            assert self.asked.wait_for(lambda: len(self.questions) > number, within), "the upstream was not asked"
            return self.questions[number]

    def stop(self):
        """Stop listening."""
        self.shutdown()
        self.server_close()

    def stop_listening(self):
        """Refuse connections from now on."""
        self.stop()
        self.thread.join()

    def listen_again(self):
        """Accept connections at the same port again."""
        self.socket = socket.socket()
        self.server_bind()
        self.server_activate()
        self.start()

    def get_request(self):
        """The next connection. A handshake that fails raises OSError, which is the asker's business too."""
        connection, address = super().get_request()
        return self.tls.wrap_socket(connection, server_side=True) if self.tls else connection, address

    def handle_error(self, request, client_address):
        """A connection that broke is the asker's business."""


class Talk(socketserver.StreamRequestHandler):
    """One connection."""

    disable_nagle_algorithm = True

    def handle(self):
        self.server.connections += 1
        try:
            while question := self.read_question():
                steps = self.server.hear(question)
                if steps is None:
                    from tests.fake_openai.answers import answer

                    steps = answer(question)
                    if question.method == "HEAD":
                        steps = [step.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" for step in steps]
                if not self.play(question, steps):
                    return
        except (ConnectionError, ValueError):
            return
        finally:
            self.server.connections -= 1

    def read_question(self):
        """The next request with its body, or None at the end."""
        line = self.rfile.readline()
        if not line:
            return None
        method, target, _ = line.decode("latin-1").split(" ", 2)
        question = Question(method, target, [])
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            question.headers.append((name, value.strip()))
        if self.server.interruptions and not self.play(question, self.server.interruptions.popleft()):
            return None
        self.read_body(question)
        return question

    def read_body(self, question):
        if question.header("Transfer-Encoding") == "chunked":
            question.framed_by = "chunks"
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self.read_exactly(question, size)
                self.rfile.readline()
            self.rfile.readline()
        elif question.header("Content-Length") is not None:
            question.framed_by = "length"
            self.read_exactly(question, int(question.header("Content-Length")))

    def read_exactly(self, question, size):
        while size:
            data = self.rfile.read(min(size, 1 << 16))
            if not data:
                question.gone.set()
                raise ConnectionError
            size -= len(data)
            question.take(data)

    def play(self, question, steps):
        """Take the steps; returns whether the connection goes on."""
        for step in steps:
            if isinstance(step, bytes):
                self.send(question, step)
            elif step is HANG_UP:
                return False
            elif step is RESET:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return False
            elif isinstance(step, float):
                if not self.stall(question, threading.Event(), step):
                    return False
            elif not self.stall(question, step):
                return False
        return True

    def send(self, question, data):
        try:
            self.wfile.write(data)
        except ConnectionError:
            question.gone.set()
            raise

    def stall(self, question, event, longest=float("inf")):
        """Wait for the event, or so long; False when the asker leaves first."""
        until = time.monotonic() + longest
        while not event.wait(0.01) and time.monotonic() < until:
            if select.select([self.connection], [], [], 0)[0] and not self.hears_more():
                question.gone.set()
                return False
        return True

    def hears_more(self):
        try:
            return self.connection.recv(1, socket.MSG_PEEK)
        except ConnectionError:
            return False


def head(status="200 OK", *headers):
    """The head of an answer; headers as "Name: value"."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


def whole(body, content_type="application/json", status="200 OK", *headers):
    """An answer with a length."""
    return head(status, f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers) + body


def chunked(*pieces):
    """Pieces as chunks of a chunked body; an empty one ends it."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
