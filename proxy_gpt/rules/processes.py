"""What the processes on this database have open: each says so for itself, the operator sees all."""
import json
from datetime import timedelta

from proxy_gpt import clock
from proxy_gpt.db import connection
from proxy_gpt.models import Process, User

UNSEEN = 30  # seconds without a word after which a process is taken to be dead


@connection()
def report(process_id, host, pid, started_at, opened):
    """Say what this process has open now, and forget the dead."""
    Process.delete().where(Process.seen_at < _lately()).execute()
    row = {"host": host, "pid": pid, "seen_at": clock.now(), "open": json.dumps(opened)}
    Process.insert(id=process_id, started_at=started_at, **row).on_conflict(conflict_target=[Process.id], update=row).execute()


@connection()
def forget(process_id):
    """This process has nothing open any more."""
    Process.delete().where(Process.id == process_id).execute()


@connection()
def open_now():
    """(what living processes have open, the oldest first; how much more they have)."""
    found, left_out = [], 0
    for process in Process.select().where(Process.seen_at >= _lately()):
        told = json.loads(process.open)
        left_out += told["more"]
        found += [{**item, "process": f"{process.host}:{process.pid}"} for item in told["items"]]
    names = dict(User.select(User.id, User.username).where(User.id.in_({item["user_id"] for item in found})).tuples())
    for item in found:
        item["username"] = names.get(item["user_id"])
    return sorted(found, key=lambda item: item["id"]), left_out


def _lately():
    return clock.now() - timedelta(seconds=UNSEEN)
