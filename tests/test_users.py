"""/user/*: signing up, logging in and out, one's own account."""
import base64
import json

import pytest
import requests

from tests.canary import PASSWORD
from tests.conftest import numbers
from tests.server import error_of, eventually


def post(proxy, path, data=None, **more):
    """A request of nobody in particular."""
    return requests.post(proxy.url + path, data=data, timeout=30, **more)


def fresh_name():
    return f"person {next(numbers)}"


def test_signing_up_answers_with_the_token_the_user_and_the_cookie(proxy):
    name = fresh_name()
    answer = post(proxy, "/user/signup", {"username": name, "password": PASSWORD, "first_name": "A", "last_name": "B"})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"token", "user"}
    assert set(body["user"]) == {"id", "username", "first_name", "last_name", "created_at", "updated_at"}
    assert (body["user"]["username"], body["user"]["first_name"], body["user"]["last_name"]) == (name, "A", "B")
    assert body["user"]["created_at"].endswith("Z") and body["user"]["updated_at"] == body["user"]["created_at"]
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"sess={body['token']};")
    assert all(part in cookie for part in ("HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=31536000")) and "Secure" not in cookie


def test_the_cookie_is_secure_behind_https(proxy, newcomer):
    answer = post(proxy, "/user/login", {"username": newcomer.name, "password": newcomer.password}, headers={"X-Forwarded-Proto": "https"})
    assert "; Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("body", ["form", "multipart", "json", "json under curl's default type", "json after a BOM", "json as multipart", "query"])
def test_every_kind_of_body_signs_up(proxy, body):
    fields = {"username": fresh_name(), "password": f"bär {PASSWORD}", "first_name": "bad byte: \ufffd"}
    sent = {
        "form": {"data": fields},
        "multipart": {"files": {name: (None, value) for name, value in fields.items()}},
        "json": {"json": fields},
        "json under curl's default type": {
            "data": json.dumps(fields), "headers": {"Content-Type": "application/x-www-form-urlencoded"}
        },
        "json after a BOM": {"data": b"\xef\xbb\xbf" + json.dumps(fields).encode()},
        "json as multipart": {"data": json.dumps(fields), "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
        "query": {"params": fields},
    }[body]  # fmt: skip
    answer = requests.post(f"{proxy.url}/user/signup", timeout=30, **sent)
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"]["first_name"] == fields["first_name"]
    assert post(proxy, "/user/login", fields).status_code == 200


@pytest.mark.parametrize("change", [str, str.upper, "  {}  ".format])
def test_a_name_is_taken_whatever_its_case_and_white_space(proxy, newcomer, change):
    answer = post(proxy, "/user/signup", {"username": change(newcomer.name), "password": PASSWORD})
    assert error_of(answer, 409)["param"] == "username"


def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(proxy, newcomer):
    wrong_name = post(proxy, "/user/login", {"username": fresh_name(), "password": newcomer.password})
    wrong_password = post(proxy, "/user/login", {"username": newcomer.name, "password": f"wrong {PASSWORD}"})
    assert error_of(wrong_name, 401) == error_of(wrong_password, 401)
    times = [(timed_login(proxy, newcomer.name), timed_login(proxy, fresh_name())) for _ in range(5)]
    known, unknown = map(min, zip(*times, strict=True))
    assert 1 / 3 < known / unknown < 3  # a hash that is left out makes it twenty


def timed_login(proxy, name):
    return post(proxy, "/user/login", {"username": name, "password": f"wrong {PASSWORD}"}).elapsed.total_seconds()


def test_a_token_works_as_bearer_as_cookie_and_with_the_name_as_basic_auth(proxy, newcomer):
    for headers in (
        {"Authorization": f"Bearer {newcomer.token}"},
        {"Authorization": f"bearer {newcomer.token}"},
        {"Cookie": f"other=1; sess={newcomer.token}"},
        {"Authorization": basic(newcomer.name, newcomer.token)},
        {"Authorization": basic(newcomer.name.upper(), newcomer.token)},
    ):
        assert requests.get(f"{proxy.url}/user/session", headers=headers, timeout=5).json()["user"]["id"] == newcomer.id


def test_a_token_does_not_work_otherwise(proxy, newcomer, bob):
    for headers in (
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer x"},
        {"Authorization": "Bearer \xff"},
        {"Authorization": f"Token {newcomer.token}"},
        {"Authorization": f"Bearer {newcomer.token}x"},
        {"Authorization": basic(bob.name, newcomer.token)},
        {"Authorization": basic("", newcomer.token)},
        {"Authorization": basic(newcomer.name, newcomer.password)},
        {"Authorization": "Basic !!!"},
        {"Cookie": "sess="},
        {"Authorization": "Bearer wrong", "Cookie": f"sess={newcomer.token}"},
    ):
        assert error_of(requests.get(f"{proxy.url}/user/session", headers=headers, timeout=5), 401)["code"] == "invalid_api_key"
    assert error_of(requests.get(f"{proxy.url}/user/session?token={newcomer.token}", timeout=5), 401)


def basic(name, token):
    return "Basic " + base64.b64encode(f"{name}:{token}".encode()).decode()


@pytest.mark.parametrize("way", ["json body", "form body", "bearer", "cookie by GET", "basic"])
def test_logging_out_ends_the_session_at_once(proxy, newcomer, way):
    token = newcomer.token
    url = f"{proxy.url}/user/logout"
    answer = {
        "json body": lambda: requests.post(url, data=json.dumps({"token": token}), timeout=5),
        "form body": lambda: requests.post(url, data={"token": token}, timeout=5),
        "bearer": lambda: requests.post(url, headers={"Authorization": f"Bearer {token}"}, timeout=5),
        "cookie by GET": lambda: requests.get(url, headers={"Cookie": f"sess={token}"}, timeout=5),
        "basic": lambda: requests.post(url, headers={"Authorization": basic(newcomer.name, token)}, timeout=5),
    }[way]()
    assert (answer.status_code, answer.json()) == (200, {})
    assert "sess=;" in answer.headers["Set-Cookie"] and "Max-Age=0" in answer.headers["Set-Cookie"]
    assert newcomer.get("/user/session").status_code == 401
    assert proxy.event(answer)["user_id"] == newcomer.id


def test_logging_out_without_a_session_is_no_error(proxy):
    assert post(proxy, "/user/logout").json() == {}
    assert post(proxy, "/user/logout", {"token": "unknown"}).json() == {}


def test_logging_out_ends_that_session_only(proxy, newcomer):
    other = post(proxy, "/user/login", {"username": newcomer.name, "password": newcomer.password}).json()["token"]
    assert newcomer.ask("/user/logout", token=other).status_code == 200
    assert newcomer.get("/user/session").status_code == 200


def test_the_session_says_who_one_is(newcomer):
    for answer in (newcomer.get("/user/session"), newcomer.post("/user/session")):
        user = answer.json()["user"]
        assert (user["id"], user["username"], user["teams"]) == (newcomer.id, newcomer.name, [])


def test_reading_oneself_and_not_a_stranger(newcomer, alice):
    assert newcomer.get("/user/read").json()["user"]["id"] == newcomer.id
    assert newcomer.ask("/user/read", id=newcomer.id).json()["user"]["username"] == newcomer.name
    assert error_of(newcomer.ask("/user/read", id=alice.id), 404) == error_of(newcomer.ask("/user/read", id="nobody"), 404)


def test_changing_ones_names(proxy, newcomer):
    name = fresh_name()
    user = newcomer.ask("/user/update", first_name=" Ada ", last_name="", username=name).json()["user"]
    assert (user["first_name"], user["last_name"], user["username"]) == ("Ada", "", name)
    assert newcomer.get("/user/read").json()["user"] == user
    assert post(proxy, "/user/login", {"username": name, "password": newcomer.password}).status_code == 200
    assert newcomer.ask("/user/update").json()["user"]["first_name"] == "Ada"  # nothing given, nothing changed
    assert newcomer.ask("/user/update", username=name.upper()).status_code == 200  # one's own name in another case


def test_taking_somebody_elses_name_changes_nothing(newcomer, alice):
    error = error_of(newcomer.ask("/user/update", username=alice.name.lower(), first_name="New"), 409)
    assert error["param"] == "username"
    user = newcomer.get("/user/read").json()["user"]
    assert (user["username"], user["first_name"]) == (newcomer.name, "")


def test_a_new_password_ends_all_other_sessions(proxy, newcomer):
    other = post(proxy, "/user/login", {"username": newcomer.name, "password": newcomer.password}).json()["token"]
    answer = newcomer.ask("/user/password/update", old_password=newcomer.password, new_password="another c4n4ry")
    assert (answer.status_code, answer.json()) == (200, {})
    assert newcomer.get("/user/session").status_code == 200
    assert requests.get(f"{proxy.url}/user/session", headers={"Authorization": f"Bearer {other}"}, timeout=5).status_code == 401
    assert post(proxy, "/user/login", {"username": newcomer.name, "password": newcomer.password}).status_code == 401
    assert post(proxy, "/user/login", {"username": newcomer.name, "password": "another c4n4ry"}).status_code == 200


def test_a_new_password_needs_the_old_one(newcomer):
    assert error_of(newcomer.ask("/user/password/update", old_password="x", new_password="y"), 403)["param"] == "old_password"
    wrong = newcomer.ask("/user/password/update", old_password=newcomer.password, new_password="")
    assert error_of(wrong, 400)["param"] == "new_password"


@pytest.mark.parametrize("target", ["/", "/chat", "/chat?a=b#c", "/a//b"])
@pytest.mark.parametrize("path", ["signup", "login"])
def test_a_redirect_stays_on_this_site(proxy, newcomer, path, target):
    name = newcomer.name if path == "login" else fresh_name()
    fields = {"username": name, "password": newcomer.password, "redirect_url": target}
    answer = post(proxy, f"/user/{path}", fields, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (302, target)
    assert answer.headers["Set-Cookie"].startswith("sess=")


@pytest.mark.parametrize("target", [
    "https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil", "/\t/evil", "javascript:alert(1)", "evil",
    "https:///evil", "http:evil", " //evil", "/ok\r\nX: y", "http://[", "https://trusted.example.evil/", "https://a@trusted.example/",
])  # fmt: skip
def test_a_redirect_elsewhere_is_refused_and_nobody_is_logged_in(proxy, newcomer, target):
    fields = {"username": newcomer.name, "password": newcomer.password, "redirect_url": target}
    answer = post(proxy, "/user/login", fields, allow_redirects=False)
    assert error_of(answer, 400)["param"] == "redirect_url" and "Set-Cookie" not in answer.headers


def test_a_redirect_may_lead_to_a_host_the_operator_listed(start):
    server = start(REDIRECT_HOSTS="trusted.example, other.example:8443")
    server.person("Eve")
    for target in ("https://trusted.example/x", "https://other.example:8443/"):
        answer = post(server, "/user/login", {"username": "Eve", "password": PASSWORD, "redirect_url": target}, allow_redirects=False)
        assert answer.headers["Location"] == target


def test_a_session_ends_when_its_time_is_over(proxy, newcomer):
    assert newcomer.get("/user/session").status_code == 200
    expire(proxy, newcomer)
    eventually(lambda: newcomer.get("/user/session").status_code == 401, within=2)


def expire(proxy, person):
    """Let a person's session have ended a second ago, behind the server's back."""
    import contextlib
    import sqlite3

    import psycopg2

    sqlite = proxy.database.startswith("sqlite")
    connection = sqlite3.connect(proxy.database[10:]) if sqlite else psycopg2.connect(proxy.database)
    with contextlib.closing(connection), connection:
        mark = "?" if sqlite else "%s"
        connection.cursor().execute(f"UPDATE sessions SET expires_at = {mark} WHERE user_id = {mark}", ("2020-01-01T00:00:00.000000Z", person.id))


def test_the_database_has_neither_password_nor_token(proxy, newcomer):
    users = proxy.rows("SELECT * FROM users WHERE id = ?", newcomer.id)
    sessions = proxy.rows("SELECT * FROM sessions WHERE user_id = ?", newcomer.id)
    assert newcomer.password not in str(users) and users[0]["password_hash"].startswith("scrypt:")
    assert newcomer.token not in str(sessions) and len(sessions) == 1
