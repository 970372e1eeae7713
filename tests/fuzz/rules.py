"""What the people of the company do. Each rule says which status it must get, and what is then true."""
from itertools import count

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.fuzz.company import Company, id_of
from tests.fuzz.model import Chat, Team, is_clean, is_line, is_name
from tests.fuzz.odd import ENCODINGS, texts

who = st.sampled_from((0, 1, 2, 0, 1, 2, 3))
encodings = st.sampled_from(ENCODINGS)
good = st.sampled_from(("ours", " spaced ", "Köln 👩‍👧", "n" * 30))
names = good | good | texts
counts = st.sampled_from((None, None, 1, "10", 1000, 0, -1, 1001, "x", 1.5, "²"))
numbers = count(1)


def first_of(*statuses):
    """The first refusal of these, in the order in which the server looks."""
    return next((status for status in statuses if status != 200), 200)


def ok(condition):
    """200, or 400 for what is wrong."""
    return 200 if condition else 400


class Doings(Company):
    """All that can be done."""

    @rule(data=st.data(), who=who, name=names, description=texts, encoding=encodings)
    def make_team(self, data, who, name, description, encoding):
        caller, (people, ids) = self.caller(data, who), self.some_people(data)
        right = ok(is_line(name, 30) and is_clean(description) and len(description.strip()) <= 256)
        status = first_of(401 if caller[0] is None else 200, right)
        answer = self.told(caller, status, "/team/create", {"name": name, "description": description, **people}, encoding)
        if status == 200:
            me, made = id_of(caller), answer.json()
            assert (made["name"], made["description"], made["owner_id"]) == (name.strip(), description.strip(), me)
            self.world.teams[made["id"]] = Team(me, made["name"], made["description"], {me, *ids})

    @rule(data=st.data(), who=who, name=names, encoding=encodings)
    def rename_team(self, data, who, name, encoding):
        caller, identity = self.caller(data, who), self.a_team(data)
        status = first_of(401 if caller[0] is None else 200, ok(is_line(name, 30)), self.team_status(id_of(caller), identity))
        self.told(caller, status, "/team/update", {"id": identity, "name": name}, encoding)
        if status == 200:
            self.world.teams[identity].name = name.strip()

    @precondition(lambda self: len(self.world.teams) > 1)
    @rule(data=st.data(), who=who, encoding=encodings)
    def delete_team(self, data, who, encoding):
        caller, identity = self.caller(data, who), self.a_team(data)
        status = self.team_status(id_of(caller), identity)
        self.told(caller, status, "/team/delete", {"team_id": identity}, encoding)
        if status == 200:
            self.world.remove_team(identity)

    @rule(data=st.data(), who=who, encoding=encodings, stranger=st.booleans())
    def let_into_team(self, data, who, encoding, stranger):
        caller, identity, (people, ids) = self.caller(data, who), self.a_team(data), self.some_people(data)
        if stranger:
            people["user_id"] = "no-such-user"
        status = first_of(self.team_status(id_of(caller), identity), ok(not stranger))
        self.told(caller, status, "/team/members/add", {"id": identity, **people}, encoding)
        if status == 200:
            self.world.teams[identity].members |= ids

    @rule(data=st.data(), who=who, encoding=encodings)
    def take_out_of_team(self, data, who, encoding):
        caller, identity = self.caller(data, who), self.a_team(data)
        people, ids = self.some_people(data, caller[0])
        status = self.team_status(id_of(caller), identity, owner=ids != {id_of(caller)})
        if status == 200 and self.world.teams[identity].owner in ids:
            status = 400
        self.told(caller, status, "/team/members/remove", {"team_id": identity, **people}, encoding)
        if status == 200:
            self.world.teams[identity].members -= ids

    @rule(data=st.data(), who=who, encoding=encodings, method=st.sampled_from(("GET", "POST")))
    def read_team(self, data, who, encoding, method):
        caller, identity = self.caller(data, who), self.a_team(data)
        status = self.team_status(id_of(caller), identity, owner=False)
        read = self.told(caller, status, "/team/read", {"id": identity}, encoding, method)
        members = self.told(caller, status, "/team/members", {"id": identity}, encoding, method)
        self.told(caller, self.team_status(id_of(caller), identity), "/usage", {"team_id": identity}, encoding, method)
        if status == 200:
            team = self.world.teams[identity]
            assert (read.json()["team"]["name"], read.json()["team"]["owner_id"]) == (team.name, team.owner)
            assert {user["id"] for user in members.json()["users"]} == team.members

    @rule(data=st.data(), who=who, name=names, system=texts, encoding=encodings, alone=st.booleans())
    def make_chat(self, data, who, name, system, encoding, alone):
        caller = self.caller(data, who)
        me, team, system = id_of(caller), "" if alone else self.a_team(data), f"{system} system-{next(numbers)}-"
        in_team = 401 if me is None else 200 if alone else self.team_status(me, team, owner=False)
        right = ok((is_line(name, 254) or name == "") and is_clean(system))
        status = first_of(in_team, right) if (in_team, right) != (404, 400) else None  # of two faults either may be named
        answer = self.told(caller, status, "/chat/create", {"name": name, "system": system, "team_id": team}, encoding)
        if status == 200:
            made = answer.json()
            assert (made["name"], made["user_id"], made["team_id"]) == (name.strip() or "general", me, team or None)
            self.world.chats[made["id"]] = Chat(me, team or None, made["name"], texts={system[system.rindex("system-") :]})

    @rule(data=st.data(), who=who, name=names, encoding=encodings)
    def rename_chat(self, data, who, name, encoding):
        caller, identity = self.caller(data, who), self.a_chat(data)
        status = first_of(401 if caller[0] is None else 200, ok(is_line(name, 254)), self.chat_status(id_of(caller), identity))
        self.told(caller, status, "/chat/update", {"id": identity, "name": name}, encoding)
        if status == 200:
            self.world.chats[identity].name = name.strip()

    @precondition(lambda self: len(self.world.chats) > 2)
    @rule(data=st.data(), who=who, encoding=encodings)
    def delete_chat(self, data, who, encoding):
        caller, identity = self.caller(data, who), self.a_chat(data)
        status = self.chat_status(id_of(caller), identity)
        self.told(caller, status, "/chat/delete", {"chat_id": identity}, encoding)
        if status == 200:
            del self.world.chats[identity]

    @rule(data=st.data(), who=who, other=st.integers(0, 3), encoding=encodings, by_name=st.booleans())
    def let_into_chat(self, data, who, other, encoding, by_name):
        caller, identity, (named, user_id) = self.caller(data, who), self.a_chat(data), self.somebody(other, by_name)
        status = first_of(self.chat_status(id_of(caller), identity), ok(user_id))
        self.told(caller, status, "/chat/user/add", {"chat_id": identity, **named}, encoding)
        if status == 200 and not self.world.sees_chat(user_id, identity):
            self.world.chats[identity].added.add(user_id)

    @rule(data=st.data(), who=who, other=st.integers(0, 3), encoding=encodings, by_name=st.booleans())
    def take_out_of_chat(self, data, who, other, encoding, by_name):
        caller, identity, (named, user_id) = self.caller(data, who), self.a_chat(data), self.somebody(other, by_name)
        me = id_of(caller)
        status = first_of(self.chat_status(me, identity, owner=False), ok(user_id), self.chat_status(me, identity, owner=user_id != me))
        if status == 200:
            chat = self.world.chats[identity]
            status = ok(user_id != chat.owner and not self.world.sees_team(user_id, chat.team))
        self.told(caller, status, "/chat/user/remove", {"chat_id": identity, **named}, encoding)
        if status == 200:
            chat.added.discard(user_id)

    @rule(data=st.data(), who=who, text=texts, encoding=encodings, context=counts, kind=st.sampled_from(("plain", "otr", "stream")))
    def say(self, data, who, text, encoding, context, kind):
        caller, identity, mark = self.caller(data, who), self.a_chat(data), f"prompt-{next(numbers)}-"
        fields = {"id": identity, "prompt": f"{text} {mark}", kind: True}
        if context is not None:
            fields["context"] = context
        right = ok(is_clean(text) and context in (None, 1, "10", 1000))
        status = first_of(401 if caller[0] is None else 200, right, self.chat_status(id_of(caller), identity, owner=False))
        answer = self.told(caller, status, "/chat/prompt", fields, encoding)
        if status == 200:
            message, chat = answer.json()["message"], self.world.chats[identity]
            assert (message["prompt"], message["user_id"]) == (fields["prompt"], id_of(caller))
            assert message["reply"] == (f"You said: {fields['prompt']}" if kind == "plain" else "")
            chat.messages.append((message["id"], id_of(caller)))
            chat.texts.add(mark)

    @rule(data=st.data(), who=who, encoding=encodings, method=st.sampled_from(("GET", "POST")))
    def read_chat(self, data, who, encoding, method):
        caller, identity = self.caller(data, who), self.a_chat(data)
        status = self.chat_status(id_of(caller), identity, owner=False)
        answer = self.told(caller, status, "/chat/read", {"id": identity}, encoding, method)
        self.told(caller, status, "/chat/stream", {"id": identity}, encoding, method, stream=True).close()
        if status == 200:
            chat, read = self.world.chats[identity], answer.json()
            assert {user["id"] for user in read["users"]} == self.world.participants(chat)
            assert [(message["id"], message["user_id"]) for message in read["messages"]] == chat.messages
            assert read["chat"]["name"] == chat.name

    @rule(data=st.data(), who=who, other=st.integers(0, 2), encoding=encodings, method=st.sampled_from(("GET", "POST")))
    def look_around(self, data, who, other, encoding, method):
        caller, other = self.caller(data, who), self.people[other].id
        me = id_of(caller)
        status = 401 if me is None else 200
        teams = self.told(caller, status, "/team/index", {}, encoding, method)
        chats = self.told(caller, status, "/chat/index", {}, encoding, method)
        self.told(caller, first_of(status, 200 if self.world.knows(me, other) else 404), "/user/read", {"id": other}, encoding, method)
        if me:
            assert {team["id"] for team in teams.json()["teams"]} == {key for key in self.world.teams if self.world.sees_team(me, key)}
            assert {chat["id"] for chat in chats.json()["chats"]} == {key for key in self.world.chats if self.world.sees_chat(me, key)}

    @rule(data=st.data(), who=who, first=names, last=names, encoding=encodings)
    def call_oneself(self, data, who, first, last, encoding):
        caller = self.caller(data, who)
        status = first_of(401 if caller[0] is None else 200, ok(is_name(first) and is_name(last)))
        answer = self.told(caller, status, "/user/update", {"first_name": first, "last_name": last}, encoding)
        if status == 200:
            user = self.told(caller, 200, "/user/session", {}, encoding).json()["user"]
            assert (user["first_name"], user["last_name"]) == (first.strip(), last.strip())
            assert answer.json()["user"]["id"] == user["id"] == id_of(caller)

    def somebody(self, number, by_name):
        """(the field that names the person of that number, the id); for one too many it names nobody."""
        if number == len(self.people):
            return {"username" if by_name else "user_id": "no-such-user"}, None
        person = self.people[number]
        return ({"username": person.name} if by_name else {"user_id": person.id}), person.id
