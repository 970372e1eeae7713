"""Foreign pages in a real browser, on another port of this host and on another host; and pages that the upstream sends."""
import http.server
import threading

import pytest

from tests.fake_openai import head, whole
from tests.server import eventually, free_port

browser_module = pytest.importorskip("tests.browser", reason="the browser's driver is not there")

POST = "const answer = await fetch(url, {method: 'POST', mode, credentials: 'include', body: new URLSearchParams(fields)}); return answer.status"
READ = "const answer = await fetch(url, {credentials: 'include'}); return answer.text()"
TRY = "try { %s } catch (error) { return error.name }"
FRAMED = """
for (const [tag, name] of [["iframe", "src"], ["object", "data"], ["embed", "src"]]) {
    await new Promise((done) => {
        const frame = Object.assign(document.createElement(tag), {onload: done, onerror: done, [name]: url});
        document.body.append(frame);
    });
}
"""
SCRIPTED = b"<title>quiet</title><p>a file</p><script>document.title = 'ran'; fetch('/user/session')</script>"
FILE = "/v1/files/f/content"
FORM = """
const form = document.createElement("form");
Object.assign(form, {method: "POST", action: url});
for (const [name, value] of Object.entries(fields)) {
    form.append(Object.assign(document.createElement("input"), {name, value}));
}
document.body.append(form);
form.submit();
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser for all."""
    browser = browser_module.Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.stop()


@pytest.fixture(scope="module")
def elsewhere():
    """The port of a site of somebody else's, with an empty page."""
    class Empty(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture(scope="module")
def server(start, elsewhere):
    """The proxy, by the name that the pages use; one other site is listed."""
    return start(ADDRESS=f"127.0.0.1:{(port := free_port())}", listens_on=port, CORS_ORIGINS="http://localhost:1")


@pytest.fixture
def site(server):
    """The proxy's origin in the browser."""
    return f"http://localhost:{server.port}"


@pytest.fixture
def visitor(browser, server, site):
    """A page of a fresh profile in which somebody is logged in by the cookie, and the name of that person."""
    page = browser.page(f"{site}/user/nothing")
    name = f"visitor {free_port()}"
    user = page.run(f"{POST.replace('answer.status', 'answer.json()')}", url="/user/signup", mode="cors", fields={"username": name, "password": "pw"})["user"]
    assert page.run("const answer = await fetch('/user/session'); return answer.status") == 200
    return page, user["id"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_foreign_page_can_do_nothing_in_the_name_of_its_visitor(visitor, server, site, elsewhere, host):
    page, user_id = visitor
    page.go(f"http://{host}:{elsewhere}/")
    refused = len(server.events(status=403, endpoint="/chat/create"))
    for path, fields in (("/chat/create", {"name": "planted"}), ("/user/login", {"username": "x", "password": "y"}), ("/user/logout", {})):
        page.run(TRY % POST, url=site + path, mode="no-cors", fields=fields)
    assert page.run(TRY % READ, url=f"{site}/user/session") == "TypeError"
    for kind in ("EventSource", "WebSocket"):
        page.run("window.heard = listen(kind, url); await until(() => heard.errors || heard.closed)", kind=kind,
                 url=f"{site.replace('http', 'ws') if kind == 'WebSocket' else site}/chat/stream?id=x")  # fmt: skip
        assert page.run("return heard.messages.length + heard.opened * (heard.source instanceof EventSource)") == 0
    page.run(FORM, url=f"{site}/user/logout", fields={})
    page.browser.event(page.session, "Page.loadEventFired")
    page.go(f"{site}/user/session")
    assert user_id in page.run("return document.body.innerText")  # still logged in, and as the same person
    assert server.rows("SELECT * FROM chats") == []
    if host == "localhost":  # the same site for the browser, which sends the cookie along; elsewhere SameSite keeps it back
        eventually(lambda: len(server.events(status=403, endpoint="/chat/create")) > refused)


def test_the_cookie_fetches_a_page_of_the_upstream_but_does_not_show_it(visitor, site, upstream):
    page, _ = visitor
    upstream.script(whole(SCRIPTED, "text/html"))
    assert page.run(READ, url=FILE) == SCRIPTED.decode()
    page.go(site + FILE)
    assert "invalid_api_key" in page.run("return document.body.innerText")
    page.go(f"{site}/user/nothing")
    page.run(FRAMED, url=FILE)
    assert len(upstream.questions) == 1 and page.run("return document.title") != "ran"


def test_a_page_of_the_upstream_runs_no_script_and_is_of_no_origin(visitor, server, site, upstream):
    page, _ = visitor
    authorization = {"Authorization": f"Bearer {server.person(f'reader {free_port()}').token}"}
    page.browser.call("Network.setExtraHTTPHeaders", page.session, headers=authorization)
    upstream.script(whole(SCRIPTED, "text/html", "200 OK", "Content-Security-Policy: script-src *", "X-Content-Type-Options: none"))
    page.go(site + FILE)
    assert page.run("return [document.title, document.body.innerText, self.origin]") == ["quiet", "a file", "null"]
    assert page.run("try { return document.cookie } catch (error) { return error.name }") == "SecurityError"
    assert not [url for url in page.requested() if url.endswith("/user/session")][1:]  # the first is the visitor's own
    page.browser.call("Browser.setDownloadBehavior", behavior="deny")
    upstream.script(head("200 OK", f"Content-Length: {len(SCRIPTED)}") + SCRIPTED)
    shown = page.browser.call("Page.navigate", page.session, url=site + FILE)
    assert shown.get("errorText") == "net::ERR_ABORTED"  # a download, as nobody knows what it is
