"""Whether a store is away: found out once, in the background, so that not every request waits for it in vain."""
import logging
import threading

INTERVAL = 0.25  # seconds between looks
logger = logging.getLogger(__name__)


class Outage:
    """What is known of a store. While it is `away`, ask it nothing; while it is `doubted`, do not wait if there is another way.

    Any thread may set them. `probe` asks the store something, within a bounded time, and raises one of `errors` when it cannot.
    """

    def __init__(self, name, probe, errors):
        self.name, self.probe, self.errors = name, probe, errors
        self.away = self.doubted = False
        self.on_return = lambda: None
        threading.Thread(target=self._run, name=f"{name} watch", daemon=True).start()

    def suspect(self):
        """Somebody waited in vain; it may have been bad luck."""
        self.doubted = True

    def begin(self):
        """The store is away."""
        self.away = self.doubted = True

    def _run(self):
        pause = threading.Event()
        while True:
            pause.wait(INTERVAL)  # no event from outside: a gevent loop cannot be woken from every thread
            if self.doubted:
                self._find_out(pause)

    def _find_out(self, pause):
        told = False
        while not self._is_there():
            self.begin()
            if not told:
                logger.warning("%s is away. What needs it is refused until it is back.", self.name)
            told = True
            pause.wait(INTERVAL)
        self.away = self.doubted = False
        if told:
            logger.warning("%s is back.", self.name)
        self.on_return()

    def _is_there(self):
        try:
            self.probe()
            return True
        except self.errors:
            return False
