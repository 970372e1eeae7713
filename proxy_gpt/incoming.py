"""Reading what a caller sends: in bounded time, and with a name for each way in which it can fail."""
import contextlib
import sys

from gevent import Timeout
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected

from proxy_gpt.errors import BadRequest, ClientGone, RequestTimeout

TOOK_NOTHING = "The caller did not take the answer for so long (CLIENT_TIMEOUT) that its connection was closed."


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
