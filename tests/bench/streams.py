"""Opens many streamed completions at once, checks every chunk of each, and prints one line of JSON.

While they run only (time, bytes) is stored; all reading happens afterwards, so that the client takes little of the CPU.
"""
import argparse
import asyncio
import bisect
import json
import re
from time import perf_counter
from urllib.parse import urlsplit

import uvloop

NUMBER = re.compile(rb't(\d{4}) "')
BODY = b'{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"Say something."}]}'


class Reader(asyncio.Protocol):
    """One stream."""

    def __init__(self, request, finished):
        self.request, self.finished = request, finished
        self.times, self.ends, self.data = [], [], bytearray()

    def connection_made(self, transport):
        """Ask."""
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data):
        """Take a piece and its time."""
        self.times.append(perf_counter())
        self.data += data
        self.ends.append(len(self.data))
        if self.data.endswith(b"\r\n0\r\n\r\n"):
            self.transport.close()

    def connection_lost(self, error):
        """The end, proper or not."""
        self.finished()

    def chunks(self):
        """[(number, time)] of the chunks that came, and whether the stream ended as it should."""
        head, _, framed = bytes(self.data).partition(b"\r\n\r\n")
        body, places = unframed(framed, len(self.data) - len(framed))
        arrived = []
        for found in NUMBER.finditer(body):
            at, wire = places[bisect.bisect_right(places, (found.end(), 0)) - 1]
            piece = bisect.bisect_left(self.ends, wire + found.end() - at)
            arrived.append((int(found[1]), self.times[piece]))
        whole = head.startswith(b"HTTP/1.1 200") and body.endswith(b"data: [DONE]\n\n") and framed.endswith(b"\r\n0\r\n\r\n")
        return arrived, whole and b'"finish_reason":"stop"' in body


def unframed(data, offset):
    """The body in a chunked one, and for each chunk (its place in the body, its place on the wire)."""
    body, places, at = bytearray(), [], 0
    while (line := data.find(b"\r\n", at)) > 0 and (size := int(data[at:line], 16)):
        places.append((len(body), offset + line + 2))
        body += data[line + 2 : line + 2 + size]
        at = line + 2 + size + 2
    return body, places


def percentile(values, share):
    """The value below which this share of the values is."""
    values = sorted(values)
    return values[int(share * (len(values) - 1))] if values else None


def verdict(readers, chunks):
    """What became of the streams."""
    complete, got, gaps = 0, 0, []
    for reader in readers:
        arrived, whole = reader.chunks()
        got += len(arrived)
        complete += whole and [number for number, _ in arrived] == list(range(chunks))
        gaps += [after - before for (_, before), (_, after) in zip(arrived, arrived[1:], strict=False)]
    return {"complete": complete, "chunks": got, "lost": len(readers) * chunks - got, "gap_p99": percentile(gaps, 0.99)}


async def main():
    """Run the streams."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--token", default="none")
    parser.add_argument("-c", type=int, default=1000, help="streams at once")
    parser.add_argument("--chunks", type=int, default=50, help="as the upstream sends")
    parser.add_argument("--ramp", type=float, default=1, help="seconds over which they start")
    parser.add_argument("--deadline", type=float, default=15, help="seconds")
    options = parser.parse_args()
    readers = await run(options)
    print(json.dumps(verdict(readers, options.chunks)))


async def run(options):
    """The readers, when all are at their end or the deadline has passed."""
    url = urlsplit(options.url)
    loop, left = asyncio.get_running_loop(), asyncio.Semaphore(0)
    lines = [f"POST {url.path} HTTP/1.1", f"Host: {url.netloc}", f"Authorization: Bearer {options.token}",
             "Content-Type: application/json", f"Content-Length: {len(BODY)}", "", ""]  # fmt: skip
    request = "\r\n".join(lines).encode() + BODY
    readers, begin = [Reader(request, left.release) for _ in range(options.c)], loop.time()

    async def everybody():
        for number, reader in enumerate(readers):
            await asyncio.sleep(begin + options.ramp * number / options.c - loop.time())
            await loop.create_connection(lambda reader=reader: reader, url.hostname, url.port)
        for _ in readers:
            await left.acquire()

    try:
        await asyncio.wait_for(everybody(), options.deadline)
    except TimeoutError:
        pass
    return readers


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
