"""Opens many /chat/stream subscriptions, says so, and when told to go on times how long a message takes to the last.

One chat has a crowd; the others listen to a chat in which nobody speaks.
"""
import argparse
import asyncio
import json
import sys
from time import perf_counter
from urllib.parse import urlencode, urlsplit

import uvloop


class Listener(asyncio.Protocol):
    """A subscription over server-sent events."""

    def __init__(self, request, ready, heard):
        self.request, self.ready, self.heard, self.data = request, ready, heard, b""

    def connection_made(self, transport):
        """Subscribe."""
        transport.write(self.request)

    def data_received(self, data):
        """The stream has begun, or something is said."""
        self.data += data
        if self.ready and b"retry:" in self.data:
            self.ready, ready = None, self.ready
            ready()
        if self.heard and b"\ndata: " in self.data:
            self.heard, heard = None, self.heard
            heard()


def request(options, path, **fields):
    """The bytes of a form."""
    body = urlencode(fields)
    lines = [f"POST {path} HTTP/1.1", "Host: proxy", f"Authorization: Bearer {options.token}",
             "Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}", "", body]  # fmt: skip
    return "\r\n".join(lines).encode()


async def main():
    """Run the subscriptions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    for name in ("--token", "--chat", "--quiet"):
        parser.add_argument(name, required=True)
    parser.add_argument("--crowd", type=int, default=1000)
    parser.add_argument("--others", type=int, default=4000)
    options = parser.parse_args()
    heard = asyncio.Semaphore(0)
    await listen(options, options.chat, options.crowd, heard.release)
    await listen(options, options.quiet, options.others, None)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    begin = perf_counter()
    await connect(options, Listener(request(options, "/chat/prompt", id=options.chat, prompt="hello", otr="true"), None, None))
    async with asyncio.timeout(10):
        for _ in range(options.crowd):
            await heard.acquire()
    print(json.dumps({"seconds": perf_counter() - begin}))


async def listen(options, chat, count, heard):
    """Open so many subscriptions to a chat, some at a time, and wait until each has begun."""
    ready = asyncio.Semaphore(0)
    for number in range(count):
        await connect(options, Listener(request(options, "/chat/stream", id=chat), ready.release, heard))
        if number >= 64:
            await ready.acquire()
    for _ in range(min(count, 64)):
        await ready.acquire()


async def connect(options, listener):
    """Connect a Listener."""
    url = urlsplit(options.url)
    await asyncio.get_running_loop().create_connection(lambda: listener, url.hostname, url.port)


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
