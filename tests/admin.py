"""`proxy-admin` as its users run it: the real command in a process of its own, with or without a terminal."""
import json
import os
import pty
import select
import subprocess
import time

from tests import canary
from tests.server import BIN, OUR_SETTINGS, query_database

COMMAND = str(BIN / "proxy-admin")


class Admin:
    """The command in a folder of its own, for a database."""

    def __init__(self, folder, database=None):
        self.folder = folder
        self.database = database
        self.options = ["--database", database] if database else []
        self.outputs = []  # all that was ever printed

    def run(self, *arguments, stdin="", **settings):
        """What a command leaves behind: `returncode`, `stdout`, `stderr`."""
        done = subprocess.run(
            [COMMAND, *self.options, *arguments], input=stdin, capture_output=True, encoding="utf-8", errors="surrogateescape",
            timeout=30, cwd=self.folder, env=self.environment(settings),
        )  # fmt: skip
        self.outputs += [done.stdout, done.stderr]
        canary.keep(f"the output of proxy-admin {arguments[:1]}", done.stdout + done.stderr)
        return done

    def ok(self, *arguments, **more):
        """What a command that succeeds prints."""
        done = self.run(*arguments, **more)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def refused(self, *arguments, **more):
        """The one line on stderr of a command that is refused: all that it prints."""
        done = self.run(*arguments, **more)
        assert (done.returncode, done.stdout) == (1, ""), done
        assert done.stderr.startswith("proxy-admin: ") and done.stderr.endswith(".\n") and done.stderr.count("\n") == 1, done
        return done.stderr.removeprefix("proxy-admin: ").strip()

    def wrong(self, *arguments, **more):
        """What stderr says of a command that was called in a wrong way."""
        done = self.run(*arguments, **more)
        assert (done.returncode, done.stdout) == (2, ""), done
        return done.stderr

    def environment(self, settings):
        """This process's environment with these settings of ours, and no others."""
        return {**{name: value for name, value in os.environ.items() if not name.startswith(OUR_SETTINGS)}, **settings}

    def at_a_terminal(self, *arguments):
        """The command at a terminal of its own."""
        return Terminal([COMMAND, *self.options, *arguments], self.folder, self.environment({}))

    def rows(self, query, *values):
        """The rows of an SQL query on its database."""
        return query_database(self.database, query, *values)

    def events(self):
        """The events of the admin command, oldest first."""
        return self.rows("SELECT * FROM events WHERE kind = 'admin' ORDER BY timestamp, id")


def listed(admin, *options):
    """The usernames that `list` finds."""
    return [user["username"] for user in json.loads(admin.ok("list", "--json", *options))]


class Terminal:
    """A process that has a terminal, and somebody who reads and types there."""

    def __init__(self, command, folder, environment):
        self.shown = b""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(command[0], command, environment)

    def answer(self, question, line):
        """Wait until the question stands there, and type a line."""
        while not self.shown.decode().endswith(question):
            assert self._read(), f"it was not asked: {self.shown}"
        os.write(self.descriptor, line.encode() + b"\n")
        self.shown += b"|"  # what was typed must not be shown; the same question may come again

    def wait_for(self, text):
        """Wait until it has been shown."""
        while text not in self.shown.decode():
            assert self._read(), f"it was not shown: {self.shown}"

    def type(self, text):
        """Type this, without the key that ends a line."""
        os.write(self.descriptor, text.encode())

    def end(self, within=10):
        """(exit status, all that was shown), when it is over."""
        deadline = time.monotonic() + within
        while self._read():
            assert time.monotonic() < deadline, f"it goes on and on after {self.shown}"
        os.close(self.descriptor)
        canary.keep("the terminal of proxy-admin", self.shown.decode())
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), self.shown.decode()

    def _read(self):
        assert select.select([self.descriptor], [], [], 10)[0], f"nothing more came after {self.shown}"
        try:
            data = os.read(self.descriptor, 4096)
        except OSError:  # so Linux says that the other side is closed
            return b""
        self.shown += data
        return data
