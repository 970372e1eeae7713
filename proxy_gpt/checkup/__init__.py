"""What an operator should know before people do: each setting, store and limit looked at, with a word about what to do.

Nothing is made or changed by looking, and nothing secret is in what is said. It does without the server.
"""
from proxy_gpt.checkup import machine, settings, stores, upstream


def examine(chosen, faults, leave_trace):
    """Yield a Finding for each thing looked at. `chosen` are the Settings, `faults` the sentences about bad ones.

    `leave_trace` writes an event, which shows that one can be written.
    """
    yield from settings.examine(chosen, faults)
    yield from machine.examine(chosen)
    yield from stores.examine_database(chosen, leave_trace)
    yield from stores.examine_redis(chosen)
    yield from upstream.examine(chosen)
