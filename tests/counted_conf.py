"""The server's own configuration, for a worker that writes down how many greenlets it has whenever it gets a signal."""
import gc
import os
import signal

from greenlet import getcurrent, greenlet

from proxy_gpt import gunicorn_conf
from proxy_gpt.gunicorn_conf import *  # noqa: F403
from tests.held import ASK, FILE


def post_worker_init(worker):
    """A worker is about to serve."""
    gunicorn_conf.post_worker_init(worker)
    signal.signal(ASK, lambda *_: write_down())


def write_down():
    """Write the number of this thread's greenlets that live to a file in the working directory."""
    gc.collect()
    main = first(getcurrent())
    with open(f"{FILE}.new", "w") as file:
        file.write(str(sum(isinstance(one, greenlet) and not one.dead and first(one) is main for one in gc.get_objects())))
    os.rename(f"{FILE}.new", FILE)


def first(one):
    """The greenlet that a thread began with, from any of its greenlets."""
    while one.parent is not None:
        one = one.parent
    return one
