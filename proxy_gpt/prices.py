"""What models cost: a table of prices, this package's own or the operator's (the setting PRICES), in whole numbers throughout."""
import functools
import re
import tomllib
from decimal import Decimal
from pathlib import Path

from proxy_gpt.errors import SettingError
from proxy_gpt.money import BILLION
from proxy_gpt.snapshots import entry_of

OWN = Path(__file__).with_name("prices.toml")
KINDS = ("input", "cached_input", "output", "minute")
MOST = 10_000  # of the currency for a million tokens, so that no sum comes near what a database's integer holds
MILLION = 10**6


class Prices:
    """The price of each model, in billionths of `currency`: for a million tokens, or for a minute."""

    def __init__(self, currency, models):
        self.currency = currency
        self.models = models
        # Callers name the models: what is remembered of them has a bound.
        self.of = functools.lru_cache(maxsize=4096)(lambda model: entry_of(model, models))

    @classmethod
    def load(cls, path=""):
        """The prices of a file, or this package's own. Raises SettingError with one sentence that names PRICES and the entry."""
        read = _read(path or OWN)
        currency, models = read.get("currency"), read.get("models")
        if not isinstance(currency, str) or not re.fullmatch(r"[A-Z]{3}", currency):
            raise _wrong(path, "the entry currency must be a text of three capital letters, such as USD")
        if not isinstance(models, dict):
            raise _wrong(path, "it needs a table [models]")
        return cls(currency, {name: _checked(path, name, entry) for name, entry in models.items()})

    def knows(self, model):
        """Whether the model has a price."""
        return self.of(model) is not None

    def cost(self, model, input_tokens=None, output_tokens=None, cached_tokens=None, seconds=None):
        """Billionths of the currency, or None without a price or a count. Cached tokens are a part of the input's."""
        price = self.of(model)
        if price is None:
            return None
        if input_tokens is None and output_tokens is None:
            return None if seconds is None or "minute" not in price else round(price["minute"] * seconds / 60)
        cached = min(cached_tokens or 0, input_tokens or 0)
        counts = (("input", (input_tokens or 0) - cached), ("cached_input", cached), ("output", output_tokens or 0))
        if any(count and kind not in price for kind, count in counts):
            return None
        return (sum(count * price[kind] for kind, count in counts if count) + MILLION // 2) // MILLION

    def dearest(self, input_tokens, output_tokens):
        """Billionths that it costs at the most, whatever the model."""
        input_price, output_price = (max((model.get(kind, 0) for model in self.models.values()), default=0) for kind in ("input", "output"))
        return (input_tokens * input_price + output_tokens * output_price) // MILLION


def _read(path):
    try:
        with open(path, "rb") as file:
            return tomllib.load(file, parse_float=Decimal)
    except OSError:
        raise _wrong(path, "it cannot be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        where = re.search(r"line \d+", str(error))
        raise _wrong(path, f"it is not TOML in UTF-8 ({where[0] if where else 'look at its end'})") from None


def _checked(path, name, entry):
    """The prices of one entry in billionths."""
    if not isinstance(entry, dict) or not entry or set(entry) - set(KINDS):
        raise _wrong(path, f"the entry {name[:60]!r} must have some of input, cached_input, output and minute, and nothing else")
    for kind, price in entry.items():
        if isinstance(price, bool) or not isinstance(price, (int, Decimal)) or not Decimal(price).is_finite() or not 0 <= price <= MOST:
            raise _wrong(path, f"the entry {name[:60]!r} must have a number from 0 to {MOST} as {kind}")
    prices = {kind: round(price * BILLION) for kind, price in entry.items()}
    if "input" in prices:
        prices.setdefault("cached_input", prices["input"])
    return prices


def _wrong(path, what):
    return SettingError(f"PRICES names the file {str(path or OWN)[:200]!r}, but {what}: this package's own prices.toml is an example.")
