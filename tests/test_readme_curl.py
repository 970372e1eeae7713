"""The README's curl lines for the endpoints work as they stand, from the first to the last, run by the real curl."""
import json
import re
import shutil
import subprocess

import pytest

from tests.test_readme import README, routes, section

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed: apt-get install curl")
SIGN_UP = 'curl http://localhost:8080/user/signup -d "username=alice&password=correct+horse"'


class Reader:
    """Somebody who types the lines, and puts what they answer where the later ones have a variable."""

    def __init__(self, port):
        self.port = port
        self.known = {}

    def type(self, line):
        """Run a line and return the JSON that it prints."""
        line = line.replace("localhost:8080", f"localhost:{self.port}")
        done = subprocess.run(["sh", "-euc", line], capture_output=True, text=True, timeout=20, env=self.known)
        assert done.returncode == 0, (line, done)
        answer = {} if "/metrics" in line else json.loads(done.stdout)
        assert "error" not in answer, (line, answer)
        self._remember(line, answer)
        return answer

    def _remember(self, line, answer):
        if "token" in answer and "username=alice" in line:
            self.known |= {"TOKEN": answer["token"], "ALICE": answer["user"]["id"]}
        elif "/team/create" in line:
            self.known["TEAM"] = answer["id"]
        elif "/chat/create" in line:
            self.known.setdefault("CHAT", answer["id"])


def curl_lines(text):
    """The lines of shell blocks that call curl."""
    blocks = re.findall(r"```sh\n(.*?)\n```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("curl ")]


def test_every_line_works_from_the_first_to_the_last(start):
    reader = Reader(start().port)
    assert SIGN_UP in README
    answers = {line: reader.type(line) for line in [SIGN_UP, *curl_lines(section("Use it"))[1:], *curl_lines(section("Endpoints")), *curl_lines(section("Watch it"))]}
    called = {re.search(r"8080(/[a-z/]+)", line)[1] for line in answers}
    assert routes() - called == {"/v1/*", "/chat/stream", "/openapi.json", "/docs", "/docs/*"}
    replies = [answer["reply"] for answer in answers.values() if "reply" in answer]
    assert replies == ["You said: tell me about spain", "", ""]
