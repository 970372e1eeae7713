"""Counts the requests of one process, and notes how it stands."""
import collections
from bisect import bisect_left

from proxy_gpt import live
from proxy_gpt.eventlog.record import OUTCOMES
from proxy_gpt.metrics.catalog import GROUPS, METHODS, OTHER, SECONDS, STATUSES, TOKENS, Catalog
from proxy_gpt.metrics.cells import Cells

LAST = len(SECONDS) + 1  # the place of the sum behind the counts
PATHS = {
    "/chat/prompt": "prompt", "/chat/stream": "stream", "/openapi.json": "docs", "/healthz": "health", "/readyz": "health", "/metrics": "health",
}  # fmt: skip
METHOD, OUTCOME, GROUP = ({value: value for value in values} for values in (METHODS, OUTCOMES, GROUPS))
STATUS = {int(status): status for status in STATUSES}


class Tally:
    """The numbers of a process, in its row of the server's cells; a process alone has cells of its own."""

    def __init__(self, settings, catalog=None, cells=None):
        self.catalog = catalog or Catalog(settings.models)
        self.cells = cells or Cells(self.catalog.width, most=1)
        self.row = self.cells.row(self.cells.take() if self.cells.mine is None else self.cells.mine)

    def count(self, record):
        """A request has ended."""
        row, catalog = self.row, self.catalog
        path = record.endpoint
        group = PATHS.get(path) or GROUP.get(path[1:].partition("/")[0], OTHER)
        row[catalog.requests.at[group, METHOD.get(record.method, OTHER), STATUS.get(record.status, OTHER)]] += 1
        row[catalog.outcomes.at[group, OUTCOME.get(record.outcome, OTHER)]] += 1
        self._time(catalog.seconds.at[(group,)], record.duration)
        if record.first_byte is not None:
            self._time(catalog.first_byte.at[(group,)], record.first_byte)
        if record.input_tokens is not None or record.output_tokens is not None:
            self._count_tokens(record)

    def _time(self, cell, seconds):
        self.row[cell + bisect_left(SECONDS, seconds)] += 1
        self.row[cell + LAST] += seconds

    def _count_tokens(self, record):
        model = self.catalog.model(record.model)
        for kind, column in TOKENS.items():
            self.row[self.catalog.tokens.at[model, kind]] += getattr(record, column) or 0
        self.row[self.catalog.cost.at[(model,)]] += record.cost or 0

    def note(self, process):
        """Note how the process stands now. `process` is a Proxy."""
        row, catalog = self.row, self.catalog
        kinds = collections.Counter(item.kind for item in live.items(process))
        for (kind,), cell in catalog.open.at.items():
            row[cell] = kinds[kind]
        waiting = process.log.waiting()
        for family, value in (
            (catalog.workers, 1), (catalog.connections, process.connections()),
            (catalog.unshipped, waiting.bytes), (catalog.in_memory, waiting.in_memory), (catalog.behind, waiting.seconds),
        ):  # fmt: skip
            row[family.at[()]] = value
