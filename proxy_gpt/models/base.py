"""What all tables share: the database, ids in order of time, moments in UTC."""
from peewee import CharField, DatabaseProxy, Field, Model

from proxy_gpt import clock
from proxy_gpt.ids import new_id

proxy = DatabaseProxy()


class Moment(Field):
    """A moment in UTC: a timestamp on PostgreSQL, text of fixed length (so in order) on SQLite; a datetime in Python."""

    field_type = "TIMESTAMPTZ"

    def db_value(self, value):
        return value if value is None or isinstance(value, str) else clock.to_text(value)

    def python_value(self, value):
        return clock.from_text(value) if isinstance(value, str) else value


class Table(Model):
    """What all tables share."""

    class Meta:
        database = proxy


class Row(Table):
    """A table whose rows have an id of their own; ids are in order of time."""

    id = CharField(36, primary_key=True, default=new_id)
    created_at = Moment(default=clock.now)


class Changing(Row):
    """A row that people change, with the time when they last did: at first the one when it was made."""

    updated_at = Moment()

    def __init__(self, *args, **values):
        super().__init__(*args, **values)
        if self.updated_at is None:
            self.updated_at = self.created_at
