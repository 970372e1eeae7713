"""The tables, the same on SQLite and on PostgreSQL. What people may do with them is in `rules`.

A change here needs a step in `migrations`.
"""
from proxy_gpt.models.base import Moment, proxy
from proxy_gpt.models.chain import HEAD, Head, Link, digest_of
from proxy_gpt.models.chats import Chat, ChatUser, Message, Status
from proxy_gpt.models.limits import Hold, Limit, LimitPeriod
from proxy_gpt.models.log import KINDS, Event, Kind
from proxy_gpt.models.people import LONGEST_KEY, Session, Team, TeamMember, User
from proxy_gpt.models.processes import Process
from proxy_gpt.models.usage import UsageDay

TABLES = (User, Session, Team, TeamMember, Chat, ChatUser, Message, Event, UsageDay, Limit, LimitPeriod, Hold, Link, Head, Process)

__all__ = [
    "HEAD", "KINDS", "LONGEST_KEY", "TABLES", "Chat", "ChatUser", "Event", "Head", "Hold", "Kind", "Limit", "LimitPeriod", "Link", "Message",
    "Moment", "Process", "Session", "Status", "Team", "TeamMember", "UsageDay", "User", "digest_of", "proxy",
]  # fmt: skip
