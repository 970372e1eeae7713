"""One event in the making: what is known of a request so far, and how it ended."""
import time

from proxy_gpt.eventlog.policy import FULL, POLICIES, may_keep
from proxy_gpt.ids import new_id
from proxy_gpt.models import Event

FIELDS = [field for field in Event._meta.sorted_fields if field.name != "stored_at"]  # which the shipper fills in
COLUMNS = tuple(field.name for field in FIELDS)
DEFAULTS = {field.name: None if field.default is None or callable(field.default) else field.default for field in FIELDS}
KEPT = {policy: [may_keep(policy, name) for name in COLUMNS] for policy in POLICIES}


class Outcome:
    """How a request ended."""

    COMPLETE = "complete"
    CLIENT_GONE = "client_gone"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_TRUNCATED = "upstream_truncated"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"


OUTCOMES = tuple(value for name, value in vars(Outcome).items() if name.isupper())


class Record:
    """An event: an attribute for each column of the events table."""

    __slots__ = (*COLUMNS, "capture", "started", "settled", "detached", "first_byte", "caps", "call")

    def __init__(self, method="", endpoint="", client_ip="", params="", capture=FULL):
        for name, value in DEFAULTS.items():
            setattr(self, name, value)
        self.id = new_id()
        self.timestamp = _text_now()
        self.capture = capture  # the policy: see policy.py
        self.started = time.perf_counter()
        self.settled = False
        self.detached = False  # somebody else finishes it, later than the response
        self.first_byte = None  # seconds until the upstream said something
        self.caps = ()  # the limits that it comes under,
        self.call = None  # and what was reserved of them
        self.method = method
        self.endpoint = endpoint
        self.client_ip = client_ip
        self.params = params

    def of(self, user_id, capture):
        """Say whose request it is, and that user's own policy if there is one."""
        self.user_id = user_id
        self.capture = capture or self.capture

    def settle(self, outcome, message=""):
        """Say how it ended; the first word counts, later ones are consequences of it."""
        if not self.settled:
            self.settled = True
            self.outcome = outcome
            self.message = message

    def take_first_byte(self):
        """Take the time: the upstream has begun to answer."""
        self.first_byte = time.perf_counter() - self.started

    def end(self):
        """Take the time: the last byte is out."""
        self.duration = round(time.perf_counter() - self.started, 6)

    def fill(self, columns):
        """Take the values of some columns."""
        for name, value in columns.items():
            setattr(self, name, value)

    def row(self, **presumed):
        """The values in the order of COLUMNS, or those `presumed`, as far as they may be kept: this is all that reaches a disk.

        PostgreSQL takes no NUL, and anybody may send one.
        """
        values = [getattr(self, name) if name not in presumed else presumed[name] for name in COLUMNS]
        if self.capture != FULL:
            values = [value if kept else DEFAULTS[name] for name, value, kept in zip(COLUMNS, values, KEPT[self.capture], strict=True)]
        return [value.replace("\0", "\ufffd") if isinstance(value, str) else value for value in values]


def _text_now():
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}Z"
