"""The event log."""
from peewee import BigIntegerField, CharField, FloatField, IntegerField, TextField

from proxy_gpt import clock
from proxy_gpt.ids import new_id
from proxy_gpt.models.base import Moment, Table


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
    team_id = CharField(36, null=True)  # the team that the call is charged to
    usage = CharField(12, default="")  # how the tokens are known: see `eventlog.metering`; "" where nothing was used
    cost = BigIntegerField(null=True)  # billionths of the price table's currency; null where there is no price or no count

    class Meta:
        table_name = "events"
        indexes = ((("user_id", "timestamp"), False),)
