"""A TLS server in front of a plain one, as hosts put it before their Redis: with a certificate that nobody has signed."""
import contextlib
import socket
import ssl
import threading

import trustme


class TlsFront:
    """Listens on 127.0.0.1 and passes what comes by TLS to a port of this machine, and back."""

    def __init__(self, port):
        self.behind = port
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        trustme.CA().issue_cert("127.0.0.1").configure_cert(self.context)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        """Take no more."""
        self.socket.close()

    def _accept(self):
        with contextlib.suppress(OSError):  # stopped
            while True:
                client, _ = self.socket.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self.behind)) as server:
            secure = self.context.wrap_socket(client, server_side=True)
            back = threading.Thread(target=pump, args=(server, secure), daemon=True)
            back.start()
            pump(secure, server)
            back.join()


def pump(source, sink):
    """Pass on what comes until there is an end."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
