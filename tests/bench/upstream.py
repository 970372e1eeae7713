"""An OpenAI-shaped upstream that costs next to nothing: one uvloop process, answers made in advance.

A completion is one JSON answer with usage; with "stream": true it is as many chunks as it was told, at even intervals, each
with its number in it, so that a reader sees loss, disorder and damage. GET /stats tells what was asked so far.
"""
import argparse
import asyncio
import json
import re

import uvloop

STREAM = re.compile(rb'"stream"\s*:\s*true')
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.I)
WORDS = "The quick brown fox jumps over the lazy dog while the proxy in the middle counts tokens and checks keys. " * 4
USAGE = {
    "prompt_tokens": 24, "completion_tokens": 68, "total_tokens": 92,
    "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0},
}  # fmt: skip
COMMON = {"id": "chatcmpl-0123456789", "created": 1700000000, "model": "gpt-4o-mini-2024-07-18"}
HEAD = b"HTTP/1.1 %b\r\nContent-Type: %b\r\n%b\r\n\r\n"


def compact(value):
    """JSON without spaces, as OpenAI sends it."""
    return json.dumps(value, separators=(",", ":")).encode()


def whole(value, status=b"200 OK"):
    """An answer with a length."""
    body = compact(value)
    return HEAD % (status, b"application/json", b"Content-Length: %d" % len(body)) + body


def framed(data):
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(choices, **more):
    """One chunk of a streamed completion, framed."""
    return framed(b"data: " + compact({**COMMON, "object": "chat.completion.chunk", "choices": choices, **more}) + b"\n\n")


def choice(delta, finish=None):
    """The one choice of a chunk."""
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]


MESSAGE = {"role": "assistant", "content": WORDS, "refusal": None}
COMPLETION = whole({
    **COMMON, "object": "chat.completion", "usage": USAGE,
    "choices": [{"index": 0, "message": MESSAGE, "logprobs": None, "finish_reason": "stop"}],
})  # fmt: skip
STREAM_HEAD = HEAD % (b"200 OK", b"text/event-stream; charset=utf-8", b"Transfer-Encoding: chunked")
STREAM_END = event(choice({}, "stop")) + event([], usage=USAGE) + framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection."""

    stats = {"requests": 0, "streams": 0}
    chunks, interval = [], 0.0  # set by `main`

    def connection_made(self, transport):
        """A caller is there."""
        self.transport, self.buffer, self.timer = transport, b"", None
        self.loop = asyncio.get_running_loop()

    def connection_lost(self, error):
        """The caller left."""
        if self.timer:
            self.timer.cancel()

    def data_received(self, data):
        """Answer each whole request in the buffer."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(self.buffer, 0, end + 2)
            stop = end + 4 + (int(length[1]) if length else 0)
            if len(self.buffer) < stop:
                return
            request, self.buffer = self.buffer[:stop], self.buffer[stop:]
            self.answer(request)

    def answer(self, request):
        """Answer one request."""
        if request.startswith(b"GET /stats"):
            self.transport.write(whole(self.stats))
        elif STREAM.search(request):
            self.stats["streams"] += 1
            self.transport.write(STREAM_HEAD)
            self.begin = self.loop.time()
            self.send_chunk(0)
        else:
            self.stats["requests"] += 1
            self.transport.write(COMPLETION)

    def send_chunk(self, number):
        """Send one chunk; the next is due by the clock, however late this one was."""
        if number + 1 < len(self.chunks):
            self.transport.write(self.chunks[number])
            due = self.begin + (number + 1) * self.interval
            self.timer = self.loop.call_at(due, self.send_chunk, number + 1)
        else:
            self.transport.write(self.chunks[number] + STREAM_END)


async def main():
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=19090)
    parser.add_argument("--chunks", type=int, default=50, help="in a stream")
    parser.add_argument("--interval", type=float, default=0.02, help="seconds between chunks")
    options = parser.parse_args()
    Upstream.chunks = [event(choice({"content": f"t{number:04d} "})) for number in range(options.chunks)]
    Upstream.interval = options.interval
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", options.port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
