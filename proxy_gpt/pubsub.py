"""Who listens to which chat: subscribers of this process, and with Redis those of all processes.

With Redis, what is published goes through it and comes back, so that all subscribers see one order. A worker has one
subscription connection, however many subscribers it has.
"""
import logging
import queue
import threading

from redis import RedisError

BACKLOG = 1000  # items that may wait for a slow subscriber; then it is let go, and may come back for what it missed
BACKLOG_SIZE = 16 << 20  # characters of them; one item may be longer
CONFIRMED_WITHIN = 1  # seconds for Redis to say that a subscription stands
PULSE = 5  # seconds without a word from Redis after which it is asked for one
PAUSE = 0.5  # seconds between tries while Redis is away
CHANNEL = "proxy-gpt:chat:"
PEOPLE = ""  # the topic that every process listens to; its texts are ids of users, or
EVERYONE = ""  # look at the table, whoever you are: Redis was away, and something may have been lost
MISSED = object()  # an item: something may have been lost, look at the table
CHANGED = "changed"  # an item: who takes part has changed, look whether you still may listen
CLOSING = object()  # an item: this process stops, come back to another
WAKE = object()  # an item: the listener has something to look after
LEFT = object()  # an item: the listener is gone, or too slow
logger = logging.getLogger(__name__)


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


class Hub:
    """The subscribers of one process, by topic."""

    def __init__(self, client=None):
        self.topics = {}
        self.closing = False
        self.people = {}  # the same subscribers by user
        self.relay = Relay(client, self) if client else None

    def subscribe(self, topic, user_id, session):
        """A new Subscriber; what is published from now on reaches it. Give it to `leave` in the end."""
        subscriber = Subscriber(topic, user_id, session)
        self.topics.setdefault(topic, set()).add(subscriber)
        self.people.setdefault(user_id, set()).add(subscriber)
        if self.relay:
            self.relay.join(topic)
        if self.closing:  # a browser comes back within a second, on a connection that it still has to this process
            subscriber.put(CLOSING)
        return subscriber

    def leave(self, subscriber):
        """Forget a subscriber."""
        theirs = self.people.get(subscriber.user_id, set())
        theirs.discard(subscriber)
        if not theirs:
            self.people.pop(subscriber.user_id, None)
        subscribers = self.topics.get(subscriber.topic, set())
        subscribers.discard(subscriber)
        if not subscribers and self.topics.pop(subscriber.topic, None) is not None and self.relay:
            self.relay.part(subscriber.topic)

    def of(self, user_id):
        """A user's subscribers in this process."""
        return tuple(self.people.get(user_id, ()))

    def everybody(self):
        """All subscribers of this process."""
        return [subscriber for subscribers in self.people.values() for subscriber in subscribers]

    def publish(self, topic, text):
        """Give a text to all subscribers of a topic, in all processes."""
        if not (self.relay and self.relay.publish(topic, text)):
            self.deliver(topic, text)

    def look_again(self, user_id):
        """Let all of a user's subscribers see whether they still may listen: a session has ended."""
        self.publish(PEOPLE, user_id)

    def deliver(self, topic, text):
        """Give a text to the subscribers of this process."""
        if (topic, text) == (PEOPLE, EVERYONE):
            self.tell_all(MISSED)
        elif topic == PEOPLE:
            for subscriber in self.of(text):
                subscriber.put(CHANGED)
        for subscriber in tuple(self.topics.get(topic, ())):
            subscriber.put(text)

    def close(self):
        """The process is to stop: send its subscribers elsewhere, and those who still come."""
        self.closing = True
        self.tell_all(CLOSING)

    def tell_all(self, item):
        """Give an item to every subscriber of this process."""
        for topic in tuple(self.topics):
            self.deliver(topic, item)


class Relay:
    """The way through Redis: one connection that listens for the whole process."""

    def __init__(self, client, hub):
        self.client = client
        self.hub = hub
        self.confirmed = {}  # topic -> Event, set when Redis has confirmed the subscription
        self.pubsub = None
        self.sending = threading.Lock()  # a connection takes one command at a time
        self.away = False
        client.outage.on_return = lambda: self.publish(PEOPLE, EVERYONE)
        threading.Thread(target=self._run, name="redis-relay", daemon=True).start()

    def publish(self, topic, text):
        """Whether Redis took it."""
        try:
            self.client.publish(CHANNEL + topic, text)
            return True
        except RedisError as error:  # the caller delivers to this process at least; the others look at the table later
            logger.debug("Redis did not take a message for the chat streams: %s.", type(error).__name__)
            return False

    def join(self, topic):
        """Listen for a topic; waits, for a bounded time, until Redis confirms it."""
        confirmed = self.confirmed.get(topic)
        if confirmed is None:
            confirmed = self.confirmed[topic] = threading.Event()
            self._command("subscribe", topic)
        if not (self.away or self.client.outage.away or confirmed.wait(CONFIRMED_WITHIN)):
            self.client.outage.begin()

    def part(self, topic):
        """Listen for a topic no longer."""
        self.confirmed.pop(topic, None)
        self._command("unsubscribe", topic)

    def _command(self, name, topic):
        try:
            with self.sending:
                if self.pubsub:
                    getattr(self.pubsub, name)(CHANNEL + topic)
        except (RedisError, OSError) as error:  # the listening side sees it too, and subscribes to everything afresh
            logger.debug("Redis did not take a subscription: %s.", type(error).__name__)

    def _run(self):
        pause = threading.Event()
        while True:
            try:
                self._listen()
            except (RedisError, OSError) as error:
                self._note_away(error)
            self.pubsub = None
            pause.wait(PAUSE)

    def _note_away(self, error):
        if not self.away:  # once, not at every try
            logger.warning("The subscription in Redis broke off (%s). Trying again until it is back.", type(error).__name__)
        self.away = True

    def _listen(self):
        with self.client.pubsub() as pubsub:
            pubsub.subscribe(CHANNEL + PEOPLE, *(CHANNEL + topic for topic in self.confirmed))
            if self.away:
                logger.warning("The subscription in Redis stands again.")
            self.pubsub, self.away = pubsub, False
            for topic in tuple(self.confirmed):  # those who came while we were connecting
                self._command("subscribe", topic)
            self.hub.tell_all(MISSED)
            while True:
                self._take(self._next(pubsub))

    def _next(self, pubsub):
        """The next message. Raises TimeoutError when Redis does not answer even when it is asked to."""
        message = pubsub.get_message(timeout=PULSE)
        if message is None:
            with self.sending:
                pubsub.ping()
            message = pubsub.get_message(timeout=PULSE)
        if message is None:
            raise TimeoutError("Redis is silent.")
        return message

    def _take(self, message):
        topic = (message["channel"] or "").removeprefix(CHANNEL)
        if message["type"] == "message":
            self.hub.deliver(topic, message["data"])
        elif message["type"] == "subscribe" and topic in self.confirmed:
            self.confirmed[topic].set()
