"""What the seed promises without a line to type: its lists and formats, letter for letter."""
import json
import re
import uuid

import pytest
import requests

from tests.subscriber import EventSource, WebSocket

TABLES = """
- chats - stores the chat history
- chat_users - users in the chat by id
- Events - proxy events/requests/login/etc
- messages - message history within chats
- teams - all the team information
- team_members - team members by id
- users - user login information
- sessions - current login sessions
"""

STREAM_FORMAT = """
{
"message": {"id": "uuid", "prompt": "your prompt", "reply": "words ..." },
"partial": true
}
"""

ENDPOINTS = """
// chat api
"/chat/create": ChatCreate,
"/chat/read": ChatRead,
"/chat/update": ChatUpdate,
"/chat/delete": ChatDelete,
"/chat/prompt": ChatPrompt,
"/chat/index": ChatIndex,
"/chat/stream": ChatStream,
"/chat/user/add": ChatUserAdd,
"/chat/user/remove": ChatUserRemove,
// team api
"/team/create": TeamCreate,
"/team/delete": TeamDelete,
"/team/read": TeamRead,
"/team/update": TeamUpdate,
"/team/index": TeamIndex,
"/team/members": TeamMembers,
"/team/members/add": TeamMembersAdd,
"/team/members/remove": TeamMembersRemove,
// user api
"/user/signup": UserSignup,
"/user/login": UserLogin,
"/user/logout": UserLogout,
"/user/read": UserRead,
"/user/update": UserUpdate,
"/user/session": UserSession,
"/user/password/update": UserPasswordUpdate,
"""


PATHS = re.findall('^"(.*)": ', ENDPOINTS, re.MULTILINE)
OPEN = {"/user/signup", "/user/login", "/user/logout"}


def test_all_its_tables_are_there(proxy):
    names = re.findall(r"^- (\w+) -", TABLES, re.MULTILINE)
    assert len(names) == 8
    for name in names:
        assert len(proxy.rows(f"SELECT COUNT(*) FROM {name}")) == 1


def test_all_its_endpoints_are_there(proxy, newcomer):
    assert len(PATHS) == 24
    for path in PATHS:
        answer = newcomer.ask(path)
        assert answer.status_code in (200, 400), f"{path}: {answer.text}"  # done, or a field is missing
        newcomer = newcomer if path != "/user/logout" else proxy.person(f"{newcomer.name} again")
    assert newcomer.ask("/chat/none").status_code == 404


def test_all_its_endpoints_but_three_are_for_those_who_have_logged_in(sqlite_proxy):
    for path in PATHS:
        answer = requests.post(sqlite_proxy.url + path, timeout=10)
        assert (answer.status_code == 401) == (path not in OPEN), f"{path}: {answer.text}"


@pytest.mark.parametrize("kind", [EventSource, WebSocket])
def test_streamed_messages_have_its_format(dora, upstream, kind):
    chat = dora.ask("/chat/create").json()["id"]
    listener = kind(dora, chat)
    dora.ask("/chat/prompt", id=chat, prompt="your prompt", stream="true")
    *pieces, whole = listener.until_whole()
    listener.close()
    promised = json.loads(STREAM_FORMAT)
    assert pieces and all(set(piece) == set(promised) for piece in [*pieces, whole])
    for message in [piece["message"] for piece in [*pieces, whole]]:
        assert set(promised["message"]) <= set(message)
        assert uuid.UUID(message["id"]) and message["prompt"] == "your prompt"
    assert [piece["partial"] for piece in pieces] == [promised["partial"]] * len(pieces) and whole["partial"] is False
    assert "".join(piece["message"]["reply"] for piece in pieces) == whole["message"]["reply"] == "You said: your prompt"


def test_otr_messages_are_not_sent_to_the_ai_but_used_as_context_later(dora, upstream):
    chat = dora.ask("/chat/create").json()["id"]
    assert dora.ask("/chat/prompt", id=chat, prompt="It rains in Spain.", otr="true").json()["reply"] == ""
    assert not upstream.questions
    dora.ask("/chat/prompt", id=chat, prompt="What does it do there?")
    sent = [message["content"] for message in json.loads(upstream.question().body)["messages"]]
    assert sent == ["It rains in Spain.", "What does it do there?"]
