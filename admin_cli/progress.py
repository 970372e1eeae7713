"""What a long command says of itself while it works, on stderr where that is a terminal."""
import sys
import time
from contextlib import contextmanager

import click

INTERVAL = 0.2  # seconds between two lines
CLEAR = "\r\x1b[K"


class Progress:
    """One line that is written over and over. Say `clear` before anything else is printed."""

    def __init__(self):
        self.wanted = sys.stderr.isatty()
        self.shown = False
        self.last = time.monotonic()

    def show(self, text):
        """Show this now, unless something was shown a moment ago."""
        now = time.monotonic()
        if self.wanted and now > self.last + INTERVAL:
            self.last = now
            self.shown = True
            click.echo(f"{CLEAR}{text}", err=True, nl=False)

    def clear(self):
        """Take the line away."""
        if self.shown:
            self.shown = False
            click.echo(CLEAR, err=True, nl=False)


@contextmanager
def interruptible(progress, sentence):
    """What Ctrl-C leaves behind: the sentence that the function `sentence` returns, and (see main.py) the status 130."""
    try:
        yield
    except KeyboardInterrupt:
        progress.clear()
        said = sentence()
        if said:
            click.echo(said, err=True)
        raise
    finally:
        progress.clear()
