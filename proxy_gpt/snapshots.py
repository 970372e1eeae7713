"""Which names mean the same model: a snapshot such as gpt-4o-2024-08-06 is its model, and so is what follows a colon."""
import re

BEHIND = re.compile(r"(?:-\d{4}(?:-\d\d-\d\d)?)?(?::.*)?", re.DOTALL)  # what may follow a model's name: a date, an owner or a tag


def entry_of(model, table):
    """What the table has under the longest name that is the model's, or that it is a snapshot of; else None."""
    for end in range(len(model), 0, -1):
        found = table.get(model[:end])
        if found is not None and BEHIND.fullmatch(model, end):
            return found
    return None
