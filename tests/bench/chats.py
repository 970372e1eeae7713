"""What chats cost: many who listen, and long ones."""
import subprocess
import sys
from urllib.parse import urlencode

from tests.bench import load
from tests.bench.databases import with_chats, with_messages
from tests.bench.running import ROUNDS, Row, running
from tests.bench.servers import ROOT, Proxy

FORM = "application/x-www-form-urlencoded"
SHORT, LONG = 10, 50_000


def subscribers(folder):
    """Five thousand who listen, a thousand of them to one chat: one worker."""
    with running(folder, Proxy, STREAMS_PER_USER="10000") as (server,):
        chat, quiet = (server.somebody.ask("/chat/create").json()["id"] for _ in range(2))
        command = [sys.executable, "-m", "tests.bench.subscribers", server.url,
                   "--token", server.token, "--chat", chat, "--quiet", quiet]  # fmt: skip
        client = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            if client.stdout.readline() != "ready\n":
                sys.exit("Not everybody could subscribe.")
            yield Row("memory with 5,000 subscribers, MB", None, server.memory() / 1e6, 300)
            seconds = load.json.loads(client.communicate("go\n", timeout=30)[0])["seconds"]
            yield Row("a message reaches the last of 1,000 after, s", None, seconds, 1.0)
        finally:
            client.kill()


def lengths(folder):
    """Prompts, pages and lists that have little behind them, and much."""
    with running(folder, Proxy) as (server,):
        short, long = (server.somebody.ask("/chat/create").json()["id"] for _ in range(2))
        for chat, count in ((short, SHORT), (long, LONG)):
            with_messages(server, chat, count)
        for what, path, fields in (
            ("a prompt", "/chat/prompt", {"prompt": "hello"}), ("/chat/read", "/chat/read", {"limit": SHORT}),
        ):  # fmt: skip
            few, many = load.side_by_side([short, long], ROUNDS, lambda chat: _form(server, path, id=chat, **fields))
            yield Row(f"CPU of {what}, {LONG:,} messages beside {SHORT}, ms", few["cpu"], many["cpu"], 1.2)
        with_chats(server, SHORT)
        few = _form(server, "/chat/index", limit=SHORT)
        with_chats(server, 5_000)
        many = _form(server, "/chat/index", limit=SHORT)
        yield Row(f"CPU of /chat/index, 5,000 chats beside {SHORT}, a page of {SHORT}, ms", few["cpu"], many["cpu"], 1.2)


def _form(server, path, **fields):
    return load.requests(server, 8, 2, urlencode(fields), path, FORM)
