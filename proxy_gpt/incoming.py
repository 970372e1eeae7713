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
    """Bounds what is waited for at once, by address. The worker says how much that is."""

    def __init__(self):
        self.most = 10
        self.counts = {}

    def take(self, address):
        """Count one more. Return False, and do not, when the address has as many as it may."""
        count = self.counts.get(address, 0)
        if count >= self.most:
            return False
        self.counts[address] = count + 1
        return True

    def give_back(self, address):
        """It is over."""
        if self.counts[address] == 1:
            del self.counts[address]
        else:
            self.counts[address] -= 1


heads = Share()  # connections on which a request is waited for, by peer
bodies = Share()  # bodies of callers who are not known, by the caller's address


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
