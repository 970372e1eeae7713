"""A small cache of texts: in memory, or in Redis where all workers share it. What it loses is made anew by who asks."""
import logging
from collections import OrderedDict

from redis import RedisError

LONGEST = 64 << 10  # characters of a text; a longer one is not kept
MOST = 1000  # texts kept in memory; the longest unused one goes first
KEPT_SECONDS = 86400  # in Redis, since the last change
logger = logging.getLogger(__name__)


class MemoryCache:
    """The cache of one process alone."""

    def __init__(self):
        self.texts = OrderedDict()

    def get(self, key):
        """The text of this key, or None."""
        if key in self.texts:
            self.texts.move_to_end(key)
        return self.texts.get(key)

    def set(self, key, text):
        """Keep a text."""
        self.texts.pop(key, None)
        if len(text) <= LONGEST:
            self.texts[key] = text
        if len(self.texts) > MOST:
            self.texts.popitem(last=False)

    def forget(self, key):
        """Drop a text."""
        self.texts.pop(key, None)


class RedisCache:
    """The cache of all workers. While Redis is away it is empty; nobody's prompt fails for that."""

    PREFIX = "proxy-gpt:cache:"

    def __init__(self, client):
        self.client = client

    def get(self, key):
        """The text of this key, or None."""
        return self._try(self.client.get, self.PREFIX + key)

    def set(self, key, text):
        """Keep a text for a day."""
        if len(text) > LONGEST:
            self.forget(key)
        else:
            self._try(self.client.set, self.PREFIX + key, text, ex=KEPT_SECONDS)

    def forget(self, key):
        """Drop a text."""
        self._try(self.client.delete, self.PREFIX + key)

    @staticmethod
    def _try(command, *args, **more):
        try:
            return command(*args, **more)
        except RedisError as error:  # the reader makes the text anew; what stays behind in Redis has an old revision
            logger.debug("The cache in Redis is away: %s.", type(error).__name__)
            return None
