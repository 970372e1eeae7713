"""The server's own configuration, whose parser makes a file `stuck` for a long body, and goes on when there is a file `go`."""
import os

from gevent.monkey import get_original

from proxy_gpt import body
from proxy_gpt.gunicorn_conf import *  # noqa: F403

_sleep, _read = get_original("time", "sleep"), body._read  # a sleep that stops whatever runs in its thread


def read_when_told(parse, query, raw, room):
    """Parse, as always, when the file is there."""
    if len(raw) > 1000:
        open("stuck", "w").close()
        while not os.path.exists("go"):
            _sleep(0.01)
    return _read(parse, query, raw, room)


body._read = read_when_told
