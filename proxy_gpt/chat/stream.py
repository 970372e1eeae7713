"""What one subscriber of a chat is to be sent: every piece, and every whole message once and in order.

A whole message carries the chat's revision at its end. A gap between revisions shows that something was lost on the way
(Redis was away, a worker was killed): then the messages table is asked, as it is for what a returning subscriber missed.
"""
import json
import time

from proxy_gpt import views
from proxy_gpt.errors import ProxyError, Unavailable
from proxy_gpt.pubsub.subscriber import CHANGED, CLOSING, LEFT, MISSED, WAKE
from proxy_gpt.rules import messages

PING = 15  # seconds without a message after which the line is tried
RETRY = 1  # seconds after which the table is asked again when it could not be
CHECK = 60  # seconds after which the right to listen is looked at again, for what no item told (an operator's command, say)


class Stream:
    """One subscription. `close` must be called in the end."""

    def __init__(self, hub, chat, caller, revision, still_allowed):
        self.hub = hub
        self.chat_id = chat.id
        self.subscriber = hub.subscribe(chat.id, caller.user_id, caller.digest)
        self.checked_at = time.monotonic()
        self.revision = revision
        self.still_allowed = still_allowed  # raises the ProxyError that ends the stream
        self.behind = False  # the table could not be asked for what was missed
        self.ended_by = None  # CLOSING, LEFT, or that ProxyError

    def events(self):
        """Yield (revision to come back with, JSON text) for each message, and None when there is none for a while."""
        yield from self._missed()
        while not self._ends_with(item := self.subscriber.next(RETRY if self.behind else PING)):
            if item is MISSED or (item is None and self.behind):
                yield from self._missed()
            elif item in (None, CHANGED, WAKE):
                yield None
            else:
                yield from self._message(item)

    def close(self):
        """The subscriber is gone."""
        self.hub.leave(self.subscriber)

    def _ends_with(self, item):
        if item in (LEFT, CLOSING):
            self.ended_by = item
        elif item in (CHANGED, MISSED) or time.monotonic() >= self.checked_at + CHECK:
            self._check()
        return self.ended_by is not None

    def _message(self, item):
        revision, _, text = item.partition(" ")
        if revision == "-":
            yield self.revision, text
        elif int(revision) == self.revision + 1:
            self.revision += 1
            yield self.revision, text
        elif int(revision) > self.revision:
            yield from self._missed()
            if not self.behind:
                self.revision = max(self.revision, int(revision))

    def _missed(self):
        while page := self._next_page():
            for message in page:
                self.revision = message.revision
                yield self.revision, json.dumps({"message": views.message(message), "partial": False})

    def _next_page(self):
        self.behind = False
        try:
            return messages.since(self.chat_id, self.revision)
        except Unavailable:  # the database is away: a stream need not end for that, it asks again
            self.behind = True
            return ()

    def _check(self):
        self.checked_at = time.monotonic()
        try:
            self.still_allowed()
        except Unavailable:  # the database is away: who was allowed stays so until it can say otherwise
            return
        except ProxyError as error:
            self.ended_by = error
