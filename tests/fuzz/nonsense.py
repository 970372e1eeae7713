"""Requests that make no sense, between those that do."""
from urllib.parse import quote

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.fuzz.client import REFUSALS
from tests.fuzz.company import id_of
from tests.fuzz.model import foreign_changes
from tests.fuzz.odd import ENCODINGS, texts, values
from tests.fuzz.rules import Doings, who

READS = ("/user/session", "/user/read", "/chat/read", "/chat/index", "/chat/stream", "/team/read", "/team/index", "/team/members",
         "/usage")  # fmt: skip
CHANGES = (
    "/user/update", "/user/password/update", "/chat/create", "/chat/update", "/chat/delete", "/chat/prompt", "/chat/user/add",
    "/chat/user/remove", "/team/create", "/team/update", "/team/delete", "/team/members/add", "/team/members/remove",
)  # fmt: skip
OPEN = ("/user/signup", "/user/login", "/user/logout")
ENDPOINTS = (*READS, *CHANGES, *OPEN)
FIELDS = (
    "id", "chat_id", "team_id", "user_id", "user_ids", "username", "usernames", "name", "model", "system", "description", "prompt",
    "context", "stream", "otr", "limit", "before", "last_event_id", "token", "password", "old_password", "new_password", "first_name",
    "last_name", "redirect_url", "by", "since", "until",
)  # fmt: skip
METHODS = ("POST", "POST", "POST", "GET", "PUT", "DELETE")


class Everybody(Doings):
    """The whole machine: what is done, and what makes no sense."""

    @rule(data=st.data(), who=who, path=st.sampled_from(ENDPOINTS), method=st.sampled_from(METHODS), encoding=st.sampled_from(ENCODINGS))
    def make_no_sense(self, data, who, path, method, encoding):
        caller = self.caller(data, who)
        known = st.sampled_from((*self.world.everything([person.id for person in self.people]), "nothing"))
        fields = data.draw(st.dictionaries(st.sampled_from(FIELDS) | texts, values | known, max_size=5))
        answer = self.told(caller, None, path, fields, encoding, method, stream=path == "/chat/stream")
        answer.close()
        assert answer.status_code in allowed(caller, method, path), f"{answer.status_code} {method} {path} {fields}: {answer.text[:300]}"
        if answer.status_code == 200 and path not in READS:
            self.set_right(caller, path)

    @rule(data=st.data(), who=who, path=texts, query=texts, body=st.binary(max_size=50), method=st.sampled_from(METHODS))
    def ask_upstream(self, data, who, path, query, body, method):
        caller = self.caller(data, who)
        target = f"/v1/x{quote(path, safe='', errors='surrogatepass')}?{quote(query, errors='surrogatepass')}"
        answer = self.client.send(caller, method, target, body)
        assert answer.status_code in ((401,) if caller[0] is None else (400, 404)), f"{answer.status_code} {target}"
        self.check_secrecy(answer.text, set(), target)

    def set_right(self, caller, path):
        """Nonsense was done all the same: it was the caller's to do, and the model learns of it."""
        after = self.read_world()
        assert foreign_changes(id_of(caller), self.world, after) == []
        self.world = after
        person = caller[0]
        if path == "/user/update":
            self.told(caller if caller[1] != "basic" else (person, "bearer"), 200, path, {"username": person.name})
        if path == "/user/logout" and person:  # whose token has ended, unless the nonsense was about another one
            login = self.client.ask((None, ""), "/user/login", {"username": person.name, "password": person.password})
            person.token = login.json()["token"]


def allowed(caller, method, path):
    """The statuses that nonsense may get."""
    if method not in (("POST",) if path in (*CHANGES, "/user/signup", "/user/login") else ("GET", "POST")):
        return (405,)
    if path in OPEN:
        return (200, 302, *REFUSALS)
    if caller[0] is None:
        return (400, 401) if path == "/chat/stream" else (401,)
    return (200, *(status for status in REFUSALS if status not in (401, 405)))
