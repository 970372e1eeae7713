"""Somebody who listens to a chat, and the items that wait for it: texts, and words of our own."""
import queue

BACKLOG = 1000  # items that may wait for a slow subscriber; then it is let go, and may come back for what it missed
BACKLOG_SIZE = 16 << 20  # characters of them; one item may be longer
MISSED = object()  # an item: something may have been lost, look at the table
CHANGED = "changed"  # an item: who takes part has changed, look whether you still may listen
CLOSING = object()  # an item: this process stops, come back to another
WAKE = object()  # an item: the listener has something to look after
LEFT = object()  # an item: the listener is gone, or too slow


class Subscriber:
    """A user who listens to a topic, by a session. `next` waits for the next item."""

    def __init__(self, topic, user_id, session):
        self.topic = topic
        self.user_id = user_id
        self.session = session  # the digest of its token
        self.items = queue.SimpleQueue()
        self.size = 0  # characters that wait
        self.full = False
        self.on_overflow = None
        self.about = None  # the connection of the listener: see `live`

    def next(self, timeout):
        """The next item, or None when none comes in so many seconds."""
        try:
            item = self.items.get(timeout=timeout)
        except queue.Empty:
            return None
        self.size -= _size(item)
        return item

    def put(self, item):
        """Give it an item. Who does not take them is let go."""
        if self.full:
            return
        size = self.size + _size(item)
        if self.items.qsize() < BACKLOG and (size <= BACKLOG_SIZE or not self.size):
            self.size = size
            self.items.put(item)
            return
        self.full = True
        self.items.put(LEFT)
        if self.on_overflow:
            self.on_overflow()

    def wake(self):
        """Let `next` return, with WAKE, if nothing else comes."""
        self.put(WAKE)

    def cut(self):
        """The listener's connection is closed."""
        self.items.put(LEFT)

    stop = cut  # the process ends


def _size(item):
    return len(item) if isinstance(item, str) else 0
