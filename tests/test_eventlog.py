"""The event log: one row for every request, refused ones too, with nothing secret in it."""
import base64
import ipaddress
import json

import pytest
import requests

from proxy_gpt import config
from proxy_gpt.client_ip import client_ip
from proxy_gpt.models import Event
from tests.admin import Admin
from tests.canary import MARK
from tests.conftest import numbers
from tests.server import free_port, sign_up
from tests.wire import forwarded

TELLTALE = f"hush-hush-{MARK}"  # in every secret of the tests below


@pytest.fixture(scope="module")
def server(backend, start, new_database):
    """A server on each database."""
    return start(DB_ADDRESS=new_database(backend))


@pytest.fixture(scope="module")
def eve(server):
    """Somebody there."""
    return server.person("Eve")


def test_a_call_leaves_one_row_with_everything_in_it(server, eve, upstream):
    body = b'{"model": "gpt-4o", "messages": [{"content": "Hi"}]}'
    answer = eve.post("/v1/chat/completions?a=b&c=%20", data=body, headers={"Content-Type": "application/json"})
    event = server.event(answer)
    wanted = {
        "kind": "request", "user_id": eve.id, "client_ip": "127.0.0.1", "method": "POST", "endpoint": "/v1/chat/completions",
        "params": "a=b&c=%20", "status": 200, "outcome": "complete", "request": body.decode(), "bytes_in": len(body),
        "bytes_out": len(answer.content), "upstream_request_id": "req_fake", "message": "", "seconds": None,
        "input_tokens": 24, "output_tokens": 68, "cached_tokens": 16, "reasoning_tokens": 8, "model": answer.json()["model"],
    }  # fmt: skip
    assert {name: event[name] for name in wanted} == wanted
    assert event["response"] == answer.text and 0 < event["duration"] < 5
    assert set(event) == {field.column_name for field in Event._meta.sorted_fields}
    assert len(server.events(id=event["id"])) == 1


REFUSED = {
    "no token": ("GET", "/v1/models?x=1", {}, 401), "a wrong token": ("POST", "/user/read", {"Authorization": "Bearer x"}, 401),
    "no such path": ("GET", "/nothing/here", {}, 404), "a wrong method": ("PUT", "/user/login", {}, 405),
    "a missing field": ("POST", "/user/login", {}, 400), "a way out of /v1": ("GET", "/v1/..%2fx", "token", 400),
    "a path with NUL": ("GET", "/user/a%00b", {}, 404), "NUL below /v1": ("GET", "/v1/a%00b", "token", 400),
    "a path in Greek": ("GET", "/%CE%B1", {}, 404), "a path that is not UTF-8": ("GET", "/%ff", {}, 404),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_request_has_its_row_too(server, eve, upstream, case):
    method, path, headers, status = REFUSED[case]
    headers = {**forwarded(), **({"Authorization": f"Bearer {eve.token}"} if headers == "token" else headers)}
    answer = requests.request(method, server.url + path, headers=headers, timeout=5)
    assert answer.status_code == status
    event = server.event(answer)
    assert (event["status"], event["outcome"], event["method"]) == (status, "refused", method)
    assert event["message"] == answer.json()["error"]["message"]
    assert event["endpoint"] == requests.utils.unquote(path.partition("?")[0]).replace("\0", "\ufffd")
    assert (event["params"], event["user_id"]) == (path.partition("?")[2], eve.id if "/v1/" in path and status == 400 else None)


def test_sign_ups_logins_logouts_and_password_changes_have_kinds_of_their_own(server):
    name = f"kind {next(numbers)}"
    person = sign_up(server, name, f"old {MARK}")
    wrong = requests.post(f"{server.url}/user/login", data={"username": name, "password": f"wrong {MARK}"}, timeout=5)
    taken = requests.post(f"{server.url}/user/signup", data={"username": name, "password": "x"}, timeout=5)
    refused = person.ask("/user/password/update", old_password=f"wrong {MARK}", new_password=f"new {MARK}")
    changed = person.ask("/user/password/update", old_password=f"old {MARK}", new_password=f"new {MARK}")
    again = requests.post(f"{server.url}/user/login", data={"username": name, "password": f"new {MARK}"}, timeout=5)
    out = person.ask("/user/logout")
    answers = {"login": [(wrong, 401), (again, 200)], "signup": [(taken, 409)], "password": [(refused, 403), (changed, 200)], "logout": [(out, 200)]}
    for kind, cases in answers.items():
        for answer, status in cases:
            event = server.event(answer)
            assert (answer.status_code, event["kind"], event["status"]) == (status, kind, status)
            assert event["outcome"] == ("complete" if status == 200 else "refused")
            assert event["user_id"] == (None if status in (401, 409) else person.id)
            assert (event["request"], event["response"]) == ("", "")
    assert server.events(kind="signup", user_id=person.id)[0]["status"] == 200


def test_the_admin_commands_rows_are_beside_the_servers(server, tmp_path):
    Admin(tmp_path, server.database).ok("create", f"admin {next(numbers)}", "pw c4n4ry")
    event = server.events(kind="admin")[-1]
    assert event["endpoint"] == "proxy-admin create" and event["client_ip"] == "" and event["message"]


def ways_to_tell_a_secret(server, person):
    """Requests that hold a secret in each place where one can be; yields their answers."""
    url, token = server.url, {"token": TELLTALE, "password": TELLTALE, "old_password": TELLTALE, "new_password": TELLTALE}
    pair = base64.b64encode(f"{TELLTALE}:{TELLTALE}".encode()).decode()
    for path in ("/user/login", "/user/signup", "/user/logout", "/user/password/update", "/user/session", "/v1/models", "/nothing"):
        here = forwarded()
        yield requests.post(f"{url}{path}?a=1&token={TELLTALE}&PASSWORD={TELLTALE}&pass%77ord={TELLTALE}", headers=here, timeout=5)
        yield requests.post(url + path, data={"username": "x", **token}, headers=here, timeout=5)
        yield requests.post(url + path, json={"username": ["x"], **token}, headers=here, timeout=5)
        yield requests.post(url + path, data=json.dumps(token)[:-1], headers=here, timeout=5)
        yield requests.get(url + path, headers={**here, "Authorization": f"Basic {pair}", "Cookie": f"sess={TELLTALE}"}, timeout=5)
        yield requests.get(url + path, headers={**here, "Authorization": f"Bearer {TELLTALE}", "Referer": f"http://x/?token={TELLTALE}"}, timeout=5)
    yield person.post("/user/read", data={"first_name": "shown", **token})
    yield person.post("/user/update", json={"first_name": "shown", **token, "nested": {"token": TELLTALE, "list": [{"Password": TELLTALE}]}})
    yield person.post("/user/update", files={"first_name": (None, "shown"), "token": (None, TELLTALE)})
    yield person.get("/v1/models", headers={"Cookie": f"sess={TELLTALE}", "api-key": TELLTALE})


def test_no_password_token_or_cookie_is_in_any_row(server, upstream):
    person = server.person(f"secretive {next(numbers)}", password=TELLTALE)
    answers = list(ways_to_tell_a_secret(server, person))
    server.event(answers[-1])  # the others are there before it
    events = [server.event(answer) for answer in answers]
    everything = str(server.rows("SELECT * FROM events"))
    leaks = [event for event in events if TELLTALE in str(event)]
    assert leaks == [] and TELLTALE not in everything and person.token not in everything and server.environment["API_KEY"] not in everything
    assert base64.b64encode(TELLTALE.encode()).decode()[:8] not in everything
    assert sum("shown" in event["request"] for event in events) == 3  # what is no secret is there
    assert sum("a=1&token=[hidden]" in event["params"] for event in events) == 7
    assert TELLTALE not in server.output()


def test_fields_nested_more_deeply_than_we_can_walk_do_no_harm(server, eve):
    deep = '{"first_name": "Eve", "deep": ' + "[" * 600 + "]" * 600 + "}"
    answer = eve.post("/user/update", data=deep, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200 and server.event(answer)["bytes_in"] == len(deep)


def test_a_model_with_odd_characters_does_not_stop_the_log(server, eve, upstream):
    body = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhis\0per\xff\r\n--b--\r\n'
    event = server.event(eve.post("/v1/thing", data=body, headers={"Content-Type": "multipart/form-data; boundary=b"}))
    assert event["model"] == "whis\ufffdper\ufffd"
    assert server.event(eve.get("/user/session"))["status"] == 200


FORWARDED = [
    ("198.51.100.7", "198.51.100.7"), ("203.0.113.9, 198.51.100.7", "198.51.100.7"), ("203.0.113.9, 198.51.100.7, 127.0.0.1", "198.51.100.7"),
    ("2001:db8::1", "2001:db8::1"), ("2001:DB8:0:0::1", "2001:db8::1"), ("", "127.0.0.1"), (",", "127.0.0.1"),
    # ports, brackets, quotes and zones go
    ("198.51.100.7:80", "198.51.100.7"), ("[2001:db8::1]:4711", "2001:db8::1"), ("[2001:db8::1]", "2001:db8::1"), ('"[2001:db8::1]:4711"', "2001:db8::1"),
    ("fe80::1%eth0", "fe80::1"), (f"fe80::1%{'z' * 100}", "fe80::1"), ("203.0.113.9:1, 198.51.100.7:2, 127.0.0.1:3", "198.51.100.7"),
    # IPv4 in IPv6's dress is IPv4, as a caller and as a front
    ("::ffff:198.51.100.7", "198.51.100.7"), ("::FFFF:c633:6407", "198.51.100.7"), ("0:0:0:0:0:ffff:198.51.100.7", "198.51.100.7"),
    ("[::ffff:198.51.100.7]:80", "198.51.100.7"), ("198.51.100.7, ::ffff:127.0.0.1", "198.51.100.7"), ("198.51.100.7, [::1]:80", "198.51.100.7"),
    # what is empty or cannot be read is skipped
    ("198.51.100.7,", "198.51.100.7"), ("198.51.100.7,,", "198.51.100.7"), ("198.51.100.7, ,127.0.0.1", "198.51.100.7"), ("nonsense", "127.0.0.1"),
    ("198.51.100.7, nonsense", "198.51.100.7"), ("198.51.100.7, _hidden, 127.0.0.1", "198.51.100.7"), ("unknown, unix:", "127.0.0.1"),
    # what the caller forged is to the left of what the front wrote
    ("unknown, 198.51.100.7", "198.51.100.7"), ("203.0.113.9, unknown, 198.51.100.7:80", "198.51.100.7"), ("127.0.0.1, 198.51.100.7", "198.51.100.7"),
    # no more is read than any chain of fronts needs
    ("203.0.113.9" + ", 127.0.0.1" * 31, "203.0.113.9"), ("203.0.113.9" + ", 127.0.0.1" * 32, "127.0.0.1"), ("203.0.113.9," + "x" * 5000, "127.0.0.1"),
]  # fmt: skip


@pytest.mark.parametrize(("forwarded", "address"), FORWARDED)
def test_the_address_behind_a_trusted_proxy_is_the_one_it_names(server, forwarded, address):
    answer = requests.get(f"{server.url}/user/session", headers={"X-Forwarded-For": forwarded}, timeout=5)
    assert server.event(answer)["client_ip"] == address


def test_what_others_say_of_addresses_is_not_believed(start):
    for trusted, address in (
        ("10.0.0.0/8", "127.0.0.1"), ("127.0.0.0/8", "198.51.100.7"), ("::ffff:127.0.0.0/104", "198.51.100.7"), ("*", "203.0.113.9, 198.51.100.7"),
    ):  # fmt: skip
        server = start(TRUSTED_PROXIES=trusted, SIGNUP="open")
        headers = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7", "X-Forwarded-Proto": "https"}
        answer = requests.post(f"{server.url}/user/signup", data={"username": "Eve", "password": "x"}, headers=headers, timeout=5)
        assert server.event(answer)["client_ip"] == address.rpartition(", ")[2]
        assert ("Secure" in answer.headers["Set-Cookie"]) == (address != "127.0.0.1")


def test_a_front_whose_entries_cannot_be_read_is_named_once_and_its_entries_never(start):
    server = start()
    for entry in ("198.51.100.7, unknown, 127.0.0.1", "198.51.100.7, _secret"):
        answer = requests.get(f"{server.url}/user/session", headers={"X-Forwarded-For": entry}, timeout=5)
        assert server.event(answer)["client_ip"] == "198.51.100.7"
    assert server.output().count("X-Forwarded-For") == server.output().count("the proxy at 127.0.0.1 ") == 1
    assert "unknown" not in server.output() and "_secret" not in server.output()


def test_a_peer_in_ipv6s_dress_is_the_ipv4_peer_and_a_trusted_one_is_trusted(start):
    port = free_port()
    server = start(ADDRESS=f"[::]:{port}", listens_on=port, TRUSTED_PROXIES="127.0.0.1", SIGNUP="open")
    headers = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
    answer = requests.post(f"{server.url}/user/signup", data={"username": "Eve", "password": "x"}, headers=headers, timeout=5)
    assert server.event(answer)["client_ip"] == "198.51.100.7" and "Secure" in answer.headers["Set-Cookie"]


def test_trusted_proxies_are_parsed_once_and_a_header_that_comes_again_is_not_read_again(monkeypatch):
    trusted = config.load({"TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8"}, folder="/nonexistent").trusted_proxies
    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "198.51.100.7, 10.1.2.3"}
    monkeypatch.setattr(ipaddress, "ip_network", None)
    assert client_ip(environ, trusted) == "198.51.100.7"
    monkeypatch.setattr(ipaddress, "ip_address", None)
    assert client_ip(dict(environ), trusted) == "198.51.100.7"
