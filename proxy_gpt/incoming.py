"""Reading what a caller sends: in bounded time, and with a name for each way in which it can fail."""
import contextlib
import sys

from gevent import Timeout, getcurrent
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected

from proxy_gpt.errors import BadRequest, ClientGone, RequestTimeout, Unavailable

STRANGERS_SECONDS = 5  # for the body of a caller who is not known
TOOK_NOTHING = "The caller did not take the answer for so long (CLIENT_TIMEOUT) that its connection was closed."


class Share:
    """Counts what callers who are not known hold, by address. Only what is held now takes memory."""

    def __init__(self):
        self.most = 10  # of one address; the worker sets it
        self.counts = {}

    def take(self, address):
        """Count one more. Return False if the address has its share already."""
        count = self.counts.get(address, 0)
        if count >= self.most:
            return False
        self.counts[address] = count + 1
        return True

    def give_back(self, address):
        """Count one less."""
        if self.counts[address] == 1:
            del self.counts[address]
        else:
            self.counts[address] -= 1


connections = Share()  # by peer, from their beginning or the end of a request until the caller is known
bodies = Share()  # by the caller's address


def hold():
    """Count the current connection as a stranger's. Return False if its peer has its share already."""
    connection = getcurrent()  # a greenlet serves one connection; the worker names its peer
    if connection.peer is not None and not connection.holds:
        connection.holds = connections.take(connection.peer)
        return connection.holds
    return True


def let_go():
    """Stop counting the current connection: its caller is known, or it has ended."""
    connection = getcurrent()
    if getattr(connection, "holds", False):
        connection.holds = False
        connections.give_back(connection.peer)


@contextlib.contextmanager
def share_of_a_stranger(address):
    """Take a place for the body of a caller who is not known. Raises Unavailable."""
    if not bodies.take(address):
        getcurrent().request.force_close()  # nobody reads the rest of the body: the connection ends with the answer
        raise Unavailable("Your address sends too many forms at once. Try again in a few seconds.")
    try:
        yield
    finally:
        bodies.give_back(address)


@contextlib.contextmanager
def within(seconds):
    """Around the reading of a body, or of a piece of one. Raises RequestTimeout, ClientGone or BadRequest."""
    try:
        with Timeout(seconds, RequestTimeout(f"The body comes too slowly: more than {seconds} seconds for 64 kilobytes, or for a form.")):
            yield
    except ParseException as error:
        raise BadRequest("The body's chunks are not framed as HTTP/1.1 wants. Send it again.") from error
    except (OSError, ClientDisconnected) as error:
        raise ClientGone("The caller's connection broke while its body was read.") from error


def took_nothing():
    """Whether the answer that is being closed ends because its caller does not take it: that error is then on its way up."""
    return isinstance(sys.exception(), TimeoutError)
