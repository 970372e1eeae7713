"""What a call used, and how that is known. This is the one place for the rule.

- Only a POST uses tokens, and of these not one that answers with a stored object: its usage was counted when it was made.
- Where the answer reports a usage, that is `exact`, whatever the path.
- Where an operation that uses tokens was let through and reports none (it was cut off, or the upstream does not tell), it is
  `estimated` from the text that went and came (see `estimate`), where there is text.
- Else it is `unknown`: sounds and pictures, what the upstream does in the background, and bodies that cannot be read.
- A report of no output beside words, or of nothing at all, is not believed: such a call is `estimated` too.
- What was refused, here or by the upstream, used nothing: "".
"""
import re

from proxy_gpt.eventlog import estimate
from proxy_gpt.eventlog.model import ModelFinder
from proxy_gpt.eventlog.usage import UsageFinder

EXACT, ESTIMATED, UNKNOWN, NOTHING = "exact", "estimated", "unknown", ""
COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "seconds")
EMBEDDINGS = re.compile(r"/v1/(?:.*/)?embeddings/?")  # their answers have no words
TEXT = re.compile(r"/v1/(?:.*/)?(?:completions|responses|responses/compact|embeddings)/?|/chat/prompt")
OTHER = re.compile(
    r"/v1/(?:.*/)?(?:audio/(?:transcriptions|translations|speech)|images/(?:generations|edits|variations)"
    r"|videos(?:/[^/]+/remix)?|threads/runs|threads/[^/]+/runs(?:/[^/]+/submit_tool_outputs)?|batches|fine_tuning/jobs|evals/[^/]+/runs)/?"
)
STORED = re.compile(r"/v1/(?:.*/)?(?:chat/completions/[^/]+|responses/[^/]+/cancel|threads/[^/]+/runs/[^/]+(?:/cancel)?)/?")


class Meter:
    """Measures one call; None stands for it where there is nothing to measure (see `for_call`)."""

    def __init__(self, endpoint, prices):
        self.prices = prices
        self.endpoint = endpoint
        self.is_text = TEXT.fullmatch(endpoint) is not None
        self.finder, self.named = UsageFinder(), ModelFinder()
        self.told, self.said = estimate.Told(), estimate.Said()

    @classmethod
    def for_call(cls, method, endpoint, prices):
        """The meter of a request, or None."""
        return None if method != "POST" or STORED.fullmatch(endpoint) else cls(endpoint, prices)

    def request_readers(self):
        """What is to be fed the text of the request."""
        return (self.told, self.named) if self.is_text else ()

    def answer_readers(self):
        """What is to be fed the text of the answer."""
        return (self.finder, self.said) if self.is_text else (self.finder,)

    def columns(self, model, whole=False, is_read=True):
        """The event's columns by now, for a call that the upstream let through, or may have.

        `whole`: its answer came to its end. `is_read`: both bodies could be read.
        """
        reported = self.finder.usage()
        found = {**reported, "usage": EXACT} if self._is_believed(reported) else self._guessed(whole, is_read)
        if found["usage"] in (EXACT, ESTIMATED):
            counts = {name: found.get(name) for name in COUNTS if name != "reasoning_tokens"}
            found["cost"] = self.prices.cost(model, **counts)
        return found

    def _is_believed(self, reported):
        tokens_in, tokens_out = reported.get("input_tokens"), reported.get("output_tokens")
        return bool(reported) and (not self.is_text or bool(tokens_out) or bool(tokens_in and not self.said.size))

    def _guessed(self, whole, is_read):
        if not self.is_text:
            return {"usage": UNKNOWN if OTHER.fullmatch(self.endpoint) else NOTHING}
        if not is_read:
            return {"usage": UNKNOWN}
        if whole and not self.said.size and not EMBEDDINGS.fullmatch(self.endpoint):
            return {"usage": UNKNOWN}  # an answer without words: what was asked for is done in the background
        said = estimate.tokens(self.said.size) or None
        return {"usage": ESTIMATED, "input_tokens": estimate.tokens(self.told.size), "output_tokens": said}
