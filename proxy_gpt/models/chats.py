"""Chats, who was added to them, and what was said."""
from peewee import BigIntegerField, BooleanField, CharField, ForeignKeyField, TextField

from proxy_gpt.models.base import Changing, Row
from proxy_gpt.models.people import Team, User


class Chat(Changing):
    """A conversation: of its owner, the users added to it, and the members of its team if it has one.

    `revision` counts its messages as they end: whoever knows it can tell whether a cache or a stream missed one.
    """

    name = CharField(254, default="general")
    model = CharField(254, default="")
    system = TextField(default="")
    user = ForeignKeyField(User, backref="chats", index=False, on_delete="CASCADE")
    team = ForeignKeyField(Team, backref="chats", index=False, null=True, on_delete="CASCADE")
    revision = BigIntegerField(default=0)

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
