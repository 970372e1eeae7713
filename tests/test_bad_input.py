"""Every kind of bad input gets its 4xx, in OpenAI's shape, with a sentence that names the field; and changes nothing."""
import json

import pytest
import requests

from tests.conftest import numbers
from tests.server import error_of
from tests.wire import Wire, bearer

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}


def part(name, value):
    """A body of one multipart field, and another that is right."""
    lines = [f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + value + b"\r\n"]
    return b"".join(lines) + b'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\npw\r\n--b--\r\n'


BAD = {
    "nothing": (b"", FORM, 400, "username"),
    "no password": (b"username=x", FORM, 400, "password"),
    "no username": (b"password=x", FORM, 400, "username"),
    "empty username": (b"username=&password=x", FORM, 400, "username"),
    "blank username": (b"username=+++&password=x", FORM, 400, "username"),
    "empty password": (b"username=x&password=", FORM, 400, "password"),
    "long username": (b"username=" + b"u" * 255 + b"&password=x", FORM, 400, "username"),
    "username that folding makes long": ("username=".encode() + "\ufdfa".encode() * 254 + b"&password=x", FORM, 400, "username"),
    "username with a line break": (b"username=a%0Ab&password=x", FORM, 400, "username"),
    "long password": (b"username=x&password=" + b"p" * 1025, FORM, 400, "password"),
    "long first name": (b"username=x&password=x&first_name=" + b"f" * 255, FORM, 400, "first_name"),
    "ten megabytes of password": (b"username=x&password=" + b"p" * (10 << 20), FORM, 413, None),
    "ten megabytes of multipart": (part("username", b"x" * (10 << 20)), MULTIPART, 413, None),
    "NUL in a form": (b"username=a%00b&password=x", FORM, 400, "username"),
    "NUL in a password": (b"username=x&password=a%00b", FORM, 400, "password"),
    "NUL in JSON": (b'{"username": "a\\u0000b", "password": "x"}', JSON, 400, "username"),
    "NUL in multipart": (part("username", b"a\0b"), MULTIPART, 400, "username"),
    "invalid UTF-8 in a form": (b"username=a%ff&password=x", FORM, 400, None),
    "raw invalid UTF-8 in a form": (b"username=a\xff&password=x", FORM, 400, None),
    "invalid UTF-8 in JSON": (b'{"username": "\xff", "password": "x"}', JSON, 400, None),
    "invalid UTF-8 in multipart": (part("username", b"\xff"), MULTIPART, 400, "username"),
    "half a surrogate": (b'{"username": "\\ud800", "password": "x"}', JSON, 400, "username"),
    "broken JSON": (b'{"username": ', JSON, 400, None),
    "broken JSON under a form's type": (b'{"username": ', FORM, 400, None),
    "JSON that is a list": (b'["username"]', JSON, 400, None),
    "JSON that is a text": (b'"username"', JSON, 400, None),
    "JSON too deep": (b'{"a":' * 10000, JSON, 400, None),
    "deep JSON that ends": (b'{"username":' + b"[" * 30000 + b"]" * 30000 + b"}", JSON, 400, None),
    "a number for a name": (b'{"username": 1, "password": "x"}', JSON, 400, "username"),
    "a list for a name": (b'{"username": ["x"], "password": "x"}', JSON, 400, "username"),
    "an object for a password": (b'{"username": "x", "password": {}}', JSON, 400, "password"),
    "null for a name": (b'{"username": null, "password": "x"}', JSON, 400, "username"),
    "true for a name": (b'{"username": true, "password": "x"}', JSON, 400, "username"),
    "a name twice": (b"username=x&username=y&password=x", FORM, 400, "username"),
    "too many fields": (b"a=b&" * 1001 + b"username=x&password=x", FORM, 400, None),
    "multipart without a boundary": (b"username=x", {"Content-Type": "multipart/form-data"}, 400, None),
    "multipart without an end": (part("username", b"x")[:-7], MULTIPART, 400, None),
    "multipart without parts": (b"username=x", MULTIPART, 400, None),
    "a file for a name": (part('username"; filename="x.txt', b"x"), MULTIPART, 400, "username"),
    "an unknown type": (b"<username/>", {"Content-Type": "text/xml"}, 415, None),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("path", ["/user/signup", "/user/login"])
def test_signing_up_and_in_with_bad_fields(proxy, case, path):
    body, headers, status, param = BAD[case]
    if path == "/user/login" and case in ("empty username", "blank username", "empty password", "username with a line break") or (
        path == "/user/login" and ("long" in case)
    ):
        status, param = 401, None  # no such user; how a name must be is the concern of signing up
    before = count(proxy, "users")
    answer = requests.post(proxy.url + path, data=body, headers=headers, timeout=30)
    error = error_of(answer, status)
    assert error["param"] == param and (status != 413 or error["code"] == "request_too_large")
    assert param is None or f"'{param}'" in error["message"]
    assert ("missing" in error["message"]) == (case in ("nothing", "no password", "no username", "null for a name"))
    assert count(proxy, "users") == before


@pytest.mark.parametrize("query", ["username=%ff&password=x", "username=%00&password=x", "a=b&" * 1001])
def test_bad_queries(proxy, query):
    assert error_of(requests.post(f"{proxy.url}/user/login?{query}", timeout=5), 400)


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/models", "/user", "/user/", "/user/nothing", "/user/login/", "/favicon.ico", "/%ff"])
def test_an_unknown_path_is_a_404(proxy, alice, path):
    assert error_of(alice.get(path), 404)["code"] == "not_found"
    assert error_of(requests.get(proxy.url + path, timeout=5), 404)


@pytest.mark.parametrize(("method", "path", "allowed"), [
    ("GET", "/user/signup", "POST"), ("GET", "/user/login", "POST"), ("DELETE", "/user/logout", "GET, POST"),
    ("GET", "/user/update", "POST"), ("GET", "/user/password/update", "POST"), ("PUT", "/user/session", "GET, POST"),
    ("PATCH", "/user/read", "GET, POST"),
])  # fmt: skip
def test_a_wrong_method_is_a_405_that_names_the_right_ones(alice, method, path, allowed):
    answer = alice.request(method, path)
    assert error_of(answer, 405)
    assert set(answer.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"} == set(allowed.split(", "))


@pytest.mark.parametrize("path", ["/user/session", "/user/read", "/user/update", "/user/password/update", "/v1/models", "/v1/x"])
def test_every_closed_door_answers_401(proxy, upstream, path):
    answer = requests.post(proxy.url + path, timeout=5)
    assert error_of(answer, 401)["code"] == "invalid_api_key"
    assert "Bearer" in answer.headers["WWW-Authenticate"]
    assert upstream.questions == []


@pytest.mark.parametrize("fields", [{"first_name": "x" * 255}, {"username": ""}, {"username": "a\x00"}, {"last_name": "a\nb"}])
def test_bad_changes_change_nothing(newcomer, fields):
    before = newcomer.get("/user/read").json()
    assert error_of(newcomer.post("/user/update", data={"first_name": "New", **fields}), 400)["param"] in fields
    assert newcomer.get("/user/read").json() == before


def test_a_body_for_v1_is_not_ours_to_judge(proxy, alice, upstream):
    for body, headers in ((b"\xff\0{", JSON), (b'{"broken": ', JSON), (b"x" * (2 << 20), FORM), (b"\xff", MULTIPART)):
        alice.post("/v1/thing", data=body, headers=headers)
        assert upstream.questions[-1].size == len(body)


@pytest.mark.parametrize("garbage", [
    b"GET /user/session\r\n\r\n", b"\0\0\0\0\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n",
    b"POST /user/login HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"POST /v1/x HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET /" + b"x" * 10000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"y" * 10000 + b"\r\n\r\n",
])  # fmt: skip
def test_what_is_not_http_is_refused_and_the_server_lives_on(proxy, alice, garbage):
    with Wire(proxy) as wire:
        wire.send(garbage)
        assert 400 <= wire.head()[0] < 500
    assert alice.get("/user/session").status_code == 200


def test_a_chunked_body_that_is_broken_is_refused(proxy, alice, upstream):
    with Wire(proxy) as wire:
        wire.send(f"POST /v1/x HTTP/1.1\r\nHost: x\r\n{bearer(alice)}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".encode())
        assert 400 <= wire.head()[0] < 500


def test_unknown_fields_are_ignored(proxy):
    fields = {"username": f"extra {next(numbers)}", "password": "x", "color": "blue", "nested": {"a": [1]}}
    assert requests.post(f"{proxy.url}/user/signup", data=json.dumps(fields), timeout=5).status_code == 200


def count(proxy, table):
    return proxy.rows(f"SELECT count(*) AS number FROM {table}")[0]["number"]
