"""The eight tables, the same on SQLite and on PostgreSQL. What people may do with them is in `rules`.

A change here needs a step in `migrations`.
"""
from peewee import (
    BigIntegerField,
    BooleanField,
    CharField,
    DatabaseProxy,
    Field,
    FloatField,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)

from proxy_gpt import clock
from proxy_gpt.ids import new_id

proxy = DatabaseProxy()
LONGEST_KEY = 508  # folding can lengthen a name of 254 characters


class Moment(Field):
    """A moment in UTC: a timestamp on PostgreSQL, text of fixed length (so in order) on SQLite; a datetime in Python."""

    field_type = "TIMESTAMPTZ"

    def db_value(self, value):
        return value if value is None or isinstance(value, str) else clock.to_text(value)

    def python_value(self, value):
        return clock.from_text(value) if isinstance(value, str) else value


class Table(Model):
    """What all tables share."""

    class Meta:
        database = proxy


class Row(Table):
    """A table whose rows have an id of their own; ids are in order of time."""

    id = CharField(36, primary_key=True, default=new_id)
    created_at = Moment(default=clock.now)


class User(Row):
    """A person who signed up. Names are taken whatever their case: `username_key` is the folded one."""

    username = CharField(254)
    username_key = CharField(LONGEST_KEY, unique=True)
    password_hash = CharField(255)
    first_name = CharField(254, default="")
    last_name = CharField(254, default="")
    updated_at = Moment(default=clock.now)
    disabled_at = Moment(null=True)  # since when the operator keeps this user out

    class Meta:
        table_name = "users"


class Session(Row):
    """A login. Only the token's digest is kept: who reads the database cannot use it."""

    digest = CharField(64, unique=True)
    user = ForeignKeyField(User, backref="sessions", on_delete="CASCADE")
    expires_at = Moment(index=True)

    class Meta:
        table_name = "sessions"


class Team(Row):
    """People who share chats. The owner is a member like the others."""

    name = CharField(30)
    description = CharField(256, default="")
    owner = ForeignKeyField(User, backref="owned_teams", on_delete="CASCADE")
    updated_at = Moment(default=clock.now)

    class Meta:
        table_name = "teams"


class TeamMember(Row):
    """That a user is in a team."""

    team = ForeignKeyField(Team, backref="memberships", on_delete="CASCADE")
    user = ForeignKeyField(User, backref="memberships", on_delete="CASCADE")

    class Meta:
        table_name = "team_members"
        indexes = ((("team", "user"), True),)


class Chat(Row):
    """A conversation: of its owner, the users added to it, and the members of its team if it has one.

    `revision` counts its messages as they end: whoever knows it can tell whether a cache or a stream missed one.
    """

    name = CharField(254, default="general")
    model = CharField(254, default="")
    system = TextField(default="")
    user = ForeignKeyField(User, backref="chats", index=False, on_delete="CASCADE")
    team = ForeignKeyField(Team, backref="chats", index=False, null=True, on_delete="CASCADE")
    revision = BigIntegerField(default=0)
    updated_at = Moment(default=clock.now)

    class Meta:
        table_name = "chats"


for whose in (Chat.user, Chat.team):  # in the order of the list of chats
    Chat.add_index(Chat.index(whose, Chat.updated_at, Chat.id, name=f"chats_{whose.column_name}_updated_at_id"))


class ChatUser(Row):
    """That a user was added to a chat. The owner needs no row."""

    chat = ForeignKeyField(Chat, backref="added", on_delete="CASCADE")
    user = ForeignKeyField(User, backref="added_to", on_delete="CASCADE")

    class Meta:
        table_name = "chat_users"
        indexes = ((("chat", "user"), True),)


class Status:
    """How a message stands."""

    COMPLETE = "complete"
    STREAMING = "streaming"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Message(Row):
    """A prompt and its reply. `status` is one of complete, streaming, failed, cancelled.

    Its id is that of the event of its request. Its `revision` is the chat's when it ended: the order in which messages end.
    """

    chat = ForeignKeyField(Chat, backref="messages", index=False, on_delete="CASCADE")
    user = ForeignKeyField(User, backref="messages", null=True, on_delete="SET NULL")
    prompt = TextField()
    reply = TextField(default="")
    model = CharField(254, default="")
    otr = BooleanField(default=False)
    status = CharField(16)
    error = TextField(default="")
    revision = BigIntegerField(null=True)
    input_tokens = BigIntegerField(null=True)
    output_tokens = BigIntegerField(null=True)

    class Meta:
        table_name = "messages"
        indexes = ((("chat", "id"), True), (("chat", "revision"), False))


Message.add_index(Message.index(Message.id, name="messages_streaming", where=Message.status == Status.STREAMING))


class Event(Table):
    """One request, or one action of the admin command. No foreign key: the log outlives what it speaks of."""

    id = CharField(36, primary_key=True, default=new_id)
    timestamp = Moment(index=True, default=clock.now)
    kind = CharField(16, default="request")
    client_ip = CharField(64, default="")
    user_id = CharField(36, null=True)
    method = CharField(32, default="")
    endpoint = TextField(default="")
    params = TextField(default="")
    status = IntegerField(null=True)
    duration = FloatField(default=0)  # seconds
    request = TextField(default="")
    response = TextField(default="")
    message = TextField(default="")
    model = CharField(254, default="")
    outcome = CharField(24, default="complete")
    input_tokens = BigIntegerField(null=True)
    output_tokens = BigIntegerField(null=True)
    cached_tokens = BigIntegerField(null=True)
    reasoning_tokens = BigIntegerField(null=True)
    seconds = FloatField(null=True)  # what transcriptions are billed by
    upstream_request_id = CharField(254, default="")
    bytes_in = BigIntegerField(default=0)
    bytes_out = BigIntegerField(default=0)

    class Meta:
        table_name = "events"
        indexes = ((("user_id", "timestamp"), False),)


TABLES = (User, Session, Team, TeamMember, Chat, ChatUser, Message, Event)
