"""A shell at which somebody types an example as a page shows it: the real curl and commands, in a home folder of its own."""
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass

import pytest

from tests.server import BIN

# What a line does not say stands in ~/.curlrc, where people keep it too, so that the line itself stays as it is.
CURLRC = """
silent
show-error
max-time = 30
write-out = "\\n%{http_code} %{content_type}"
"""
COOKIES = """
cookie = "{jar}"
cookie-jar = "{jar}"
"""


@dataclass(frozen=True)
class Answer:
    """What curl got: the status, the JSON, and what it said on stderr (with -v, the headers)."""

    status: int
    json: dict
    stderr: str


class Shell:
    """`sh` in the server's folder. With `cookies` its curl keeps them and sends them back, as a browser does."""

    def __init__(self, home, server, cookies=False):
        if shutil.which("curl") is None:
            pytest.skip("curl is not installed: apt-get install curl")
        self.home, self.server = home, server
        (home / ".curlrc").write_text(CURLRC + (COOKIES.format(jar=home / "jar") if cookies else ""))

    def curl(self, example, known=None):
        """The Answer to an example that stands for port 8080; `known` says what its example ids and tokens really are."""
        body, _, end = self.run(example, {":8080": f":{self.server.port}", **(known or {})}).rpartition("\n")
        status, content_type = end.split()
        assert content_type == "application/json"
        return Answer(int(status), json.loads(body), self.stderr)

    def run(self, example, known):
        """What a line that succeeds prints."""
        line = typed(example)
        for name, value in known.items():
            assert name in line, f"{name} is not in the example"
            line = line.replace(name, value)
        environment = {"HOME": str(self.home), "PATH": f"{BIN}:{os.environ['PATH']}"}
        done = subprocess.run(["sh", "-c", line], cwd=self.server.folder, env=environment, capture_output=True, text=True, timeout=60)
        self.stderr = done.stderr
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        return done.stdout


def typed(example):
    """An example as one command: some pages lose the backslash where they wrap a line."""
    return re.sub(r" *\\?\n", " \\\\\n", example.strip())
