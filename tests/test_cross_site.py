"""Pages of other sites: they can neither act nor read with a user's cookie, nor log the user in as somebody else."""
import json
from urllib.parse import quote

import pytest
import requests
from websockets.exceptions import ConnectionClosed

from tests import described
from tests.canary import PASSWORD
from tests.fake_openai import whole
from tests.server import error_of
from tests.subscriber import web_socket
from tests.test_users import basic
from tests.wire import Wire, bearer, forwarded

FRIEND = "https://app.example"  # the origin that the operator lists
FOREIGN = {
    "a modern browser's cross-site post": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    "a page of a sister site": {"Origin": "http://wiki.example", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    "a form that a foreign page sends off": {
        "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"
    },
    "a browser that tells the origin alone": {"Origin": "https://evil.example"},
    "a page of no origin": {"Origin": "null"},
    "a page on another port of this host": {"Origin": "http://127.0.0.1:1"},
    "an origin that begins like a listed one": {"Origin": FRIEND + ".evil.example"},
    "a listed host by another scheme": {"Origin": FRIEND.replace("https", "http")},
    "an origin that is none": {"Origin": "http://["},
    "an empty origin": {"Origin": ""},
    "a request without an origin": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
}  # fmt: skip


@pytest.fixture(scope="module")
def server(start):
    """A server with one listed origin."""
    return start(CORS_ORIGINS=f"{FRIEND}, http://localhost:3000")


@pytest.fixture(scope="module")
def eve(server):
    """Somebody with a browser."""
    return server.person("Eve")


@pytest.fixture
def cookie(eve):
    """What her browser sends along."""
    return {"Cookie": f"sess={eve.token}"}


def own(server):
    """What pages of our own send."""
    return [
        {"Origin": server.url, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, {"Origin": server.url},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, {"Sec-Fetch-Site": "same-origin", "Origin": "https://as-seen-before-a-proxy.example"},
        {"Origin": FRIEND, "Sec-Fetch-Site": "cross-site"}, {"Origin": FRIEND}, {},
    ]  # fmt: skip


@pytest.mark.parametrize("case", FOREIGN)
def test_a_foreign_page_cannot_act_with_the_cookie(server, eve, cookie, upstream, case):
    headers = {**cookie, **FOREIGN[case], **forwarded()}
    before = eve.get("/chat/index").json()
    for method, path in (("POST", "/chat/create"), ("POST", "/user/update"), ("POST", "/v1/chat/completions"), ("GET", "/user/logout"), ("POST", "/user/logout")):
        answer = requests.request(method, server.url + path, headers=headers, data={"first_name": "changed"}, timeout=10)
        assert "CORS_ORIGINS" in error_of(answer, 403)["message"], (method, path)
        assert "Access-Control-Allow-Origin" not in answer.headers and "Set-Cookie" not in answer.headers
        assert server.event(answer)["outcome"] == "refused"
    assert upstream.questions == []
    assert eve.get("/chat/index").json() == before and eve.get("/user/session").json()["user"]["first_name"] == ""


@pytest.mark.parametrize("case", FOREIGN)
def test_a_foreign_page_cannot_log_its_visitor_in_as_somebody_else(server, eve, case):
    for path, fields in (("/user/login", {"username": "Eve", "password": eve.password}), ("/user/signup", {"username": "planted", "password": "pw"})):
        answer = requests.post(server.url + path, data=fields, headers=FOREIGN[case], timeout=10)
        assert error_of(answer, 403) and "Set-Cookie" not in answer.headers
    assert server.rows("SELECT * FROM users WHERE username = 'planted'") == []


@pytest.mark.parametrize("case", FOREIGN)
def test_a_foreign_page_cannot_read_with_the_cookie(server, cookie, case):
    for path in ("/user/session", "/chat/index", "/v1/models", "/chat/stream?id=x"):
        answer = requests.get(server.url + path, headers={**cookie, **FOREIGN[case]}, timeout=10)
        assert error_of(answer, 403) and "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("case", FOREIGN)
def test_a_foreign_page_cannot_listen_by_a_web_socket_with_the_cookie(server, eve, cookie, case):
    chat = eve.ask("/chat/create").json()["id"]
    headers = {**cookie, **FOREIGN[case]}
    with web_socket(server.url, {"id": chat}, **headers) as ws, pytest.raises(ConnectionClosed) as closed:
        ws.recv(timeout=5)
    assert closed.value.rcvd.code == 4403
    with web_socket(server.url, {"id": chat, "token": eve.token}, **headers) as ws:  # a token of its own is another thing
        said = eve.ask("/chat/prompt", id=chat, prompt="hello", otr="true").json()["message"]
        assert json.loads(ws.recv(timeout=5))["message"] == said


def test_pages_of_our_own_and_of_listed_origins_and_no_pages_at_all_may(server, eve, cookie):
    chat = eve.ask("/chat/create").json()["id"]
    for headers in own(server):
        assert requests.post(f"{server.url}/chat/create", headers={**cookie, **headers}, timeout=10).status_code == 200, headers
        fields = {"username": "Eve", "password": eve.password}
        assert requests.post(f"{server.url}/user/login", data=fields, headers=headers, timeout=10).status_code == 200, headers
        with web_socket(server.url, {"id": chat}, **cookie, **headers) as ws:
            said = eve.ask("/chat/prompt", id=chat, prompt="hello", otr="true").json()["message"]
            assert json.loads(ws.recv(timeout=5))["message"] == said


@pytest.mark.parametrize("case", FOREIGN)
def test_who_sends_a_token_is_no_concern_of_this(server, eve, case):
    for authorization in (f"Bearer {eve.token}", basic("Eve", eve.token)):
        headers = {**FOREIGN[case], "Authorization": authorization, "Cookie": "sess=something"}
        assert requests.post(f"{server.url}/chat/create", headers=headers, timeout=10).status_code == 200
    token = eve.ask("/user/login", username="Eve", password=eve.password).json()["token"]
    headers = {**FOREIGN[case], "Authorization": f"Bearer {token}"}
    assert requests.post(f"{server.url}/user/logout", headers=headers, timeout=10).status_code == 200


SHOWN = ("document", "iframe", "frame", "object", "embed", "fencedframe")


@pytest.mark.parametrize("site", ["none", "same-origin", "cross-site"])
@pytest.mark.parametrize("destination", SHOWN)
def test_below_v1_the_cookie_does_not_count_for_what_a_browser_shows(server, eve, cookie, upstream, destination, site):
    browser = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": destination}
    for method, path in (("GET", "/v1/files/f/content"), ("HEAD", "/v1/models"), ("GET", "/v1//x")):
        answer = requests.request(method, server.url + path, headers={**cookie, **browser, **forwarded()}, timeout=10)
        foreign = site == "cross-site" and destination != "document"
        assert (answer.status_code, "Bearer" in answer.text) == (403 if foreign else 401, not foreign and method != "HEAD")
        assert server.event(answer)["user_id"] is None
    assert upstream.questions == []
    for authorization in (f"Bearer {eve.token}", basic("Eve", eve.token)):
        headers = {**cookie, **browser, "Authorization": authorization}
        assert requests.get(f"{server.url}/v1/models", headers=headers, timeout=10).status_code == 200
    if site != "cross-site":
        assert requests.get(f"{server.url}/user/session", headers={**cookie, **browser}, timeout=10).status_code == 200


@pytest.mark.parametrize("destination", ["empty", "image", "audio", None])
def test_below_v1_the_cookie_counts_for_all_else_that_a_page_of_ours_asks_for(server, cookie, destination):
    browser = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": destination}  # requests leaves None out
    assert requests.get(f"{server.url}/v1/models", headers={**cookie, **browser}, timeout=10).status_code == 200


CHROMES = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
OUT_BY_GET = [
    ({}, True), ({"Accept": "application/json, */*;q=0.5"}, True), ({"Accept": None}, True), ({"Sec-Fetch-Site": "same-origin", "Accept": CHROMES}, True),
    ({"Origin": FRIEND, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, True), ({"Origin": FRIEND, "Accept": "text/html"}, True),
    ({"Accept": CHROMES}, False), ({"Accept": "TEXT/HTML"}, False), ({"Accept": "image/avif,image/webp,*/*;q=0.8"}, False), ({"Accept": "*/*, IMAGE/png"}, False),
    ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": CHROMES}, False), ({"Sec-Fetch-Site": "none"}, False),
    ({"Sec-Fetch-Site": "same-site"}, False), ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, False),
    ({"Sec-Fetch-Mode": "no-cors"}, False), ({"Sec-Fetch-Dest": "script"}, False), ({"sec-fetch-user": "?1"}, False), ({"Origin": "https://evil.example"}, False),
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("browser", "works"), OUT_BY_GET)
def test_the_cookie_alone_logs_out_by_get_where_no_other_page_can_have_asked(server, eve, browser, works, method):
    token = eve.ask("/user/login", username="Eve", password=eve.password).json()["token"]
    answer = requests.request(method, f"{server.url}/user/logout", headers={"Cookie": f"sess={token}", **browser}, timeout=10)
    still = requests.get(f"{server.url}/user/session", headers={"Authorization": f"Bearer {token}"}, timeout=10).status_code
    assert (answer.status_code, still, "Set-Cookie" in answer.headers) == ((200, 401, True) if works else (403, 200, False))
    if not works and method == "GET":
        message = error_of(answer, 403)["message"]
        assert "Log out by POST" in message and "CORS_ORIGINS" in message
    for headers in ({"Cookie": f"sess={token}"}, {"Cookie": f"sess={token}", "Authorization": f"Bearer {token}", **browser}):
        assert requests.post(f"{server.url}/user/logout", headers=headers, timeout=10).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_token_that_is_not_the_cookies_leaves_the_cookie_alone(server, eve, method):
    link = f"{server.url}/user/logout?token=junk"  # over plain http a browser does not say that another page had this link
    answer = requests.request(method, link, headers={"Cookie": f"sess={eve.token}", "Accept": CHROMES}, timeout=10)
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (200, False)
    assert eve.get("/user/session").status_code == 200
    own = eve.ask("/user/login", username="Eve", password=eve.password).json()["token"]
    answer = requests.request(method, f"{server.url}/user/logout?token={own}", headers={"Cookie": f"sess={own}"}, timeout=10)
    assert (answer.status_code, "sess=;" in answer.headers["Set-Cookie"]) == (200, True)


def test_a_link_on_a_foreign_page_leads_here_but_not_out(server, eve, cookie):
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert requests.get(f"{server.url}/chat/index", headers={**cookie, **link}, timeout=10).status_code == 200
    assert requests.get(f"{server.url}/chat/index", headers={**cookie, **link, "Sec-Fetch-Dest": "iframe"}, timeout=10).status_code == 403
    assert requests.get(f"{server.url}/user/logout", headers={**cookie, **link}, timeout=10).status_code == 403
    assert eve.get("/user/session").status_code == 200


OWN_ANSWERS = [
    ("POST", f"/user/login?username=Eve&password={quote(PASSWORD)}&redirect_url=/", 302), ("POST", "/user/logout", 200), ("POST", "/user/login?username=x", 400),
    ("GET", "/user/session", 401), ("GET", "/nothing", 404), ("GET", "/v1", 404), ("GET", "/V1/models", 404), ("PUT", "/user/login", 405),
    ("OPTIONS", "/user/login", 200), ("HEAD", "/healthz", 200), ("GET", "/readyz", 200), ("GET", "/metrics", 403), ("GET", "/user/session?a b", 505),
    ("GET", "/" + "x" * 9000, 414), ("HEAD", "/docs", 200), ("GET", "/openapi.json", 200), ("GET", "/docs/start.js", 200), ("GET", "/docs/nothing", 404),
]  # fmt: skip


@pytest.mark.parametrize(("method", "target", "status"), OWN_ANSWERS)
def test_every_answer_of_our_own_says_that_it_is_not_to_be_guessed_at_nor_kept(server, eve, method, target, status):
    with Wire(server) as wire:
        answered, pairs = wire.ask(method, target)
    headers = dict(pairs)
    assert (answered, len([name for name, _ in pairs if name in ("x-content-type-options", "cache-control")])) == (status, 2)
    kept = "no-cache" if status == 200 and target.startswith(described.DOCUMENTS) else "no-store"
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", kept)


def test_so_does_a_stream_and_the_answer_to_a_browser_that_asks_first(server, eve):
    chat = eve.ask("/chat/create").json()["id"]
    with Wire(server) as wire:
        described.check_guards("/chat/stream", title_case(wire.ask("GET", f"/chat/stream?id={chat}", bearer(eve))))
    with Wire(server) as wire:
        for path in ("/chat/create", "/v1/chat/completions"):
            described.check_guards(path, title_case(wire.ask("OPTIONS", path, f"Origin: {FRIEND}", "Access-Control-Request-Method: POST")))


def title_case(answer):
    """The headers of an answer (status, pairs) by Name."""
    return {name.title(): value for name, value in answer[1]}


@pytest.mark.parametrize("path", ["/chat/create", "/user/login", "/chat/stream", "/v1/chat/completions"])
def test_a_listed_origin_may_ask_first_and_then_read(server, eve, cookie, path, upstream):
    asks = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,content-type")
    with Wire(server) as wire:
        status, pairs = wire.ask("OPTIONS", path, f"Origin: {FRIEND}", *asks)
    headers = dict(pairs)
    assert (status, headers["access-control-allow-origin"], headers["access-control-allow-credentials"]) == (204, FRIEND, "true")
    assert headers["access-control-allow-methods"] == "POST" and headers["access-control-max-age"] == "600"
    assert {name.strip() for name in headers["access-control-allow-headers"].split(",")} == {"authorization", "content-type"}
    assert "Origin" in headers["vary"] and upstream.questions == []
    answer = requests.post(server.url + path, headers={"Origin": FRIEND, "Sec-Fetch-Site": "cross-site", **cookie}, timeout=10)
    assert answer.headers["Access-Control-Allow-Origin"] == FRIEND  # whether it is an answer or an error
    assert "x-proxy-request-id" in answer.headers["Access-Control-Expose-Headers"]


def test_a_listed_origin_may_ask_for_a_method_alone(server):
    with Wire(server) as wire:
        status, pairs = wire.ask("OPTIONS", "/v1/files/f", f"Origin: {FRIEND}", "Access-Control-Request-Method: DELETE")
    headers = dict(pairs)
    assert (status, headers["access-control-allow-methods"], headers.get("access-control-allow-headers", "")) == (204, "DELETE", "")


@pytest.mark.parametrize("path", ["/chat/create", "/user/login", "/v1/chat/completions"])
@pytest.mark.parametrize("origin", ["https://evil.example", "null", FRIEND.upper(), FRIEND + "/", FRIEND + ":443"])
def test_no_other_origin_may(server, path, origin, upstream):
    with Wire(server) as wire:
        _, pairs = wire.ask("OPTIONS", path, f"Origin: {origin}", "Access-Control-Request-Method: POST")
    assert not [name for name, _ in pairs if name.startswith("access-control-")] and "origin" in dict(pairs)["vary"].lower()


def test_without_the_setting_nobody_is_told_that_he_may_read(sqlite_proxy, dora):
    headers = {"Origin": FRIEND, "Access-Control-Request-Method": "POST"}
    for answer in (dora.options("/chat/index", headers=headers), dora.get("/chat/index", headers=headers)):
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")] and "Vary" not in answer.headers


def test_what_the_upstream_says_of_origins_gives_way_to_what_we_say(server, eve, upstream):
    told = ("Access-Control-Allow-Origin: *", "Access-Control-Expose-Headers: x-request-id", "x-request-id: req-1", "Vary: Accept-Encoding")
    upstream.script(whole(b"{}", "application/json", "200 OK", *told))
    with Wire(server) as wire:
        _, pairs = wire.ask("GET", "/v1/models", bearer(eve), f"Origin: {FRIEND}")
    assert [value for name, value in pairs if name == "access-control-allow-origin"] == [FRIEND]
    (exposed,) = [value for name, value in pairs if name == "access-control-expose-headers"]
    assert {"x-request-id", "x-proxy-request-id"} <= {name.strip() for name in exposed.split(",")}
    assert "Accept-Encoding" in ", ".join(value for name, value in pairs if name == "vary")
