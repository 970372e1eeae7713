"""Work that would hold up every other request of a gevent worker runs in a real thread; the caller alone waits for it."""
from gevent.monkey import is_module_patched
from gevent.threadpool import ThreadPool

# Two hashes at once keep two cores busy; more would only wait longer and take 16 MB each.
_threads = ThreadPool(2)


def run(function, *args):
    """What `function(*args)` returns or raises, without stopping gevent's loop; a plain call where there is none."""
    if is_module_patched("socket"):
        return _threads.apply(function, args)
    return function(*args)
