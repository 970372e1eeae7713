"""Chats: who takes part, and what each may do. Participants see a chat, its owner changes it, strangers know of none."""
from peewee import IntegrityError, Tuple

from proxy_gpt import clock
from proxy_gpt.db import connection, transaction
from proxy_gpt.errors import BadRequest, Forbidden, NotFound
from proxy_gpt.models import Chat, ChatUser, TeamMember, User
from proxy_gpt.rules import messages, names

LONGEST_SYSTEM = 32_768  # characters of a system prompt, which every prompt carries
MOST_ADDED = 1000  # users added to one chat


def of(user_id):
    """A query of the chats a user takes part in."""
    own, added, teams = _ways_in(user_id)
    return Chat.select().where(own | added | teams)


def share_one(one, other):
    """Whether two users take part in the same chat."""
    theirs = of(other).select(Chat.id)
    return of(one).where(Chat.id.in_(theirs)).exists()


@connection()
def index(user_id, limit, before=None):
    """Up to `limit` of the user's chats, last active first; those that come after the chat with the id `before`."""
    earlier = _earlier_than(seen_by(user_id, before, "before")) if before else True
    found = {}
    for way in _ways_in(user_id):  # one at a time, each by its own index; a chat may be found twice
        query = Chat.select().where(way, earlier).order_by(Chat.updated_at.desc(), Chat.id.desc()).limit(limit)
        found.update((chat.id, chat) for chat in query)
    return sorted(found.values(), key=lambda chat: (chat.updated_at, chat.id), reverse=True)[:limit]


@connection()
def by_id(chat_id):
    """The chat with this id. Raises NotFound."""
    return _found(Chat.get_or_none(Chat.id == chat_id), "id")


@connection()
def seen_by(user_id, chat_id, field="id"):
    """The chat, if the user takes part in it. Raises NotFound otherwise, whether or not there is such a chat."""
    chat = Chat.get_or_none(Chat.id == chat_id)
    return _found(chat and takes_part(user_id, chat) and chat, field)


@connection()
def owned_by(user_id, chat_id):
    """The chat, if the user owns it. Raises NotFound for strangers, Forbidden for other participants."""
    chat = seen_by(user_id, chat_id)
    if chat.user_id != user_id:
        raise Forbidden("Only the owner of the chat may do this. Ask the user whose id is the chat's user_id.")
    return chat


def takes_part(user_id, chat):
    """Whether a user is the chat's owner, was added to it, or is a member of its team."""
    return chat.user_id == user_id or _was_added(user_id, chat) or _is_in_team(user_id, chat)


@connection()
def participants(chat):
    """Everybody who takes part in a chat, by name."""
    added = ChatUser.select(ChatUser.user).where(ChatUser.chat == chat.id)
    members = TeamMember.select(TeamMember.user).where(TeamMember.team == chat.team_id)
    return list(User.select().where((User.id == chat.user_id) | User.id.in_(added) | User.id.in_(members)).order_by(User.username_key))


def create(user_id, name, model, system, team=None):
    """A new chat of the user's, in a team the user is a member of or in none. Raises BadRequest for what is too long."""
    values = _checked(name=name, model=model, system=system)
    try:
        with transaction():
            return Chat.create(user=user_id, team=team and team.id, **values)
    except IntegrityError as error:  # the team was deleted since it was looked up
        raise NotFound("There is no such team.", "team_id") from error


def update(user_id, chat_id, **changes):
    """Change the `name`, `model` or `system` of one's chat; None leaves it. Returns the chat. Raises as `owned_by`."""
    values = _checked(**{name: value for name, value in changes.items() if value is not None})
    with transaction():
        _lock(chat_id)
        owned_by(user_id, chat_id)
        if values:
            _change(chat_id, **values)
        return by_id(chat_id)


def delete(user_id, chat_id):
    """Delete one's chat; its messages and participants go with it. Raises as `owned_by`.

    The messages go first, in batches: there may be hundreds of megabytes of them.
    """
    owned_by(user_id, chat_id)
    messages.delete_of([chat_id])
    with transaction():
        _lock(chat_id)
        owned_by(user_id, chat_id)
        Chat.delete().where(Chat.id == chat_id).execute()


def add(user_id, chat_id, person):
    """Let somebody take part in one's chat; who does already stays. Raises as `owned_by`, BadRequest when it is full."""
    with transaction():
        _lock(chat_id)
        chat = owned_by(user_id, chat_id)
        if takes_part(person.id, chat):
            return
        if ChatUser.select().where(ChatUser.chat == chat_id).count() >= MOST_ADDED:
            raise BadRequest(f"The chat has {MOST_ADDED} users added to it already. Make a team for more.", "user_id")
        ChatUser.create(chat=chat_id, user=person.id)
        _change(chat_id)


def remove(user_id, chat_id, person):
    """Take somebody out of one's chat, or oneself out of another's. Raises Forbidden, NotFound for strangers.

    Raises BadRequest for who is in it by other ways than having been added: its owner and its team's members.
    """
    with transaction():
        _lock(chat_id)
        chat = seen_by(user_id, chat_id) if person.id == user_id else owned_by(user_id, chat_id)
        if person.id == chat.user_id:
            raise BadRequest("The owner of the chat cannot be removed from it. Delete the chat instead.", "user_id")
        if _is_in_team(person.id, chat):
            raise BadRequest("This user is in the chat as a member of its team. Remove the user from the team instead.", "user_id")
        ChatUser.delete().where(ChatUser.chat == chat_id, ChatUser.user == person.id).execute()


@connection()
def ids_of_team(team_id):
    """The ids of all chats of a team."""
    return [chat.id for chat in Chat.select(Chat.id).where(Chat.team == team_id)]


def _lock(chat_id):
    """Until the transaction ends, nobody else changes the chat (SQLite knows no SELECT FOR UPDATE)."""
    Chat.update(revision=Chat.revision).where(Chat.id == chat_id).execute()


def _change(chat_id, **values):
    """Change these values, if any; the chat is active now."""
    Chat.update(updated_at=clock.now(), **values).where(Chat.id == chat_id).execute()


def _ways_in(user_id):
    added = ChatUser.select(ChatUser.chat).where(ChatUser.user == user_id)
    teams = TeamMember.select(TeamMember.team).where(TeamMember.user == user_id)
    return Chat.user == user_id, Chat.id.in_(added), Chat.team.in_(teams)


def _earlier_than(chat):
    return Tuple(Chat.updated_at, Chat.id) < Tuple(clock.to_text(chat.updated_at), chat.id)


def _was_added(user_id, chat):
    return ChatUser.select().where(ChatUser.chat == chat.id, ChatUser.user == user_id).exists()


def _is_in_team(user_id, chat):
    return chat.team_id is not None and TeamMember.select().where(TeamMember.team == chat.team_id, TeamMember.user == user_id).exists()


def _checked(**values):
    for field in ("name", "model"):
        if field in values:
            values[field] = names.checked_line(field, values[field], shortest=1)
    if "system" in values:
        names.checked_text("system", values["system"], LONGEST_SYSTEM)
    return values


def _found(chat, field):
    if not chat:
        raise NotFound("There is no such chat.", field)
    return chat
