"""Looks out for sessions that ended without a word to this process: by the operator's command, or in another process.

A query for some hundreds of its subscribers at a time finds those; whose session has ended is told to look, and goes.
"""
import logging
import threading
import time

from proxy_gpt.errors import Unavailable
from proxy_gpt.pubsub.subscriber import CHANGED
from proxy_gpt.rules import sessions

INTERVAL = 0.8  # seconds, so that within one all is done; 5,000 subscribers take 30 ms of it
BATCH = 500  # sessions in a query: 2 ms of SQLite's, for which gevent's loop stands still
logger = logging.getLogger(__name__)


def start(hub):
    """Do it in the background from now on."""
    threading.Thread(target=_run, args=(hub,), name="lookout", daemon=True).start()


def look(hub):
    """Tell the subscribers whose session has ended. Raises Unavailable."""
    subscribers = hub.everybody()
    digests = list({subscriber.session for subscriber in subscribers})
    ended = set()
    for begin in range(0, len(digests), BATCH):
        batch = set(digests[begin : begin + BATCH])
        ended |= batch - sessions.in_use(batch)
        time.sleep(0)  # let the others have their turn
    for subscriber in subscribers:
        if subscriber.session in ended:
            subscriber.put(CHANGED)


def _run(hub):
    pause = threading.Event()
    while True:
        pause.wait(INTERVAL)
        try:
            look(hub)
        except Unavailable as error:  # who was allowed to listen stays so until the database can say otherwise
            logger.debug("The look at the listeners' sessions was put off: %s", error.message)
