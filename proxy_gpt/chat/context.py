"""The context of a prompt: the chat's last messages, from the cache as long as it is known to be true, else from the table.

A cached context carries the chat's revision. When that is not the revision of the chat's row, something ended that the
cache has not heard of (another worker wrote it, Redis was away, an operator deleted a message), and the table is read.
"""
import json
import re
import unicodedata
from dataclasses import asdict, dataclass

from proxy_gpt.db import connection
from proxy_gpt.models import ChatUser, User
from proxy_gpt.rules import messages

CACHED = 10  # messages that the cache holds of a chat, and what goes along unless the prompt says otherwise
MOST = 1000
NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")  # of a message, as OpenAI takes it
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class Context:
    """Some of a chat's last messages, oldest first, as (user id, prompt, reply), the last one's id, and the revision they were true at."""

    revision: int
    last_id: str
    messages: list


class Contexts:
    """The contexts of all chats, read through a cache."""

    def __init__(self, cache):
        self.cache = cache

    def read(self, chat, count):
        """The Context of at least the last `count` messages of a chat, if it has so many."""
        cached = self._cached(chat) if count <= CACHED else None
        if cached:
            return cached
        revision, rows = messages.history(chat.id, max(count, CACHED))
        context = Context(revision, rows[-1].id if rows else "", [(row.user_id, row.prompt, row.reply) for row in rows])
        self._keep(chat.id, context)
        return context

    def ended(self, message, context):
        """A message has ended that was sent with this context; if nothing else has ended since, the cache can go on.

        Not with one that began before another that is in the context: its place is in the middle.
        """
        if context.revision != message.revision - 1 or message.id <= context.last_id:
            return
        last_id, added = context.last_id, []
        if message.status == "complete":
            last_id, added = message.id, [(message.user_id, message.prompt, message.reply)]
        self._keep(message.chat_id, Context(message.revision, last_id, context.messages + added))

    def forget(self, chat_id):
        """The chat is deleted."""
        self.cache.forget(chat_id)

    def _cached(self, chat):
        text = self.cache.get(chat.id)
        if text is None:
            return None
        try:
            context = Context(**json.loads(text))
        except (ValueError, TypeError):  # another version of the proxy wrote it
            return None
        return context if context.revision == chat.revision else None

    def _keep(self, chat_id, context):
        self.cache.set(chat_id, json.dumps({**asdict(context), "messages": context.messages[-CACHED:]}))


def as_chat_messages(chat, context, count, author_id, prompt):
    """What goes upstream: the system prompt, the last `count` messages, the prompt; with names where several people talk."""
    prior = context.messages[-count:]
    names = _names(chat, {user_id for user_id, _, _ in prior} | {author_id})
    told = [{"role": "system", "content": chat.system}] if chat.system else []
    for user_id, asked, replied in prior:
        told.append(_said(asked, names.get(user_id)))
        if replied:
            told.append({"role": "assistant", "content": replied})
    return [*told, _said(prompt, names.get(author_id))]


def _said(text, name):
    return {"role": "user", "content": text, **({"name": name} if name else {})}


@connection()
def _names(chat, user_ids):
    """The authors' names by id; {} in a chat of one person."""
    alone = len(user_ids) == 1 and chat.team_id is None and not ChatUser.select().where(ChatUser.chat == chat.id).exists()
    if alone:
        return {}
    users = User.select(User.id, User.username).where(User.id.in_([user_id for user_id in user_ids if user_id]))
    return {user.id: _name(user) for user in users}


def _name(user):
    """A user's name in letters that OpenAI takes. Where that is not the whole of it, the end of the id tells people apart."""
    plain = unicodedata.normalize("NFKD", user.username).encode("ascii", "ignore").decode()
    name = NOT_IN_A_NAME.sub("_", plain)[:LONGEST_NAME]
    return name if name == user.username else f"{name[: LONGEST_NAME - 9]}_{user.id[-8:]}"
