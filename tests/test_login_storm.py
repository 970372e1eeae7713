"""Fifty logins a second beside a stream: how late its chunks come."""
import socket
import time

import pytest

from tests.conftest import numbers
from tests.fake_openai import chunked, head
from tests.wire import Wire, bearer

CHUNKS, EVERY = 400, 0.01  # four seconds of a stream
LOGINS = 50  # a second
LATE = 0.05  # seconds
PEOPLE = 5


class Clock:
    """A step of the upstream: waits until so many seconds after the first, then says that time as a chunk."""

    def __init__(self):
        self.begin = None

    def at(self, seconds):
        """The step that waits until then."""
        return Moment(self, seconds)


class Moment:
    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def wait(self, _):
        self.clock.begin = self.clock.begin or time.monotonic()
        time.sleep(max(0, self.clock.begin + self.seconds - time.monotonic()))
        return True


def lateness(server, person, upstream, between=lambda seconds: None):
    """The seconds that each chunk took from the upstream to the caller, sorted; `between` is called all the while."""
    clock = Clock()
    steps = [step for number in range(CHUNKS) for step in (clock.at(number * EVERY), chunked(b"data: %04d\n\n" % number))]
    upstream.script(head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"), *steps, chunked(b""))
    with Wire(server) as wire:
        assert wire.ask("POST", "/v1/chat/completions", bearer(person), body=b"{}")[0] == 200
        times = []
        while piece := wire.chunk():  # several at once when they were late
            now = time.monotonic() - clock.begin
            times += [now - (len(times) + number) * EVERY for number in range(piece.count(b"data: "))]
            between(now)
    assert len(times) == CHUNKS
    return sorted(times)


class Storm:
    """Logins by the clock, whatever became of those before; all of them with the right password, so that each is hashed."""

    def __init__(self, server):
        self.server = server
        self.people = [server.person(f"person {next(numbers)}") for _ in range(PEOPLE)]
        self.open = []

    def go_on(self, seconds):
        """Begin the logins that are due by now."""
        while len(self.open) < seconds * LOGINS:
            person = self.people[len(self.open) % PEOPLE]
            body = f"username={person.name}&password={person.password}".replace(" ", "+").encode()
            connection = socket.create_connection(("127.0.0.1", self.server.port), 60)
            connection.sendall(b"POST /user/login HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            self.open.append(connection)

    def statuses(self):
        """What became of them."""
        found = [int(connection.makefile("rb").readline().split()[1]) for connection in self.open]
        for connection in self.open:
            connection.close()
        return found


def p99(times):
    return times[int(len(times) * 0.99)]


@pytest.mark.long
def test_fifty_logins_a_second_delay_a_stream_by_less_than_fifty_milliseconds(sqlite_proxy, dora, upstream):
    storm = Storm(sqlite_proxy)
    calm = lateness(sqlite_proxy, dora, upstream)
    stormy = lateness(sqlite_proxy, dora, upstream, storm.go_on)
    statuses = storm.statuses()
    print(f"p99 calm {p99(calm):.4f} s, max {calm[-1]:.4f}; p99 in the storm {p99(stormy):.4f} s, max {stormy[-1]:.4f}; {len(statuses)} logins")
    assert len(statuses) > 0.9 * CHUNKS * EVERY * LOGINS
    assert set(statuses) <= {200, 503} and statuses.count(200) > len(statuses) / 4
    assert p99(stormy) < LATE
