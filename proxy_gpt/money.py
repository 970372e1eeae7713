"""Money: whole billionths within, decimals such as 12.50 to people."""
import re
from decimal import Decimal

AMOUNT = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,9})?")
BILLION = 10**9
MOST = 10**9 * BILLION  # what a database's integer holds with room to spare


def to_text(billionths):
    """An amount as people write it, with two decimals at least."""
    whole, _, decimals = f"{Decimal(billionths).scaleb(-9):f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"


def from_text(text):
    """The billionths of an amount, from nothing to MOST. Raises ValueError."""
    billionths = int(Decimal(text) * BILLION) if AMOUNT.fullmatch(text) else None
    if billionths is None or billionths > MOST:
        raise ValueError("not an amount of money")
    return billionths
