"""What is published goes through Redis and comes back, for all processes."""
import logging
import threading

from redis import RedisError

from proxy_gpt.pubsub.subscriber import MISSED

CONFIRMED_WITHIN = 1  # seconds for Redis to say that a subscription stands
PULSE = 5  # seconds without a word from Redis after which it is asked for one
PAUSE = 0.5  # seconds between tries while Redis is away
CHANNEL = "proxy-gpt:chat:"
PEOPLE = ""  # the topic that every process listens to; its texts are ids of users, or
EVERYONE = ""  # look at the table, whoever you are: Redis was away, and something may have been lost
logger = logging.getLogger(__name__)


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
            self.pubsub = pubsub
            for topic in tuple(self.confirmed):  # those who came while we were connecting
                self._command("subscribe", topic)
            while True:
                self._take(self._next(pubsub))

    def _note_return(self):
        if self.away:
            logger.warning("The subscription in Redis stands again.")
        self.away = False
        self.hub.tell_all(MISSED)  # not before Redis has confirmed it: what is published from now on comes here

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
        elif message["type"] == "subscribe" and topic == PEOPLE:
            self._note_return()
        elif message["type"] == "subscribe" and topic in self.confirmed:
            self.confirmed[topic].set()
