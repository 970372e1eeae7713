"""Work that would hold up every other request of a gevent worker: in a real thread, or with turns for the others.

Work in a thread must not use the models' database: its pool has gevent's locks, and of those one that two threads want at once may
stay locked for ever.
"""
import functools
import os
import sys
import time
from threading import get_native_id

TURN = 1e-15  # seconds: too few to wait; with 0 gevent would look for new requests only once in some fifty turns
NICER = 5  # steps by which this work steps back behind gevent's loop, where both want the same core


def run(function, *args):
    """What `function(*args)` returns or raises, without stopping gevent's loop; a plain call where there is none."""
    monkey = sys.modules.get("gevent.monkey")  # asked, not imported: the admin command does without gevent
    if monkey is not None and monkey.is_module_patched("socket"):
        value, error = _threads().apply(_in_thread, (function, args))
        if error is not None:
            raise error
        return value
    return function(*args)


def let_others_run():
    """Let the other requests of this worker have a turn."""
    time.sleep(TURN)


def _in_thread(function, args):
    """Return (value, None) or (None, error): gevent would print the traceback of an error that a thread raises."""
    if sys.platform == "linux":  # where each thread has a priority of its own
        own = os.getpriority(os.PRIO_PROCESS, os.getpid())
        os.setpriority(os.PRIO_PROCESS, get_native_id(), min(19, own + NICER))
    try:
        return function(*args), None
    except Exception as error:
        return None, error


@functools.cache
def _threads():
    from gevent.threadpool import ThreadPool

    return ThreadPool(8)  # at most two each for passwords, long bodies and lines that nobody reads, so that the rest need not wait
