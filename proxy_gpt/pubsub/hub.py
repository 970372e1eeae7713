"""The subscribers of one process, and what is published to them."""
from proxy_gpt.pubsub.relay import EVERYONE, PEOPLE, Relay
from proxy_gpt.pubsub.subscriber import CHANGED, CLOSING, MISSED, Subscriber


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
