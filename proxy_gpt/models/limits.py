"""Limits of users and teams, and the ledger by which they are kept."""
from peewee import BigIntegerField, CharField, CompositeKey, TextField

from proxy_gpt.models.base import Moment, Table


class Limit(Table):
    """What a subject may use at most, such as tokens_per_day. NULL: as much as it likes, whatever the default says.

    A subject is `user:ID`, `team:ID`, or for those without a limit of their own `every-user` and `every-team`. No foreign
    key, as the subject may be of either kind.
    """

    subject = CharField(48)
    name = CharField(32)
    most = BigIntegerField(null=True)  # money in billionths

    class Meta:
        table_name = "limits"
        primary_key = CompositeKey("subject", "name")


class LimitPeriod(Table):
    """What a limited subject has used in a period (`2026-01-02T03:04`, `2026-01-02` or `2026-01`), and what is held for calls under way."""

    subject = CharField(48)
    period = CharField(16)
    ends_at = Moment()
    requests = BigIntegerField()
    tokens = BigIntegerField()
    money = BigIntegerField()
    held_tokens = BigIntegerField()
    held_money = BigIntegerField()

    class Meta:
        table_name = "limit_periods"
        primary_key = CompositeKey("subject", "period")


class Hold(Table):
    """What is held for a call under way, in which periods (JSON). Its id is that of the call's event."""

    id = CharField(36, primary_key=True)
    tokens = BigIntegerField()
    money = BigIntegerField()
    periods = TextField()
    expires_at = Moment()  # without an index: there are few rows, and each is written for a call that waits

    class Meta:
        table_name = "limit_holds"
