"""What a company of people has, and who may see what: the model that the fuzz holds against the server's answers."""
import unicodedata
from dataclasses import dataclass, field


@dataclass
class Team:
    """A team; people are the ids of users."""

    owner: str
    name: str
    description: str
    members: set


@dataclass
class Chat:
    """A chat. Its messages are (id, author); `texts` are prompts and system prompts that were ever said in it."""

    owner: str
    team: str | None
    name: str
    added: set = field(default_factory=set)
    messages: list = field(default_factory=list)
    texts: set = field(default_factory=set, compare=False)


@dataclass
class World:
    """All teams and chats by id."""

    teams: dict = field(default_factory=dict)
    chats: dict = field(default_factory=dict)

    def read(self, server):
        """Take over what the server's database has. Returns the world."""
        for row in server.rows("SELECT * FROM teams"):
            self.teams[row["id"]] = Team(row["owner_id"], row["name"], row["description"], set())
        for row in server.rows("SELECT * FROM team_members"):
            self.teams[row["team_id"]].members.add(row["user_id"])
        for row in server.rows("SELECT * FROM chats"):
            self.chats[row["id"]] = Chat(row["user_id"], row["team_id"], row["name"])
        for row in server.rows("SELECT * FROM chat_users"):
            self.chats[row["chat_id"]].added.add(row["user_id"])
        for row in server.rows("SELECT * FROM messages ORDER BY id"):
            self.chats[row["chat_id"]].messages.append((row["id"], row["user_id"]))
        return self

    def participants(self, chat):
        """The ids of those who take part in a chat."""
        return {chat.owner} | chat.added | (self.teams[chat.team].members if chat.team else set())

    def sees_team(self, who, identity):
        """Whether somebody (None is nobody) is in the team with this id."""
        return identity in self.teams and who in self.teams[identity].members

    def sees_chat(self, who, identity):
        """Whether somebody takes part in the chat with this id."""
        return identity in self.chats and who in self.participants(self.chats[identity])

    def knows(self, who, other):
        """Whether somebody may see somebody."""
        groups = [*(team.members for team in self.teams.values()), *map(self.participants, self.chats.values())]
        return who is not None and (who == other or any({who, other} <= group for group in groups))

    def may_read(self, who):
        """The ids and texts that may be in an answer to somebody."""
        if who is None:
            return set()
        teams = {identity: team for identity, team in self.teams.items() if who in team.members}
        chats = {identity: chat for identity, chat in self.chats.items() if self.sees_chat(who, identity)}
        found = {who, *teams, *chats}.union(*(team.members for team in teams.values()))
        for chat in chats.values():  # who has left it is still named as the author of what was said there
            found |= {chat.team, *self.participants(chat), *chat.texts, *(part for message in chat.messages for part in message)}
        return found

    def everything(self, people):
        """The ids and texts of all."""
        found = {*people, *self.teams, *self.chats}
        for chat in self.chats.values():
            found |= {*chat.texts, *(identity for identity, _ in chat.messages)}
        return found

    def remove_team(self, identity):
        """The team is deleted, and its chats with it."""
        del self.teams[identity]
        self.chats = {key: chat for key, chat in self.chats.items() if chat.team != identity}


def foreign_changes(who, before, after):
    """The ids of teams and chats that changed from one World to another, and that this caller may not have changed."""
    things = {**before.teams, **before.chats}, {**after.teams, **after.chats}
    changed = [identity for identity in things[0].keys() | things[1].keys() if things[0].get(identity) != things[1].get(identity)]
    return [identity for identity in changed if not _may_change(who, *(side.get(identity) for side in things), before)]


def _may_change(who, old, new, before):
    if old is None or old.owner == who:
        return (new or old).owner == who
    if isinstance(old, Chat) and old.team and before.teams[old.team].owner == who:  # it went with its team
        return new is None
    if new is None or who is None:
        return False
    if isinstance(old, Team):
        return (old.members - new.members, new.members - old.members) == ({who}, set())
    said = new.messages[len(old.messages) :]
    return old.added - new.added <= {who} and old.added >= new.added and all(author == who for _, author in said)


def is_clean(text):
    """Whether a text is of characters that a database can hold."""
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)


def is_line(text, longest):
    """Whether a text can be the name of a team or chat."""
    breaks = any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text.strip())
    return is_clean(text) and not breaks and 1 <= len(text.strip()) <= longest


def is_name(text):
    """Whether a text can be the first or last name of a person."""
    return is_clean(text) and text.strip().isprintable() and len(text.strip()) <= 254
