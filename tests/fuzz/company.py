"""Alice, Bob and Charlie, what they have, and how each answer to them is held against the model."""
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from tests.fuzz.client import sent_text
from tests.fuzz.model import World
from tests.server import execute_on_database

NOBODY = 3
WAYS = ("bearer", "bearer", "cookie", "basic")
TABLES = ("messages", "chat_users", "chats", "team_members", "teams")


class Company(RuleBasedStateMachine):
    """The house of the machine. `client` and `people` are set by the test that runs it: one server is there for all examples."""

    client = people = None

    @initialize()
    def begin(self):
        """Whatever an example that failed has left is gone. Alice has a team with Bob, a chat of that team, and one with Bob alone."""
        for table in TABLES:
            execute_on_database(self.client.server.database, f"DELETE FROM {table}")
        self.world = World()
        self.is_true = True  # what the model says, so far
        (alice, bob, _), made = self.people, []
        for path, fields in (("/team/create", {"name": "ours", "user_ids": bob.id}), ("/chat/create", {}), ("/chat/create", {})):
            fields |= {"team_id": made[0]} if len(made) == 2 else {}
            made.append(self.told((alice, "bearer"), 200, path, fields).json()["id"])
        self.told((alice, "bearer"), 200, "/chat/user/add", {"chat_id": made[1], "user_id": bob.id})
        self.world = self.read_world()

    def teardown(self):
        """What the database has is what the model says. Then everything goes, by its owners, and nothing is left."""
        if not self.is_true:
            return
        assert self.read_world() == self.world
        for identity, team in list(self.world.teams.items()):
            self.told(self.person(team.owner), 200, "/team/delete", {"id": identity})
            self.world.remove_team(identity)
        for identity, chat in list(self.world.chats.items()):
            self.told(self.person(chat.owner), 200, "/chat/delete", {"id": identity})
            del self.world.chats[identity]
        for person in self.people:
            for path in ("/team/index", "/chat/index"):
                assert list(self.told((person, "bearer"), 200, path).json().values()) == [[]]

    def told(self, caller, status, path, fields=None, encoding="form", method="POST", **more):
        """The answer, which has this status (or any) and tells the caller nothing that he may not read."""
        self.is_true = False
        answer = self.client.ask(caller, path, fields, encoding, method, **more)
        assert status in (None, answer.status_code), f"{answer.status_code} instead of {status}: {answer.text[:300]}"
        if not (more.get("stream") and answer.status_code == 200):
            self.check_secrecy(answer.text, self.world.may_read(id_of(caller)), sent_text(fields))
        self.is_true = True
        return answer

    def check_secrecy(self, text, known, sent=""):
        """Nothing is in the text that the caller neither may know nor has just said."""
        foreign = self.world.everything([person.id for person in self.people]) - known
        assert [part for part in foreign if part in text and part not in sent] == []

    def read_world(self):
        """What there is by the database."""
        world = World().read(self.client.server)
        for identity, chat in world.chats.items():
            chat.texts = self.world.chats[identity].texts if identity in self.world.chats else set()
        return world

    def caller(self, data, number):
        """(the person of that number or None, the way to say so), now and then with a wrong token."""
        if number == NOBODY:
            return None, data.draw(st.sampled_from(("no token", "wrong token")))
        return self.people[number], data.draw(st.sampled_from(WAYS))

    def person(self, identity):
        """The one with this id, as a caller."""
        return next(person for person in self.people if person.id == identity), "bearer"

    def a_team(self, data):
        """The id of a team that is there, or of none."""
        return data.draw(st.sampled_from((*[*self.world.teams] * 4, "no-such-team")))

    def a_chat(self, data):
        """The id of a chat that is there, or of none."""
        return data.draw(st.sampled_from((*[*self.world.chats] * 4, "no-such-chat")))

    def some_people(self, data, me=None):
        """(fields that name some people in one way or in two, their ids)."""
        some = st.lists(st.sampled_from(self.people), min_size=1, max_size=3, unique_by=id)
        chosen = data.draw(some if me is None else some | st.just([me]))
        ways = data.draw(st.sampled_from((("user_ids",), ("usernames",), ("user_ids", "usernames"))))
        named = {"user_ids": [person.id for person in chosen], "usernames": [person.name for person in chosen]}
        return {way: named[way] for way in ways}, {person.id for person in chosen}

    def team_status(self, me, identity, owner=True):
        """What somebody gets who wants to do something with a team, if all else is right."""
        things, sees = self.world.teams, self.world.sees_team
        return _status(me, things.get(identity), sees(me, identity), owner)

    def chat_status(self, me, identity, owner=True):
        """The same for a chat."""
        things, sees = self.world.chats, self.world.sees_chat
        return _status(me, things.get(identity), sees(me, identity), owner)


def id_of(caller):
    """The id of a caller, None of nobody."""
    return caller[0] and caller[0].id


def _status(me, thing, sees, owner):
    if me is None:
        return 401
    if not sees:
        return 404
    return 403 if owner and thing.owner != me else 200
