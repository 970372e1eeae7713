"""Kinds of metrics: where in a row their cells are, and what they look like to Prometheus. All values of labels are known beforehand."""
import itertools

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily


class Counts:
    """A number that grows, for each combination of the labels' values; those that never came are not told."""

    kind = CounterMetricFamily
    quiet = True

    def __init__(self, first, name, text, unit=1, **labels):
        self.name, self.text, self.unit = name, text, unit  # a cell counts in units, of so many to one of the metric
        self.labels = tuple(labels)
        self.at = {values: first + number for number, values in enumerate(itertools.product(*labels.values()))}
        self.end = first + len(self.at)

    def family(self, rows):
        """It, summed over the rows."""
        family = self.kind(f"proxy_gpt_{self.name}", self.text, labels=self.labels)
        for values, cell in self.at.items():
            value = self._together(row[cell] for row in rows)
            if value or not self.quiet:
                family.add_metric(values, value / self.unit)
        return family

    _together = staticmethod(sum)


class Gauges(Counts):
    """A number that says how things stand now."""

    kind = GaugeMetricFamily
    quiet = False


class Worst(Gauges):
    """The same, of which the largest of all workers is told."""

    _together = staticmethod(max)


class Times:
    """How long something took: how many took at most so many seconds, and all of it."""

    def __init__(self, first, name, text, bounds, **labels):
        self.name, self.text, self.bounds = name, text, bounds
        self.labels = tuple(labels)
        self.width = len(bounds) + 2  # those that took longer than the last bound, and the sum
        self.at = {values: first + number * self.width for number, values in enumerate(itertools.product(*labels.values()))}
        self.end = first + len(self.at) * self.width

    def family(self, rows):
        """It, summed over the rows."""
        family = HistogramMetricFamily(f"proxy_gpt_{self.name}", self.text, labels=self.labels)
        for values, cell in self.at.items():
            *counts, seconds = (sum(row[cell + place] for row in rows) for place in range(self.width))
            totals = list(itertools.accumulate(counts))
            if totals[-1]:
                family.add_metric(values, list(zip([*map(str, self.bounds), "+Inf"], totals, strict=True)), seconds)
        return family
