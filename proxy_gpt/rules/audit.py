"""The admin command's actions are events too, so that nothing is done to a user without a trace."""
from contextlib import contextmanager

from proxy_gpt.db import connection
from proxy_gpt.models import proxy
from proxy_gpt.rules import chain


@contextmanager
def recorded(endpoint, params, message, user_id=None):
    """What the block does and the event that says so are one transaction: both are there, or neither.

    The event, chained to those before it, comes first: SQLite lets a transaction that begins by writing wait for its turn, but
    refuses one that has read and then writes when somebody else wrote in between.
    """
    with connection(), proxy.atomic():
        chain.append(endpoint=endpoint, params=params, message=message, user_id=user_id)
        yield


@connection()
def refused(endpoint, params, error):
    """The event of an action that a rule refused; the error says why."""
    with proxy.atomic():
        chain.append(endpoint=endpoint, params=params, message=error.message, outcome=error.outcome)
