"""The seed's own lines, letter for letter and in its order, typed at a shell: hold this file beside it.

Its example ids and tokens (`chat-1`, `user-1`, `team-1`, `ZDU0…`, `YWEz…`) stand for those of the answers, and its port 8080 for
the server's. Two of its lines are mended, each where it stands here: a host's name, and a backslash at the end of a line.
Where a line has no credential, its curl keeps cookies, as a browser does: the sign-up before has set `sess`.
"""
import json
from urllib.parse import urlsplit

import pytest
import requests

from tests.conftest import numbers
from tests.server import execute_on_database, free_port
from tests.shell import Shell

SESSION = "ZDU0Nzg5ZTctMzRkMy00ZmNlLTkyYTgtZTQwYzIxZDE1YWJm"
ANOTHER_SESSION = "YWEzZTlkYTUtZWRhNi00ODY3LWIyNzYtZGFhNGRhMmRlNmEx"

SIGNUP = r"""
curl http://localhost:8080/user/signup \
-d "username=asim&password=bazbar"
"""

PRIVILEGES = """
create user gptio with encrypted password 'foobar';
grant all privileges on database proxy to gptio;
GRANT ALL ON SCHEMA public to gptio;
"""


@pytest.fixture(scope="module", params=["sqlite and memory", "postgres and redis"])
def server(request, start, new_database, the_upstream):
    """`API_KEY=xxx API_URL=http://localhost:9090 proxy-gpt`, on every address of the machine as by default."""
    port = free_port()
    settings = {"API_KEY": "xxx", "API_URL": the_upstream.url.replace("127.0.0.1", "localhost"), "ADDRESS": f":{port}", "PORT": str(port)}
    if request.param == "postgres and redis":
        redis = request.getfixturevalue("redis_address")
        settings |= {"DB_ADDRESS": granted(new_database("postgres")), "REDIS_ADDRESS": redis, "WEB_CONCURRENCY": "1"}
    return start(**settings)


def granted(database):
    """The address of a database for the user whom the seed's statements make, with the privileges that they give."""
    parts = urlsplit(database)
    execute_on_database(database, PRIVILEGES.replace("database proxy", f"database {parts.path[1:]}"))
    return parts._replace(netloc=f"gptio:foobar@{parts.netloc.rpartition('@')[2]}").geturl()


@pytest.fixture
def shell(tmp_path, server):
    """A shell whose curl sends what its line says, and nothing else."""
    return Shell(tmp_path, server)


@pytest.fixture
def member(tmp_path_factory, server):
    """A shell whose curl keeps cookies, where somebody has signed up."""
    shell = Shell(tmp_path_factory.mktemp("member"), server, cookies=True)
    assert shell.curl(SIGNUP, {"asim": f"member+{next(numbers)}"}).status == 200
    return shell


@pytest.fixture
def newcomer(server):
    """Somebody with a token."""
    return server.person(f"somebody {next(numbers)}")


def test_usage_api(shell, member, upstream):
    example = """
curl http://localhost:8080/v1/models
"""
    models = member.curl(example)
    assert (models.status, models.json["object"]) == (200, "list")
    question = upstream.question()
    assert (question.method, question.target, question.header("Authorization")) == ("GET", "/v1/models", "Bearer xxx")
    assert (question.header("Host"), question.header("Cookie")) == (f"localhost:{urlsplit(upstream.url).port}", None)
    assert models.json == requests.get(f"{upstream.url}/v1/models", timeout=5).json()  # verbatim
    assert shell.curl(example).status == 401  # without the cookie


def test_auth_and_sessions(shell, newcomer, upstream):
    by_header = shell.curl(r"""
curl -H 'Authorization: Bearer ZDU0Nzg5ZTctMzRkMy00ZmNlLTkyYTgtZTQwYzIxZDE1YWJm' \
http://localhost:8080/v1/models
""", {SESSION: newcomer.token})
    assert (by_header.status, by_header.json["object"]) == (200, "list")
    by_cookie = shell.curl(r"""
curl --cookie 'sess=ZDU0Nzg5ZTctMzRkMy00ZmNlLTkyYTgtZTQwYzIxZDE1YWJm' \
http://localhost:8080/v1/models
""", {SESSION: newcomer.token})
    assert (by_cookie.status, by_cookie.json) == (200, by_header.json)
    assert shell.curl(f"curl --cookie 'sess={SESSION}' http://localhost:8080/v1/models").status == 401


def test_admin(shell, server):
    foobar = server.person("foobar")
    option = "" if server.database.startswith("sqlite") else f" --database '{server.database}'"
    commands = {"admin": f"proxy-admin{option}"}  # its name, once installed
    assert foobar.id in shell.run("admin list", commands)
    assert "foobar" in shell.run("admin user user-1", {**commands, "user-1": foobar.id})
    shell.run("admin reset foobar Password1", commands)
    login = {"username": "foobar", "password": "Password1"}
    assert requests.post(f"{server.url}/user/login", data=login, timeout=10).status_code == 200


def test_signup_login_and_logout(shell, server):
    signed_up = shell.curl(SIGNUP)
    assert (signed_up.status, signed_up.json["user"]["username"]) == (200, "asim")
    logged_in = shell.curl(r"""
curl -vv http://localhost:8080/user/login \
-d "username=asim&password=bazbar"
""")
    assert (logged_in.status, logged_in.json["user"]) == (200, signed_up.json["user"])
    assert f"< Set-Cookie: sess={logged_in.json['token']};" in logged_in.stderr
    by_cookie = shell.curl(r"""
curl --cookie "sess=YWEzZTlkYTUtZWRhNi00ODY3LWIyNzYtZGFhNGRhMmRlNmEx" \
http://localhost:8080/user/logout
""", {ANOTHER_SESSION: signed_up.json["token"]})
    assert (by_cookie.status, by_cookie.json) == (200, {})
    assert session(server, signed_up) == 401 and session(server, logged_in) == 200
    by_token = shell.curl(r"""
curl -XPOST http://localhost:8080/user/logout \
-d '{"token": "YWEzZTlkYTUtZWRhNi00ODY3LWIyNzYtZGFhNGRhMmRlNmEx"}'
""", {ANOTHER_SESSION: logged_in.json["token"]})
    assert (by_token.status, by_token.json) == (200, {})
    assert session(server, logged_in) == 401


def session(server, login):
    """The status that the session of a sign-up or login now has."""
    headers = {"Authorization": f"Bearer {login.json['token']}"}
    return requests.get(f"{server.url}/user/session", headers=headers, timeout=10).status_code


def test_basic_auth_in_the_url(shell, newcomer):
    example = "curl http://username:token@localhost:8080/v1/models"  # the seed says so, and has no line of it
    name = newcomer.name.replace(" ", "%20")
    assert shell.curl(example, {"username": name, "token": newcomer.token}).json["object"] == "list"
    assert shell.curl(example, {"username": "other", "token": newcomer.token}).status == 401


def test_chat_api(member, newcomer, upstream):
    chat = member.curl(r"""
curl http://localhost:8080/chat/create \
-d "name=foobar&model=gpt-3"
""")
    assert (chat.status, chat.json["name"]) == (200, "foobar")
    known = {"chat-1": chat.json["id"]}
    added = member.curl(r"""
curl http://locahost:8080/chat/user/add \
-d "chat_id=chat-1&user_id=user-1"
""", {**known, "user-1": newcomer.id, "locahost": "localhost"})
    assert (added.status, added.json) == (200, {})
    said = member.curl(r"""
curl http://localhost:8080/chat/prompt \
-d "chat_id=chat-1&prompt=tell+me+about+spain"
""", known)
    assert (said.status, said.json["reply"]) == (200, "You said: tell me about spain")
    assert newcomer.ask("/chat/read", id=chat.json["id"]).json()["messages"] == [said.json["message"]]
    assert json.loads(upstream.question().body)["model"] == "gpt-4o-mini"  # what gpt-3 means today


def test_team_api(member, newcomer):
    team = member.curl(r"""
curl http://localhost:8080/team/create \
-d "name=foobar&description=my+awesome+team"
""")
    assert (team.status, team.json["name"], team.json["description"]) == (200, "foobar", "my awesome team")
    known = {"team-1": team.json["id"]}
    added = member.curl(r"""
curl http://localhost:8080/team/members/add \
-d "team_id=team-1&user_ids=user-1"
""", {**known, "user-1": newcomer.id})
    assert (added.status, added.json) == (200, {})
    chat = member.curl(r"""
curl http://localhost:8080/chat/create \
-d "name=foobar&team_id=team-1"
""", known)
    assert (chat.status, chat.json["team_id"]) == (200, team.json["id"])
    assert [seen["id"] for seen in newcomer.get("/chat/index").json()["chats"]] == [chat.json["id"]]  # as a member of the team


def test_two_formats(shell, server):
    form = shell.curl(r"""
curl http://localhost:8080/user/signup \
-d "username=foo&password=bar"
""")
    assert (form.status, form.json["user"]["username"]) == (200, "foo")
    example = r"""
curl http://localhost:8080/user/signup \
-H 'Content-Type: application/json'
-d '{"username": "foo", "password": "bar"}'
"""  # the shell puts the backslash back that the second line has lost
    again = shell.curl(example)
    assert (again.status, again.json["error"]["param"]) == (409, "username")  # the seed signs foo up twice
    another = shell.curl(example, {"foo": "foo in JSON"})
    assert (another.status, another.json["user"]["username"]) == (200, "foo in JSON")
