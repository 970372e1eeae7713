"""What a process looks after now and then, so that tables do not grow with what is over."""
import logging
import threading

from proxy_gpt import db
from proxy_gpt.errors import Unavailable
from proxy_gpt.rules import messages, sessions

INTERVAL = 600  # seconds
logger = logging.getLogger(__name__)


def start(*more):
    """Do it in the background from now on; several processes may, one of them finds the work."""
    threading.Thread(target=_run, args=(more,), name="upkeep", daemon=True).start()


def _run(more):
    pause = threading.Event()
    while True:
        for duty in (sessions.drop_expired, messages.fail_forgotten, *more):
            try:
                with db.without_waiting_for_locks():
                    duty()
            except Unavailable as error:  # next time
                logger.warning("%s was put off: %s", duty.__name__, error.message)
        pause.wait(INTERVAL)
