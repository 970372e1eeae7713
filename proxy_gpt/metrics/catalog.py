"""All metrics, and the values that their labels may have: nobody who calls can make one more."""
import functools
from http import HTTPStatus

from proxy_gpt.eventlog.record import OUTCOMES
from proxy_gpt.metrics.families import Counts, Gauges, Times, Worst
from proxy_gpt.money import BILLION
from proxy_gpt.snapshots import entry_of

OTHER = "other"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
STATUSES = tuple(str(status.value) for status in HTTPStatus)
GROUPS = ("v1", "user", "chat", "team", "prompt", "stream", "usage", "docs", "health")
KINDS = ("call", "prompt", "sse", "websocket")  # of what is open: see `live`
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
TOKENS = {"input": "input_tokens", "output": "output_tokens", "cached": "cached_tokens", "reasoning": "reasoning_tokens"}


class Catalog:
    """The metrics of a server with this setting MODELS. Each attribute is a family, with its cells in a row."""

    def __init__(self, models):
        self.models = {model: model for _, model in models}
        self.found = functools.lru_cache(maxsize=4096)(lambda name: entry_of(name, self.models))  # of every call
        self.families = []
        self.width = 0
        endpoint = {"endpoint": (*GROUPS, OTHER)}
        model = {"model": (*self.models, OTHER)}
        self.requests = self._add(Counts, "requests", "Requests that have ended.", **endpoint, method=(*METHODS, OTHER), status=(*STATUSES, OTHER))
        self.outcomes = self._add(Counts, "outcomes", "How requests ended.", **endpoint, outcome=(*OUTCOMES, OTHER))
        self.seconds = self._add(Times, "request_seconds", "Time from a request's head to its last byte.", bounds=SECONDS, **endpoint)
        self.first_byte = self._add(Times, "first_byte_seconds", "Time until the upstream's first byte.", bounds=SECONDS, endpoint=("v1", "prompt"))
        self.tokens = self._add(Counts, "tokens", "Tokens, reported or estimated; cached and reasoning ones are among the others.", **model, kind=tuple(TOKENS))
        self.cost = self._add(Counts, "cost", "What answers cost, in the currency of the prices.", unit=BILLION, **model)
        self.passing = self.width  # from here on: how things stand now
        self.workers = self._add(Gauges, "workers", "Workers that serve.")
        self.open = self._add(Gauges, "open", "Calls, prompts and chat streams that are open.", kind=KINDS)
        self.connections = self._add(Gauges, "database_connections", "Connections to the database in use.")
        self.unshipped = self._add(Gauges, "events_journal_bytes", "Bytes of events that the database does not have yet.")
        self.in_memory = self._add(Gauges, "events_in_memory", "Events that wait for room on the journal's disk.")
        self.behind = self._add(Worst, "events_waiting_seconds", "How long the oldest event has been waiting for the database.")

    def _add(self, make, name, text, **more):
        family = make(self.width, name, text, **more)
        self.width = family.end
        self.families.append(family)
        return family

    def passing_cells(self):
        """The cells that are worth nothing when their process is dead."""
        return range(self.passing, self.width)

    def model(self, name):
        """The label for a model that somebody named: one of MODELS, or that of which it is a snapshot."""
        return self.found(name) or OTHER
