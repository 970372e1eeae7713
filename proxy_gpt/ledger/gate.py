"""Where calls of people with limits pass, or not: the one place where limits are enforced, for /v1/* and for prompts."""
from proxy_gpt.errors import Forbidden
from proxy_gpt.ledger import refusal, settling
from proxy_gpt.ledger.book import Book
from proxy_gpt.ledger.entries import UNLIMITED, Call, Exceeded

SECOND = 16_000  # bytes of a recording, about
NO_PRICE = "The model '{}' has no price here, and your money is limited. Use another model, or ask the operator to add it to the file that PRICES names."


class Gate:
    """The gate of one process."""

    def __init__(self, settings, prices, redis):
        self.book = Book(settings.database, redis, settings.answer_timeout)
        self.prices = prices
        self.usual_out = settings.reserve_tokens

    def admit(self, record, estimate):
        """Reserve what a call may use, under the caps of its record. `estimate` is None for one that uses no tokens.

        Raises LimitReached, Forbidden for a model without a price, or Unavailable.
        """
        caps = record.caps if estimate else _requests_alone(record.caps)
        if not caps:
            return
        tokens = money = 0
        if estimate and any(cap.is_of_use for cap in caps):
            tokens = estimate.tokens_in + estimate.tokens_out
            money = self._money(estimate, any(cap.money != UNLIMITED for cap in caps))
        call = Call(record.id, record.timestamp, caps, tokens, money)
        try:
            self.book.reserve(call)
        except Exceeded as exceeded:
            raise refusal.of(exceeded, self.prices.currency) from None
        record.call = call

    def settle(self, record):
        """The event of a call is whole: what it used counts, and what was reserved for it is no more."""
        call = record.call
        if call is not None and (call.tokens or call.money or record.usage) and any(cap.is_of_use for cap in call.caps):
            self.book.settle(settling.of(record))

    def settle_interrupted(self, ids):
        """The events of calls whose process died are in the database. Raises Unavailable."""
        if self.book.shared:
            for settlement in settling.of_events(ids):
                self.book.settle(settlement)

    def _money(self, estimate, is_limited):
        if not estimate.model:  # it is named too far behind, or not at all
            return self.prices.dearest(estimate.tokens_in, estimate.tokens_out)
        if is_limited and not self.prices.knows(estimate.model):
            raise Forbidden(NO_PRICE.format(estimate.model[:100]), "model")
        costs = (
            self.prices.cost(estimate.model, estimate.tokens_in, estimate.tokens_out),
            self.prices.cost(estimate.model, estimate.tokens_in),  # what it gives out is not paid by tokens
            self.prices.cost(estimate.model, seconds=max(60, estimate.size / SECOND)),
        )
        return next((cost for cost in costs if cost is not None), 0)


def _requests_alone(caps):
    return tuple(cap._replace(tokens=UNLIMITED, money=UNLIMITED) for cap in caps if cap.requests != UNLIMITED)
