"""The servers of a section, and the lines of its table."""
import contextlib
import itertools
import sys
from dataclasses import dataclass

from tests.bench import load

ROUNDS = 5
numbers = itertools.count(1)


@dataclass
class Row:
    """A line of the table: the proxy beside the reference, and what is to be reached."""

    what: str
    reference: float | None  # None: there is none, and the goal is about the figure itself
    figure: float
    goal: float
    at_least: bool = False

    @property
    def measure(self):
        """What the goal is about: the ratio, where there is a reference."""
        return self.figure if self.reference is None else self.figure / self.reference

    @property
    def reached(self):
        """Whether it is."""
        return self.measure >= self.goal if self.at_least else self.measure <= self.goal


@contextlib.contextmanager
def running(folder, *kinds, **settings):
    """Servers of these kinds, warm; at the end no event may be missing."""
    with contextlib.ExitStack() as stack:
        servers = []
        for kind in kinds:
            servers.append(kind(new_folder(folder), **settings))
            stack.callback(servers[-1].stop)
            load.requests(servers[-1].start(), 32, 1)
        yield servers
        for server in servers:
            if missing := server.missing():
                sys.exit(f"{missing} events are missing from the log.")


def new_folder(folder):
    """A fresh folder for a server."""
    new = folder / f"server-{next(numbers)}"
    new.mkdir()
    return new
