"""What a process looks after now and then, so that tables do not grow with what is over."""
import logging
import threading

from proxy_gpt import db
from proxy_gpt.errors import Unavailable
from proxy_gpt.rules import messages, sessions

INTERVAL = 600  # seconds
logger = logging.getLogger(__name__)


def start(settings, *more):
    """Do it in the background from now on; several processes may, one of them finds the work."""
    duties = (sessions.drop_expired,), (messages.fail_forgotten, longest_reply(settings)), *((duty,) for duty in more)
    threading.Thread(target=_run, args=(duties,), name="upkeep", daemon=True).start()


def longest_reply(settings):
    """Seconds after which a prompt's reply cannot be under way any more."""
    return settings.connect_timeout + settings.upstream_timeout + settings.answer_timeout


def _run(duties):
    pause = threading.Event()
    while True:
        for duty, *arguments in duties:
            try:
                with db.without_waiting_for_locks():
                    duty(*arguments)
            except Unavailable as error:  # next time
                logger.warning("%s was put off: %s", duty.__name__, error.message)
        pause.wait(INTERVAL)
