"""Chats: who takes part."""
from proxy_gpt.models import Chat, ChatUser, TeamMember


def of(user_id):
    """A query of the chats a user takes part in: own ones, ones added to, and those of the user's teams."""
    added = ChatUser.select(ChatUser.chat).where(ChatUser.user == user_id)
    teams = TeamMember.select(TeamMember.team).where(TeamMember.user == user_id)
    return Chat.select().where((Chat.user == user_id) | Chat.id.in_(added) | Chat.team.in_(teams))


def share_one(one, other):
    """Whether two users take part in the same chat."""
    theirs = of(other).select(Chat.id)
    return of(one).where(Chat.id.in_(theirs)).exists()
