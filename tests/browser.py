"""A real browser, led by the DevTools protocol. Its pages are of the proxy's own origin and run a script of their own."""
import itertools
import json
import shutil
import subprocess
import time
from collections import defaultdict
from urllib.parse import urlencode

import pytest
from websockets.sync.client import connect

from tests.server import eventually

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-port=0",
    # nothing but this machine can be asked, whatever a page or the browser itself should want
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)  # fmt: skip
WITHIN = 15  # seconds in which everything must come about

SCRIPT = """
const bells = new Set();
const ring = () => bells.forEach((bell) => bell());
const until = (check) => new Promise((done) => {
    const bell = () => { if (check()) { bells.delete(bell); done(); } };
    bells.add(bell);
    bell();
});
const post = async (path, fields) => {
    const answer = await fetch(path, {method: "POST", body: new URLSearchParams(fields)});
    return answer.json();
};
function listen(kind, url) {
    const source = new window[kind](url);
    const heard = {source, messages: [], ids: [], opened: 0, errors: 0, closed: null};
    source.onopen = () => { heard.opened += 1; ring(); };
    source.onerror = () => { heard.errors += 1; ring(); };
    source.onclose = ({code, reason, wasClean}) => { heard.closed = {code, reason, wasClean}; ring(); };
    source.onmessage = ({data, lastEventId}) => { heard.messages.push(JSON.parse(data)); heard.ids.push(lastEventId); ring(); };
    return heard;
}
"""


class Browser:
    """Chromium with a fresh profile in a folder."""

    def __init__(self, folder):
        program = shutil.which("chromium") or shutil.which("google-chrome")
        if program is None:
            pytest.skip("chromium is not installed: apt-get install chromium")
        self.log = open(folder / "browser.log", "wb")
        command = [program, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        port, path = eventually(lambda: self._says_where(folder / "profile" / "DevToolsActivePort"), within=30)
        self.connection = connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None)
        self.devtools = self.connection.__enter__()
        self.numbers = itertools.count(1)
        self.events = defaultdict(list)  # of each page, in order

    def _says_where(self, file):
        assert self.process.poll() is None, f"chromium has ended, see {self.log.name}"
        lines = file.read_text().split() if file.exists() else ()
        return lines if len(lines) == 2 else None

    def call(self, method, page=None, **parameters):
        """The result of a command of the DevTools protocol, to a page or to the browser itself."""
        number = next(self.numbers)
        to = {"sessionId": page} if page else {}
        self.devtools.send(json.dumps({"id": number, "method": method, "params": parameters, **to}))
        answer = self._receive(lambda message: message.get("id") == number)
        assert "error" not in answer, f"{method}: {answer}"
        return answer["result"]

    def event(self, page, method):
        """The next event of this name, of a page."""
        return self._receive(lambda message: (message.get("sessionId"), message.get("method")) == (page, method))

    def _receive(self, wanted):
        deadline = time.monotonic() + WITHIN
        while True:
            message = json.loads(self.devtools.recv(timeout=max(0, deadline - time.monotonic())))
            if "method" in message:
                self.events[message.get("sessionId")].append(message)
            if wanted(message):
                return message

    def page(self, url):
        """A page at this address, in a profile of its own: it has no cookies."""
        profile = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=profile)["targetId"]
        return Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"], url)

    def stop(self):
        """Close it."""
        self.call("Browser.close")
        self.connection.__exit__(None, None, None)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Page:
    """A page with the script above."""

    def __init__(self, browser, session, url):
        self.browser, self.session = browser, session
        for domain in ("Page", "Network", "Runtime"):
            browser.call(f"{domain}.enable", session)
        browser.call("Page.addScriptToEvaluateOnNewDocument", session, source=SCRIPT)
        self.go(url)

    def go(self, url):
        """Go to another address."""
        self.browser.call("Page.navigate", self.session, url=url)
        self.browser.event(self.session, "Page.loadEventFired")

    def run(self, body, **values):
        """What the body of an async function returns in the page, when it has come to its end; it sees these values."""
        known = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in values.items())
        result = self.browser.call(
            "Runtime.evaluate", self.session, expression=f"(async () => {{\n{known}{body}\n}})()", awaitPromise=True, returnByValue=True
        )  # fmt: skip
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def listen(self, kind, origin="", **parameters):
        """Let the page listen to /chat/stream with an EventSource or a WebSocket; `heard` says what comes of it."""
        url = f"{origin or self.run('return location.origin')}/chat/stream?{urlencode(parameters)}"
        url = url.replace("http", "ws", 1) if kind == "WebSocket" else url
        self.run("window.heard = listen(kind, url); await until(() => heard.opened || heard.errors)", kind=kind, url=url)

    def begun(self, path):
        """Wait until the first bytes of the answer from this path have come: scripts are told of its head alone."""
        self.run("")  # what has happened until now has then been told
        while not self._has_come(path):
            self.browser.event(self.session, "Network.dataReceived")

    def _has_come(self, path):
        events = [(event["method"], event["params"]) for event in self.browser.events[self.session]]
        asked = {told["requestId"] for method, told in events if method == "Network.requestWillBeSent" and path in told["request"]["url"]}
        return any(method == "Network.dataReceived" and told["requestId"] in asked for method, told in events)

    def messages(self, count):
        """All that the page has heard, once that is so many messages."""
        return self.run("await until(() => heard.messages.length >= count); return heard.messages", count=count)

    def requested(self):
        """The addresses that the page has asked for so far, WebSockets included."""
        self.run("")  # what has happened until now has then been told
        return [self._url(event) for event in self.browser.events[self.session] if self._url(event)]

    @staticmethod
    def _url(event):
        if event["method"] == "Network.requestWillBeSent":
            return event["params"]["request"]["url"]
        return event["params"]["url"] if event["method"] == "Network.webSocketCreated" else None
