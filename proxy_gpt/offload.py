"""Work that would hold up every other request of a gevent worker runs in a real thread; the caller alone waits for it."""
import functools
import sys


def run(function, *args):
    """What `function(*args)` returns or raises, without stopping gevent's loop; a plain call where there is none."""
    monkey = sys.modules.get("gevent.monkey")  # asked, not imported: the admin command does without gevent
    if monkey is not None and monkey.is_module_patched("socket"):
        return _threads().apply(function, args)
    return function(*args)


@functools.cache
def _threads():
    from gevent.threadpool import ThreadPool

    return ThreadPool(2)  # two hashes at once keep two cores busy; more would only wait longer and take 16 MB each
