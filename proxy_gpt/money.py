"""Money: whole billionths within, decimals such as 12.50 to people."""
from decimal import Decimal

BILLION = 10**9
MOST = 10**9 * BILLION  # what a database's integer holds with room to spare


def to_text(billionths):
    """An amount as people write it, with two decimals at least."""
    whole, _, decimals = f"{Decimal(billionths).scaleb(-9):f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"


def from_text(text):
    """The billionths of an amount, from nothing to MOST. Raises ValueError."""
    try:
        billionths = Decimal(text) * BILLION
        if 0 <= billionths <= MOST and billionths == int(billionths):
            return int(billionths)
    except ArithmeticError:  # no number, or one without end
        pass
    raise ValueError("not an amount of money")
