"""A call to the upstream in progress, which ends at once when nobody wants its answer any more."""
import logging
import os
import socket

from proxy_gpt.errors import ClientGone

logger = logging.getLogger(__name__)


class Call:
    """A call that can be cut: by `watch` when the caller on the socket `client` leaves, or by whoever holds it."""

    about = None  # what the call is for: see `live`

    def __init__(self, watch=None, client=None):
        self.watch = watch
        self.watched = None if client is None else watch.add(client, self)
        self.socket = None
        self.gone = False
        self.reached = False  # whether there was a connection to send it on
        self.stopped = False  # it was not the caller who left

    def connected(self, upstream_socket):
        """Called with the upstream's socket before anything is sent on it. Raises ClientGone when it is already cut."""
        self.socket = upstream_socket
        if self.gone:
            raise ClientGone("The caller left.")
        self.reached = True

    def disconnected(self):
        """Called before the upstream's connection is given back: from then on it may serve somebody else's call."""
        self.socket = None

    def cut(self):
        """Nobody waits any more: end the upstream's connection, which wakes whoever reads from it."""
        self.gone = True
        if self.socket is not None and self.socket.fileno() >= 0:
            try:
                # On a descriptor of our own: a TLS socket in use by another greenlet must not be touched itself.
                with socket.socket(fileno=os.dup(self.socket.fileno())) as same:
                    same.shutdown(socket.SHUT_RDWR)
            except OSError as error:  # the upstream has just closed it: then there is nothing left to cut
                logger.debug("A connection was already closed: %s", error)

    def stop(self):
        """The process ends, and cannot wait for the upstream any longer."""
        self.stopped = True
        self.cut()

    def close(self):
        """The call is over: nothing is left to cut."""
        if self.watched is not None:
            self.watch.remove(self.watched)
        self.disconnected()
