"""The roll-up of what was used: a row for each day, user, team and model. It outlives the events that it sums up."""
from peewee import BigIntegerField, CharField, CompositeKey, DoubleField

from proxy_gpt.models.base import Table


class UsageDay(Table):
    """What a user used of a model, for a team ("" for none), on a day in UTC. No foreign key, as in the log."""

    day = CharField(10)
    user_id = CharField(36)
    team_id = CharField(36)
    model = CharField(254)
    requests = BigIntegerField()
    input_tokens = BigIntegerField()
    cached_tokens = BigIntegerField()
    output_tokens = BigIntegerField()
    reasoning_tokens = BigIntegerField()
    seconds = DoubleField()
    cost = BigIntegerField()  # billionths
    estimated = BigIntegerField()  # requests whose tokens are an estimate,
    unknown = BigIntegerField()  # or not known,
    unpriced = BigIntegerField()  # or for which there was no price

    class Meta:
        table_name = "usage_days"
        primary_key = CompositeKey("day", "user_id", "team_id", "model")
        indexes = ((("user_id", "day"), False), (("team_id", "day"), False))
