"""Messages: a prompt is written down before it is sent, and its end, whatever it is, moves the chat's revision."""
from datetime import timedelta

from peewee import IntegrityError

from proxy_gpt import clock
from proxy_gpt.db import connection, transaction
from proxy_gpt.errors import NotFound
from proxy_gpt.models import Chat, Message, Status, proxy
from proxy_gpt.rules import batches

SLACK = 60  # seconds in which a prompt is sent upstream, and its end written down
PAGE = 50  # rows of history read at once
FEW = 10  # messages read at once to be told, whatever their size
HISTORY = 4 << 20  # characters of history that are read at once, at the most
INTERRUPTED = "The proxy's process ended before the reply was complete. Send the prompt again."


@connection()
def begin(message_id, chat, user_id, prompt, model):
    """Write down a prompt whose reply is awaited. Raises NotFound when the chat is gone."""
    try:
        return Message.create(id=message_id, chat=chat.id, user=user_id, prompt=prompt, model=model, status=Status.STREAMING)
    except IntegrityError as error:  # it was deleted since the caller saw it
        raise NotFound("There is no such chat.", "id") from error


@connection()
def note(message_id, chat, user_id, prompt):
    """Write down a message that is not sent to the AI now (off the record). Raises NotFound when the chat is gone."""
    with proxy.atomic():
        return Message.create(
            id=message_id, chat=chat.id, user=user_id, prompt=prompt, otr=True, status=Status.COMPLETE,
            revision=_next_revision(chat.id),
        )  # fmt: skip


@connection()
def keep_piece(message):
    """Write down what has arrived of a reply, in case that the process does not live to see its end."""
    Message.update(reply=message.reply).where(Message.id == message.id, Message.status == Status.STREAMING).execute()


@connection()
def finish(message):
    """Write down how a message ended: its reply, status, error and usage. Raises NotFound when its chat is gone."""
    with proxy.atomic():
        message.revision = _next_revision(message.chat_id)
        message.save()


@connection()
def since(chat_id, revision):
    """The messages that ended after a revision of the chat, in the order in which they ended, a few at a time."""
    query = Message.select().where(Message.chat == chat_id, Message.revision > revision)
    return list(query.order_by(Message.revision).limit(FEW))


@connection()
def still_there(ids):
    """Those of the ids, some hundreds at most, whose messages are not deleted; one query for all."""
    return {identity for (identity,) in Message.select(Message.id).where(Message.id.in_(list(ids))).tuples()}


@connection()
def history(chat_id, count):
    """(revision, the last `count` messages that count as context, oldest first), as far as HISTORY goes."""
    revision = Chat.select(Chat.revision).where(Chat.id == chat_id).scalar()
    return revision, _newest(count, Message.chat == chat_id, Message.status == Status.COMPLETE)


@connection()
def page(chat_id, limit, before=None):
    """Up to `limit` of the messages sent before the one with the id `before`, or the last ones, oldest first.

    At least one, if there is one, and as many as HISTORY allows.
    """
    return _newest(limit, Message.chat == chat_id, before=before)


def delete(message_id):
    """Delete a message; the chat's revision moves on, so that no cache brings it back. Raises NotFound."""
    with transaction():
        message = Message.get_or_none(Message.id == message_id)
        if message is None:
            raise NotFound(f"There is no message with the id '{message_id}'.", "id")
        _next_revision(message.chat_id)
        message.delete_instance()


def delete_of(chat_ids):
    """Delete all messages of these chats, a batch at a time."""
    for chat_id in chat_ids:
        with transaction():  # no cache may bring one back, even if this ends halfway
            Chat.update(revision=Chat.revision + 1).where(Chat.id == chat_id).execute()
        for _ in batches.delete(lambda after, size, chat_id=chat_id: _ids(chat_id, after, size), _delete, rest=0):
            continue


@connection()
def _ids(chat_id, after, most):
    found = Message.select(Message.id).where(Message.chat == chat_id, Message.id > after)
    return [identity for (identity,) in found.order_by(Message.id).limit(most).tuples()]


@connection()
def _delete(ids):
    return Message.delete().where(Message.id.in_(ids)).execute()


@connection()
def fail_interrupted(ids):
    """The processes that awaited these messages' replies are gone: what had arrived is all there will be."""
    for message in Message.select().where(Message.id.in_(ids), Message.status == Status.STREAMING):
        _fail(message)


@connection()
def fail_forgotten(longest):
    """Messages that have been streaming for longer than any reply takes, in seconds: their process and its journal are gone."""
    long_ago = clock.now() - timedelta(seconds=longest + SLACK)
    for message in Message.select().where(Message.status == Status.STREAMING, Message.created_at < long_ago):
        _fail(message)


def _fail(message):
    message.status, message.error = Status.FAILED, INTERRUPTED
    try:
        finish(message)
    except NotFound:  # its chat was deleted meanwhile, and the message with it
        return


def _next_revision(chat_id):
    """Move a chat's revision on; the chat stays locked until the transaction ends, so that revisions become visible in order."""
    changed = Chat.update(revision=Chat.revision + 1, updated_at=clock.now()).where(Chat.id == chat_id)
    row = next(iter(changed.returning(Chat.revision).execute()), None)
    if row is None:
        raise NotFound("There is no such chat.", "id")
    return row.revision


def _newest(count, *conditions, before=None):
    """The last `count` messages that fit, oldest first, read in pages: long ones must not all be in memory."""
    newest, size = [], 0
    while len(newest) < count:
        limit = min(PAGE, count - len(newest))
        earlier = (Message.id < before,) if before else ()
        rows = list(Message.select().where(*conditions, *earlier).order_by(Message.id.desc()).limit(limit))
        for message in rows:
            size += len(message.prompt) + len(message.reply)
            if size > HISTORY and newest:
                return newest[::-1]
            newest.append(message)
        if len(rows) < limit:
            break
        before = rows[-1].id
    return newest[::-1]
