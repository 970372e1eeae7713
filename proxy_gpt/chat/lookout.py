"""Looks out for what ended without a word to this process, by the operator's command or in another process: sessions, and chats.

A query for some hundreds at a time finds the subscribers whose session has ended, who are told to look, and go; and the
replies whose message was deleted, with its chat or alone, which nobody will see and somebody pays for.
"""
import logging
import threading

from proxy_gpt import live
from proxy_gpt.errors import Deleted, Unavailable
from proxy_gpt.offload import let_others_run
from proxy_gpt.pubsub.subscriber import CHANGED
from proxy_gpt.rules import messages, sessions

INTERVAL = 0.8  # seconds, so that within one all is done; 5,000 subscribers take 30 ms of it
BATCH = 500  # sessions or messages in a query: 2 ms of SQLite's, for which gevent's loop stands still
logger = logging.getLogger(__name__)


def start(process):
    """Do it in the background from now on. `process` is a Proxy."""
    threading.Thread(target=_run, args=(process,), name="lookout", daemon=True).start()


def look(process):
    """Tell the subscribers whose session has ended, and stop the replies whose message is deleted. Raises Unavailable."""
    subscribers = process.hub.everybody()
    ended = _missing({subscriber.session for subscriber in subscribers}, sessions.in_use)
    for subscriber in subscribers:
        if subscriber.session in ended:
            subscriber.put(CHANGED)
    answers = {item.message.id: item for item in live.items(process) if item.kind == "prompt"}
    for message_id in _missing(answers, messages.still_there):
        answers[message_id].call.cut(Deleted, "The chat or message was deleted before the reply was complete.")


def _missing(wanted, find):
    """Those of these keys that `find` does not find."""
    wanted, missing = list(wanted), set()
    for begin in range(0, len(wanted), BATCH):
        batch = set(wanted[begin : begin + BATCH])
        missing |= batch - find(batch)
        let_others_run()
    return missing


def _run(process):
    pause = threading.Event()
    while True:
        pause.wait(INTERVAL)
        try:
            look(process)
        except Unavailable as error:  # who was allowed to listen stays so until the database can say otherwise
            logger.debug("The look at sessions and chats was put off: %s", error.message)
