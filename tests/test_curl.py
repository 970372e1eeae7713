"""The real curl: the lines that people copy, letter for letter but for the server's address and the ids."""
import json
import shutil
import subprocess
import threading

import pytest

from tests.conftest import numbers
from tests.fake_openai import chunked, head

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
A_TOKEN = "ZDU0Nzg5ZTctMzRkMy00ZmNlLTkyYTgtZTQwYzIxZDE1YWJm"  # the one of the examples


@pytest.fixture(scope="module")
def server(start):
    """A server whose users have the names of the examples."""
    return start()


def shell(server, line, token=A_TOKEN):
    """What a shell prints (stdout, stderr) for a line of the documentation."""
    line = line.replace("localhost:8080", f"localhost:{server.port}").replace(A_TOKEN, token)
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done
    return done.stdout, done.stderr


def answered(server, line, token=A_TOKEN):
    """The JSON that curl prints."""
    return json.loads(shell(server, line, token)[0])


@pytest.fixture(scope="module")
def asim(server):
    """The answer to the first line of the documentation."""
    return answered(server, """curl http://localhost:8080/user/signup \\
-d "username=asim&password=bazbar"
""")


def log_in(server):
    """A fresh token."""
    return answered(server, 'curl http://localhost:8080/user/login -d "username=asim&password=bazbar"')["token"]


def works(server, token):
    """Whether the token is good."""
    return "user" in answered(server, f"curl -H 'Authorization: Bearer {A_TOKEN}' http://localhost:8080/user/session", token)


def test_signing_up_with_a_form(asim):
    assert asim["user"]["username"] == "asim" and len(asim["token"]) > 30


def test_signing_up_with_json(server):
    answer = answered(server, """curl http://localhost:8080/user/signup \\
-H 'Content-Type: application/json' \\
-d '{"username": "foo", "password": "bar"}'
""")
    assert answer["user"]["username"] == "foo"


def test_logging_in_sets_the_cookie(server, asim):
    stdout, stderr = shell(server, """curl -vv http://localhost:8080/user/login \\
-d "username=asim&password=bazbar"
""")
    token = json.loads(stdout)["token"]
    assert f"< Set-Cookie: sess={token}; " in stderr and works(server, token)


@pytest.mark.parametrize("line", [
    f"""curl --cookie "sess={A_TOKEN}" \\
http://localhost:8080/user/logout
""",
    f"""curl -XPOST http://localhost:8080/user/logout \\
-d '{{"token": "{A_TOKEN}"}}'
""",
])  # fmt: skip
def test_logging_out_by_cookie_and_by_token(server, asim, line):
    token = log_in(server)
    assert works(server, token)
    assert answered(server, line, token) == {}
    assert not works(server, token)


@pytest.mark.parametrize("line", [
    f"""curl -H 'Authorization: Bearer {A_TOKEN}' \\
http://localhost:8080/v1/models
""",
    f"""curl --cookie 'sess={A_TOKEN}' \\
http://localhost:8080/v1/models
""",
    f"curl http://asim:{A_TOKEN}@localhost:8080/v1/models",
    f"curl -u asim:{A_TOKEN} http://localhost:8080/v1/models",
])  # fmt: skip
def test_each_way_to_say_who_one_is(server, asim, upstream, line):
    assert answered(server, line, asim["token"])["object"] == "list"
    assert upstream.question().header("Authorization") == f"Bearer {server.environment['API_KEY']}"
    assert "error" in answered(server, line, "wrong")


def test_without_a_token_there_is_an_error_to_read(server, upstream):
    assert answered(server, "curl http://localhost:8080/v1/models")["error"]["code"] == "invalid_api_key"
    assert upstream.questions == []


def test_a_stream_is_printed_as_it_comes(server, asim, upstream):
    more = threading.Event()
    start = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
    upstream.script(start + chunked(b"data: 1\n\n"), more, chunked(b"data: [DONE]\n\n", b""))
    command = ["curl", "-sN", f"http://localhost:{server.port}/v1/chat/completions", "-H", f"Authorization: Bearer {asim['token']}", "-d", "{}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout.readline() == "data: 1\n"  # while the rest is not even sent
        more.set()
        assert curl.stdout.read() == "\ndata: [DONE]\n\n"
    assert curl.returncode == 0


def test_a_file_is_uploaded_whole(server, asim, upstream, tmp_path):
    path = tmp_path / f"notes {next(numbers)}.jsonl"
    path.write_bytes(bytes(range(256)) * 8192)  # two megabytes: curl waits to be told to go on
    line = f"curl http://localhost:8080/v1/files -H 'Authorization: Bearer {A_TOKEN}' -F purpose=batch -F 'file=@{path}'"
    answer = answered(server, line, asim["token"])
    asked = upstream.question()
    assert answer["bytes"] == asked.size > 2 << 20 and asked.header("Content-Type").startswith("multipart/form-data; boundary=")
    assert b'name="purpose"\r\n\r\nbatch\r\n' in asked.body and b"\0\1\2\3" in asked.body


def test_an_upload_without_a_known_length_passes(server, asim, upstream):
    line = f"head -c 300000 /dev/zero | curl http://localhost:8080/v1/files -H 'Authorization: Bearer {A_TOKEN}' -T - -X POST"
    assert answered(server, line, asim["token"])["bytes"] == 300000
    assert upstream.question().framed_by == "chunks"
