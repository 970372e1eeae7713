"""A call to the upstream in progress, which ends at once when nobody wants its answer any more."""
import logging
import os
import socket

from proxy_gpt.errors import ClientGone, Interrupted

LEFT = "The caller left before the end."
STOPPED = "The proxy stopped before the answer was complete. Send the request again."
logger = logging.getLogger(__name__)


class Call:
    """A call that can be cut: by `watch` when the caller on the socket `client` leaves, or by whoever holds it."""

    about = None  # what the call is for: see `live`

    def __init__(self, watch=None, client=None):
        self.watch = watch
        self.watched = None if client is None else watch.add(client, self)
        self.socket = None
        self.ended_by = None  # the class and message of the error for which it was cut; an error itself would make a circle
        self.reached = False  # whether there was a connection to send it on

    def connected(self, upstream_socket):
        """Called with the upstream's socket before anything is sent on it. Raises what it is `ended_by`, if it is cut."""
        self.socket = upstream_socket
        if self.ended_by:
            raise self.reason()
        self.reached = True

    def disconnected(self):
        """Called before the upstream's connection is given back: from then on it may serve somebody else's call."""
        self.socket = None

    def reason(self, error=None):
        """Why the call ended: not by what the upstream did (`error`), where it was we who cut it."""
        return error if self.ended_by is None else self.ended_by[0](self.ended_by[1])

    def cut(self, kind=ClientGone, message=LEFT):
        """Nobody waits any more: end the upstream's connection, which wakes whoever reads from it."""
        self.ended_by = self.ended_by or (kind, message)
        if self.socket is not None and self.socket.fileno() >= 0:
            try:
                # On a descriptor of our own: a TLS socket in use by another greenlet must not be touched itself.
                with socket.socket(fileno=os.dup(self.socket.fileno())) as same:
                    same.shutdown(socket.SHUT_RDWR)
            except OSError as error:  # the upstream has just closed it: then there is nothing left to cut
                logger.debug("A connection was already closed: %s", error)

    def stop(self):
        """The process ends, and cannot wait for the upstream any longer."""
        self.cut(Interrupted, STOPPED)

    def close(self):
        """The call is over: nothing is left to cut."""
        if self.watched is not None:
            self.watch.remove(self.watched)
        self.disconnected()
