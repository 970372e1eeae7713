"""/docs in a real browser: it shows every operation and tries them out, asks no other site, and breaks none of its own rules."""
import pytest
import requests

from tests import described
from tests.browser import Browser
from tests.conftest import numbers
from tests.wire import forwarded

ERRORS = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Network.loadingFailed", "Audits.issueAdded")
UNTIL = """
const shown = async (what) => {
    for (;;) {
        const found = document.querySelector(what);
        if (found) return found;
        await new Promise((next) => new MutationObserver((_, watch) => { watch.disconnect(); next(); })
            .observe(document, {subtree: true, childList: true, attributes: true}));
    }
};
const press = async (what) => (await shown(what)).click();
const type = async (what, text) => {
    const field = await shown(what);
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, text);
    field.dispatchEvent(new Event("input", {bubbles: true}));
};
"""
TRY_SESSION = """
await press(".authorize");
await type(".auth-container input[type=text]", token);
await press(".auth-container button.authorize");
await press(".btn-done");
await press("#operations-user-get_user_session .opblock-summary-control");
await press("#operations-user-get_user_session .try-out__btn");
await press("#operations-user-get_user_session .execute");
return JSON.parse((await shown("#operations-user-get_user_session .live-responses-table .highlight-code code")).textContent);
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory, sqlite_proxy):
    """The page in a browser, all of whose requests and complaints are kept."""
    browser = Browser(tmp_path_factory.mktemp("browser"))
    page = browser.page("about:blank")
    for domain in ("Log", "Audits"):
        browser.call(f"{domain}.enable", page.session)
    page.go(f"{sqlite_proxy.url}/docs")
    yield page
    browser.stop()


def complaints(page):
    """What the browser has to say of the page: errors, failed requests, broken rules."""
    page.run("")  # what has happened until now has then been told
    told = [event for event in page.browser.events[page.session] if event["method"] in ERRORS]
    return [event for event in told if event["method"] != "Audits.issueAdded" or "Policy" in event["params"]["issue"]["code"]]


def test_every_operation_is_shown_and_no_other_site_is_asked(page, sqlite_proxy):
    page.run(UNTIL + "await shown('.opblock')")
    operations = {method["operationId"] for item in described.document()["paths"].values() for method in item.values()}
    ids = page.run("return [...document.querySelectorAll('.opblock')].map((block) => block.id)")
    assert {identity.split("-", 2)[2] for identity in ids} == operations and len(ids) == len(operations)
    assert page.run("return document.querySelector('.title').innerText").startswith("Proxy GPT")
    elsewhere = [url for url in page.requested() if not url.startswith((f"{sqlite_proxy.url}/", "data:", "about:"))]
    assert elsewhere == [] and len(page.requested()) >= 5
    assert complaints(page) == []


def test_it_tries_out_an_operation_with_a_token_that_is_pasted(page, sqlite_proxy):
    visitor = sqlite_proxy.person(f"reader {next(numbers)}")
    answer = page.run(UNTIL + TRY_SESSION, token=visitor.token)
    assert answer["user"]["id"] == visitor.id
    assert complaints(page) == []


def test_its_files_are_the_needed_ones_alone_and_their_events_have_no_bodies(sqlite_proxy):
    script = requests.get(f"{sqlite_proxy.url}/docs/swagger-ui-bundle.js", headers=forwarded(), timeout=10)
    event = sqlite_proxy.event(script)
    assert (event["kind"], event["status"], event["response"], event["bytes_out"]) == ("docs", 200, "", len(script.content))
    assert event["outcome"] == "complete" and event["bytes_out"] > 1_000_000
    for path in ("/docs", "/docs/", "/openapi.json", "/docs/start.js"):
        answer = requests.get(sqlite_proxy.url + path, headers=forwarded(), timeout=10)
        event = sqlite_proxy.event(answer)
        assert (answer.status_code, event["response"], event["bytes_out"]) == (200, "", len(answer.content)), path
        assert "'self'" in answer.headers["Content-Security-Policy"] and "unsafe" not in answer.headers["Content-Security-Policy"]
    for path in ("/docs/LICENSE", "/docs/..%2f__init__.py", "/docs/index.css"):
        assert requests.get(sqlite_proxy.url + path, timeout=10).status_code == 404, path


def test_a_file_that_is_there_already_comes_no_second_time(sqlite_proxy):
    address = f"{sqlite_proxy.url}/docs/swagger-ui.css"
    first = requests.get(address, timeout=10)
    again = requests.get(address, headers={**forwarded(), "If-None-Match": first.headers["ETag"]}, timeout=10)
    assert (first.status_code, again.status_code, again.content, sqlite_proxy.event(again)["bytes_out"]) == (200, 304, b"", 0)
