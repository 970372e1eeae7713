"""A page in a real browser listens to /chat/stream with what browsers have for it, and with nothing but the cookie."""
import threading
from urllib.parse import urlsplit

import pytest
import requests

from tests.browser import Browser
from tests.conftest import numbers
from tests.fake_openai import answers, chunked, head

KINDS = ["EventSource", "WebSocket"]
HEAD = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser for all."""
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.stop()


def site(server):
    """A server's address, by the name that a person would type."""
    return f"http://localhost:{server.port}"


@pytest.fixture
def page(browser, sqlite_proxy):
    """A page of the proxy's own, in which somebody has signed up."""
    return signed_up(browser.page(site(sqlite_proxy)))


def signed_up(page):
    page.account = page.run("return post('/user/signup', {username, password: 'bar'})", username=f"visitor {next(numbers)}")
    assert page.run("return document.cookie") == ""  # no script can read it
    return page


def new_chat(page):
    return page.run("return (await post('/chat/create', {})).id")


def piece(text, finish_reason=None):
    """One chunk of the upstream's stream."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return chunked(b"data: " + answers.json.dumps({"choices": [choice]}).encode() + b"\n\n")


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_reads_a_reply_piece_by_piece_and_then_whole(page, upstream, kind, sqlite_proxy):
    chat = new_chat(page)
    page.listen(kind, id=chat)
    go_on = threading.Event()
    upstream.script(HEAD + piece("one"), go_on, piece(" two", "stop") + chunked(b""))
    page.run("await post('/chat/prompt', {id, prompt: 'count', stream: true})", id=chat)
    assert [message["message"]["reply"] for message in page.messages(1)] == ["one"]  # before the next is sent
    go_on.set()
    heard = page.messages(3)
    assert [(message["message"]["reply"], message["partial"]) for message in heard] == [("one", True), (" two", True), ("one two", False)]
    assert heard[-1]["message"] == page.run("return (await post('/chat/read', {id})).messages[0]", id=chat)
    assert {urlsplit(url).netloc for url in page.requested()} == {f"localhost:{sqlite_proxy.port}"}
    assert any(f"/chat/stream?id={chat}" in url for url in page.requested())


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_without_the_cookie_listens_with_the_token(browser, page, sqlite_proxy, kind):
    chat = new_chat(page)
    other = browser.page(site(sqlite_proxy))
    other.listen(kind, id=chat, token=page.account["token"])
    page.run("await post('/chat/prompt', {id, prompt: 'between us', otr: true})", id=chat)
    assert [(message["message"]["prompt"], message["partial"]) for message in other.messages(1)] == [("between us", False)]


@pytest.mark.parametrize("way, before", [("stop", ["before"]), ("kill", [])])
def test_an_event_source_comes_back_by_itself_and_hears_what_it_missed(browser, start, new_database, way, before):
    database = new_database("sqlite")
    server, other = start(DB_ADDRESS=database), start(DB_ADDRESS=database)
    page = signed_up(browser.page(site(server)))
    chat = new_chat(page)
    page.listen("EventSource", id=chat)
    page.begun("/chat/stream")  # it knows where it is
    say = "await post('/chat/prompt', {id, prompt, otr: true})"
    for prompt in before:
        page.run(say, id=chat, prompt=prompt)
    page.messages(len(before))
    getattr(server, way)()
    page.run("await until(() => heard.errors)")
    tell(other, page, chat, "meanwhile")
    server.start()
    page.messages(len(before) + 1)
    page.run(say, id=chat, prompt="after")
    heard = page.messages(len(before) + 2)
    assert [message["message"]["prompt"] for message in heard] == [*before, "meanwhile", "after"]
    assert page.run("return heard.ids") == [str(number + 1) for number in range(len(heard))]


def tell(server, page, chat, text):
    """The same person says something at another server."""
    headers = {"Authorization": f"Bearer {page.account['token']}"}
    answer = requests.post(f"{server.url}/chat/prompt", {"id": chat, "prompt": text, "otr": "true"}, headers=headers, timeout=10)
    assert answer.status_code == 200


def test_a_web_socket_is_told_that_the_server_stops(browser, start):
    server = start()
    page = signed_up(browser.page(site(server)))
    page.listen("WebSocket", id=new_chat(page))
    server.process.terminate()
    closed = page.run("await until(() => heard.closed); return heard.closed")
    assert closed == {"code": 1001, "reason": "The server is stopping. Connect again.", "wasClean": True}


REFUSED = {"nobody": 4401, "a stranger": 4404}


@pytest.fixture(params=REFUSED)
def refused(request, browser, page, sqlite_proxy):
    """(a page of somebody who may not listen to this chat, the chat, the close code)."""
    other = browser.page(site(sqlite_proxy))
    if request.param == "a stranger":
        signed_up(other)
    return other, new_chat(page), REFUSED[request.param]


def test_a_refused_web_socket_can_tell_why(refused):
    page, chat, code = refused
    page.listen("WebSocket", id=chat)
    closed = page.run("await until(() => heard.closed); return heard.closed")
    assert (closed["code"], closed["wasClean"]) == (code, True) and closed["reason"].endswith(".")
    assert page.run("return heard.messages") == []


def test_a_refused_event_source_does_not_try_again(refused):
    page, chat, _ = refused
    page.listen("EventSource", id=chat)
    assert page.run("return [heard.source.readyState, heard.errors, heard.opened]") == [2, 1, 0]  # 2: closed for good


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_of_another_site_does_not_get_in_with_the_cookie(page, sqlite_proxy, kind):
    chat = new_chat(page)
    page.go(sqlite_proxy.url)  # 127.0.0.1 is another site than localhost, and the browser has the cookie still
    page.listen(kind, origin=site(sqlite_proxy), id=chat)
    if kind == "WebSocket":
        assert page.run("await until(() => heard.closed); return heard.closed.code") == 4401
    else:
        assert page.run("return [heard.source.readyState, heard.opened]") == [2, 0]
    page.go(site(sqlite_proxy))
    page.listen(kind, id=chat)
    assert page.run("return [heard.opened, heard.errors, heard.closed]") == [1, 0, None]
