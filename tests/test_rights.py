"""Who may do what: each endpoint, as Alice, Bob, Charlie and nobody find it."""
import pytest
import requests
from websockets.exceptions import ConnectionClosed

from proxy_gpt.app import create_app
from proxy_gpt.config import load
from tests.conftest import numbers
from tests.server import error_of
from tests.subscriber import web_socket

# Alice owns the team, the plain chat and the team chat. Bob and Dave are in all three, and one more chat of the team is Bob's.
# Charlie and Erin share nothing with anybody. {chat} is tried twice, as the plain chat and as the team chat.
# WS is a WebSocket: what it gets is "open", or the code it is closed with.
RIGHTS = """
                                                                             Alice  Bob  Charlie  nobody
POST  /user/signup           username={new} password=pw-c4n4ry                 200  200    200    200
POST  /user/login            username=Alice password={password}                200  200    200    200
POST  /user/logout           token=unknown                                     200  200    200    200
GET   /user/session                                                            200  200    200    401
GET   /user/read                                                               200  200    200    401
GET   /user/read             id={alice}                                        200  200    404    401
GET   /user/read             id={bob}                                          200  200    404    401
POST  /user/update           last_name=L                                       200  200    200    401
POST  /user/password/update  old_password={password} new_password={password}   200  200    200    401
POST  /user/password/update  old_password=wrong new_password=pw-c4n4ry         403  403    403    401

POST  /chat/create                                                             200  200    200    401
POST  /chat/create           team_id={team}                                    200  200    404    401
GET   /chat/read             id={chat}                                         200  200    404    401
POST  /chat/update           id={chat} name=new                                200  403    404    401
POST  /chat/update           id={bobs_chat} name=new                           403  200    404    401
POST  /chat/delete           id={chat}                                         200  403    404    401
POST  /chat/delete           id={bobs_chat}                                    403  200    404    401
GET   /chat/index                                                              200  200    200    401
POST  /chat/prompt           id={chat} prompt=hello                            200  200    404    401
POST  /chat/prompt           id={chat} prompt=hello stream=true                200  200    404    401
POST  /chat/prompt           id={chat} prompt=hello otr=true                   200  200    404    401
GET   /chat/stream           id={chat}                                         200  200    404    401
WS    /chat/stream           id={chat}                                        open open   4404   4401
POST  /chat/user/add         chat_id={chat} user_id={erin}                     200  403    404    401
POST  /chat/user/remove      chat_id={plain_chat} user_id={dave}               200  403    404    401
POST  /chat/user/remove      chat_id={plain_chat} user_id={bob}                200  200    404    401
POST  /chat/user/remove      chat_id={team_chat} user_id={dave}                400  403    404    401
POST  /chat/user/remove      chat_id={team_chat} user_id={bob}                 400  400    404    401
POST  /chat/user/remove      chat_id={chat} user_id={alice}                    400  403    404    401

POST  /team/create           name=new                                          200  200    200    401
GET   /team/read             id={team}                                         200  200    404    401
POST  /team/update           id={team} name=new                                200  403    404    401
POST  /team/delete           id={team}                                         200  403    404    401
GET   /team/index                                                              200  200    200    401
GET   /team/members          id={team}                                         200  200    404    401
POST  /team/members/add      team_id={team} user_ids={erin}                    200  403    404    401
POST  /team/members/remove   team_id={team} user_ids={bob}                     200  200    404    401
POST  /team/members/remove   team_id={team} user_ids={dave}                    200  403    404    401
POST  /team/members/remove   team_id={team} user_ids={alice}                   400  403    404    401

GET   /openapi.json                                                            200  200    200    200
GET   /docs                                                                    200  200    200    200
GET   /docs/start.js                                                           200  200    200    200
GET   /usage                                                                   200  200    200    401
POST  /usage                 by=user                                           400  400    400    401
GET   /usage                 team_id={team}                                    200  403    404    401
POST  /usage                 team_id={team} by=user                            200  403    404    401

GET   /v1/models                                                               200  200    200    401
POST  /v1/chat/completions                                                     200  200    200    401
WS    /v1/realtime                                                             501  501    501    401

GET   /healthz                                                                 200  200    200    200
GET   /metrics                                                                 200  200    200    200
GET   /readyz                                                                  200  200    200    200
"""
LINES = [line.split() for line in RIGHTS.splitlines()[2:] if line]
ALLOWED = ("200", "open")
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
CHANGES = ("/delete", "/remove")  # after these the house is not what it was


@pytest.fixture(scope="session")
def dave(proxy):
    """Another participant."""
    return proxy.person("Dave")


@pytest.fixture(scope="session")
def erin(proxy):
    """Another stranger."""
    return proxy.person("Erin")


@pytest.fixture
def build(alice, bob, dave, erin):
    """A function that makes all that the table speaks of, and returns the ids."""

    def make():
        team = alice.ask("/team/create", name="team", user_ids=f"{bob.id},{dave.id}").json()["id"]
        plain_chat, team_chat = (alice.ask("/chat/create", **more).json()["id"] for more in ({}, {"team_id": team}))
        for person in (bob, dave):
            alice.ask("/chat/user/add", chat_id=plain_chat, user_id=person.id)
        return {
            "alice": alice.id, "bob": bob.id, "dave": dave.id, "erin": erin.id, "password": alice.password,
            "team": team, "plain_chat": plain_chat, "team_chat": team_chat,
            "bobs_chat": bob.ask("/chat/create", team_id=team).json()["id"],
        }  # fmt: skip

    return make


@pytest.fixture
def rows(alice, bob, charlie):
    """The table's rows as (request, {who asks: what they get}), the owner last. Nobody is None."""
    table = []
    for *request, by_alice, by_bob, by_charlie, by_nobody in LINES:
        callers = {None: by_nobody, charlie: by_charlie, bob: by_bob, alice: by_alice}
        for chat in ("plain_chat", "team_chat"):
            row = [part.replace("{chat}", f"{{{chat}}}") for part in request], callers
            if row not in table:
                table.append(row)
    return table


def test_who_may_not_is_told_so_and_changes_nothing(rows, build, alice, bob):
    house = build()
    before = all_that_the_owners_read(house, alice, bob)
    for request, callers in rows:
        refused = {caller: code for caller, code in callers.items() if code not in ALLOWED}
        assert {caller: knock(alice.server, caller, *request, house=house) for caller in refused} == refused, request
        assert all_that_the_owners_read(house, alice, bob) == before, request


def test_who_may_may(rows, build, alice, upstream):
    house = build()
    for request, callers in rows:
        allowed = {caller: code for caller, code in callers.items() if code in ALLOWED}
        assert {caller: knock(alice.server, caller, *request, house=house) for caller in allowed} == allowed, request
        if request[1].endswith(CHANGES):
            house = build()


def test_the_table_has_a_line_for_every_endpoint(tmp_path):
    app = create_app(load({"DB_ADDRESS": f"sqlite:///{tmp_path / 'proxy.db'}", "JOURNAL_DIR": str(tmp_path)}))
    app.extensions["proxy"].close()
    urls = app.url_map.bind("proxy")
    in_the_table = set()
    for method, path, *_ in LINES:
        in_the_table.add(urls.match(path, "GET" if method == "WS" else method, websocket=method == "WS")[0])
    assert in_the_table == {rule.endpoint for rule in app.url_map.iter_rules()}


def knock(server, caller, method, path, *fields, house):
    """What a caller (None is nobody) gets, as the table writes it."""
    values = dict(field.format(new=f"new {next(numbers)}", **house).split("=", 1) for field in fields)
    if path == "/chat/stream" and method == "WS":
        return knock_by_web_socket(server, caller, values)
    headers = {"Authorization": f"Bearer {caller.token}"} if caller else {}
    if method == "WS":
        method, headers = "GET", {**headers, **UPGRADE}
    sent = {"params": values} if method == "GET" else {"data": values} if values else {"json": {}}
    with requests.request(method, server.url + path, headers=headers, stream=True, timeout=10, **sent) as answer:
        if answer.status_code != 200:
            error_of(answer, answer.status_code)
        return str(answer.status_code)


def knock_by_web_socket(server, caller, values):
    """The code that a WebSocket is closed with, or "open" when the caller hears there what the caller says in the chat."""
    with web_socket(server.url, {"token": caller and caller.token, **values}) as ws:
        if caller:
            caller.ask("/chat/prompt", prompt="hello", otr="true", **values)
        try:
            return "open" if ws.recv(timeout=5) else "silent"
        except ConnectionClosed as closed:
            return str(closed.rcvd.code)


def all_that_the_owners_read(house, alice, bob):
    """Everything about the house, as Alice reads it, and what she cannot read of Bob's."""
    chats = [alice.get("/chat/read", params={"id": house[name]}).json() for name in ("plain_chat", "team_chat", "bobs_chat")]
    team = [alice.get(path, params={"id": house["team"]}).json() for path in ("/team/read", "/team/members")]
    people = [person.get("/user/session").json()["user"]["username"] for person in (alice, bob)]
    return chats, team, people
