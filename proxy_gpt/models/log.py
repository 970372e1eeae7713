"""The event log."""
from peewee import SQL, BigIntegerField, CharField, ColumnBase, FloatField, IntegerField, PostgresqlDatabase, TextField

from proxy_gpt import clock
from proxy_gpt.ids import new_id
from proxy_gpt.models.base import Moment, Table, proxy

BEGINNING = 100  # characters of an endpoint in its index: PostgreSQL takes no entry of 2.7 kB


class Kind:
    """What an event is of."""

    REQUEST = "request"
    SIGNUP = "signup"
    LOGIN = "login"
    LOGOUT = "logout"
    PASSWORD = "password"
    DOCS = "docs"
    PROBE = "probe"  # something asked whether the proxy is well
    ADMIN = "admin"


KINDS = tuple(value for name, value in vars(Kind).items() if name.isupper())


class Event(Table):
    """One request, or one action of the admin command. No foreign key: the log outlives what it speaks of."""

    id = CharField(36, primary_key=True, default=new_id)
    timestamp = Moment(default=clock.now)
    kind = CharField(16, default=Kind.REQUEST)
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
    stored_at = BigIntegerField(null=True, default=clock.microseconds)  # when the row came here; a long stream's is much later than its id

    class Meta:
        table_name = "events"


class Beginning(ColumnBase):
    """The first characters of an endpoint, in an order in which a prefix is a range; that is not every PostgreSQL's own."""

    def __sql__(self, ctx):
        """As the index has it."""
        collation = ' COLLATE "C"' if isinstance(proxy.obj, PostgresqlDatabase) else ""
        return ctx.literal(f'(substr("endpoint", 1, {BEGINNING}){collation})')


def _index(column, where=None, expression=None):
    """A column and the id, so in order of time. What most rows have is left out by `where`: the log is to stay cheap."""
    where = where and SQL(where)
    Event.add_index(Event.index(expression or getattr(Event, column), Event.id, name=f"events_{column}_id", where=where))


# What is left out, and in which words: a query must repeat them, or SQLite does not use the index.
SPARSE = {"model": "\"model\" <> ''", "status": '"status" <> 200', "outcome": "\"outcome\" <> 'complete'", "kind": "\"kind\" <> 'request'"}
_index("user_id", '"user_id" IS NOT NULL')
_index("team_id", '"team_id" IS NOT NULL')
_index("endpoint", expression=Beginning())
for sparse, condition in SPARSE.items():
    _index(sparse, condition)
Event.add_index(Event.index(Event.stored_at, name="events_stored_at"))
