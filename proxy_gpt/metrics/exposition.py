"""The numbers as the text that Prometheus reads."""
import platform

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder

from proxy_gpt import __version__, db


class Collector:
    """What one process can say: the sums over all workers, and which stores it can reach itself."""

    def __init__(self, process):
        self.process = process

    def collect(self):
        """Yield the metrics."""
        tally = self.process.tally
        self.process.aftermath.flush()
        tally.note(self.process)
        rows = tally.cells.rows()
        yield from (family.family(rows) for family in tally.catalog.families)
        yield _gauge("database_up", "Whether the database can be reached, as far as is known.", 0 if db.is_doubted() else 1)
        if self.process.redis:
            yield _gauge("redis_up", "Whether Redis can be reached, as far as is known.", 0 if self.process.redis.outage.away else 1)
        yield _gauge("build_info", "The program.", 1, version=__version__, python=platform.python_version())


def text(process, accept):
    """(the text as bytes, its content type) in the form that the header Accept asks for."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(process))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _gauge(name, words, value, **labels):
    gauge = GaugeMetricFamily(f"proxy_gpt_{name}", words, labels=labels)
    gauge.add_metric(labels.values(), value)
    return gauge
