"""Where calls of people with limits pass, or not: the one place where limits are enforced, for /v1/* and for prompts."""
from proxy_gpt.errors import Forbidden
from proxy_gpt.ledger import refusal, settling
from proxy_gpt.ledger.book import Book
from proxy_gpt.ledger.entries import UNLIMITED, Call, Exceeded, bounds_use

SECOND = 16_000  # bytes of a recording, about
NO_PRICE = "The model '{}' has no price here, and your money is limited. Use another model, or ask the operator to add it to the file that PRICES names."


class Gate:
    """The gate of one process."""

    def __init__(self, settings, prices, redis):
        self.book = Book(settings.database, redis, settings.answer_timeout)
        self.prices = prices
        self.usual_out = settings.reserve_tokens

    def admit(self, record, estimate):
        """Reserve what a call may use, under the caps of its record. `estimate` is None for one that costs nothing.

        Raises LimitReached, Forbidden for a model without a price, or Unavailable.
        """
        caps = record.caps if estimate else _requests_alone(record.caps)
        if not caps:
            return
        if any(cap.money != UNLIMITED for cap in caps):
            self._require_price(estimate.model)
        use = self._use(estimate) if bounds_use(caps) else (0, 0)
        call = Call(record.id, record.timestamp, caps, *use)
        try:
            self.book.reserve(call)
        except Exceeded as exceeded:
            raise refusal.limit_reached(exceeded, self.prices.currency) from None
        record.call = call

    def settle(self, record):
        """The event of a call is whole: what it used counts, and what was reserved for it is no more."""
        call = record.call
        if call is not None and (call.tokens or record.usage and bounds_use(call.caps)):
            self.book.settle(settling.settlement_of(record))

    def settle_interrupted(self, ids):
        """The events of calls whose process died are in the database. Raises Unavailable."""
        if self.book.shared:
            for settlement in settling.settlements_of_events(ids):
                self.book.settle(settlement)

    def _require_price(self, model):
        if model and not self.prices.knows(model):
            raise Forbidden(NO_PRICE.format(model[:100]), "model")

    def _use(self, estimate):
        """(tokens, money) that a call may use: at least one of each, so that none passes once a budget is used up.

        The money is that of the dearest way in which the model is billed.
        """
        told, said, cost = estimate.tokens_in, estimate.tokens_out, self.prices.cost
        money = cost(estimate.model, told, said)
        if money is None:  # what it gives out is not paid by tokens
            money = cost(estimate.model, told)
        by_time = cost(estimate.model, seconds=max(60, estimate.size / SECOND))
        if by_time is not None:
            money = max(money or 0, by_time)
        if money is None:  # the model is named too far behind or not at all, or it is billed in no way that is known
            money = 0 if estimate.model and not self.prices.knows(estimate.model) else self.prices.dearest(told, said)
        return max(1, told + said), max(1, money)


def _requests_alone(caps):
    return tuple(cap._replace(tokens=UNLIMITED, money=UNLIMITED) for cap in caps if cap.requests != UNLIMITED)
