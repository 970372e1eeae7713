"""What an operator should know before people do: each setting, store and limit looked at, with a word about what to do.

Nothing is made or changed by looking, and nothing secret is in what is said. It does without the server.
"""
from proxy_gpt.checkup import machine, settings, stores, upstream
from proxy_gpt.config import FILE


def examine(chosen, faults, database_is_named, leave_trace):
    """Yield a Finding for each thing looked at. `chosen` are the Settings, `faults` pairs of a name and what is wrong with it.

    `database_is_named` says that the database is not that of the settings. `leave_trace` writes an event, which shows that one can be
    written. Where a setting at fault would say which database, Redis or upstream is meant, none is looked at.
    """

    def is_known(*names):
        return not {name for name, _ in faults} & {FILE, *names}

    yield from settings.examine(chosen, [sentence for _, sentence in faults])
    yield from machine.examine(chosen)
    if database_is_named or is_known("DB_ADDRESS", "DATABASE_URL"):
        yield from stores.examine_database(chosen, leave_trace)
    if is_known("REDIS_ADDRESS", "REDIS_URL", "REDIS_SKIP_VERIFY"):
        yield from stores.examine_redis(chosen)
    if is_known("API_URL", "API_KEY"):
        yield from upstream.examine(chosen)
