"""What is open in each process, for whoever wants to see all of it in one place."""
from peewee import BigIntegerField, CharField, TextField

from proxy_gpt import clock
from proxy_gpt.ids import new_id
from proxy_gpt.models.base import Moment, Table


class Process(Table):
    """A process that serves and has something open. It writes its own row; one that was not seen for a while is dead."""

    id = CharField(36, primary_key=True, default=new_id)
    host = CharField(254)
    pid = BigIntegerField()
    started_at = Moment(default=clock.now)
    seen_at = Moment(default=clock.now)
    open = TextField()  # a JSON list of the oldest: see `live`

    class Meta:
        table_name = "processes"
