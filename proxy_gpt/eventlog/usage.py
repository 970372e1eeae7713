"""Token usage, found in a body that streams by, without parsing its chunks as JSON.

Every usage object is behind the key "usage", in chat completions, responses, embeddings, transcriptions and images alike,
streamed or not; inside JSON strings the quotes are escaped, so that the key cannot be mistaken for words of the model.
The last usage of a body is its total.
"""
import json
import re

USAGE = re.compile(rb'"usage"\s*:\s*\{')
LONGEST = 4096  # bytes of a usage object
OVERLAP = 64  # bytes kept of a chunk, for a key that is cut by its end
MOST = 1 << 32  # tokens or seconds of one call; no sum of them comes near what a database's integer holds
DETAILS = ("tokens_details", "token_details")  # the second one in sounds and in runs
BESIDE_INPUT = ("cache_read_input_tokens", "cache_creation_input_tokens")
CANDIDATES = 4  # usage objects remembered; the last that is one counts
_decode = json.JSONDecoder().raw_decode


class UsageFinder:
    """Remembers the beginning of what follows the last few "usage" keys."""

    def __init__(self):
        self.tail = b""
        self.found = []

    def feed(self, chunk):
        """Look through the next chunk."""
        if self.found and len(self.found[-1]) < LONGEST:
            self.found[-1] += chunk[:LONGEST]
        text = self.tail + chunk
        for match in USAGE.finditer(text):
            if match.end() > len(self.tail):
                self.found.append(text[match.end() - 1 : match.end() + LONGEST])
                del self.found[:-CANDIDATES]
        self.tail = text[-OVERLAP:]

    def usage(self):
        """The columns of the event that the last usage object fills; {} when the body had none."""
        for text in reversed(self.found):
            columns = read_usage(text)
            if columns:
                return columns
        return {}


def read_usage(text):
    """The columns for a usage object that `text` begins with; {} when it is not one, or not whole."""
    try:
        usage, _ = _decode(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    columns = {
        "input_tokens": _input(usage),
        "output_tokens": _count(usage, "completion_tokens", "output_tokens"),
        "cached_tokens": _cached(usage),
        "reasoning_tokens": _detail(usage, "reasoning_tokens", "completion", "output"),
    }
    read = {name: int(value) for name, value in columns.items() if value is not None}
    seconds = _count(usage, "seconds")
    return read if seconds is None else {**read, "seconds": seconds}


def _count(usage, *names):
    for name in names:
        value = usage.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < MOST:
            return value
    return None


def _input(usage):
    """All tokens of the input. Anthropic's own report leaves out those that its cache was read or written for."""
    whole = _count(usage, "prompt_tokens")
    if whole is not None:
        return whole
    parts = [_count(usage, name) for name in ("input_tokens", *BESIDE_INPUT)]
    return None if all(part is None for part in parts) else sum(part or 0 for part in parts)


def _cached(usage):
    """The tokens of the input that came from a cache: OpenAI's spellings, then Anthropic's, DeepSeek's and Moonshot's."""
    found = _detail(usage, "cached_tokens", "prompt", "input")
    return _count(usage, "cache_read_input_tokens", "prompt_cache_hit_tokens", "cached_tokens") if found is None else found


def _detail(usage, name, *directions):
    for place in (f"{direction}_{details}" for direction in directions for details in DETAILS):
        if isinstance(usage.get(place), dict):
            return _count(usage[place], name)
    return None
