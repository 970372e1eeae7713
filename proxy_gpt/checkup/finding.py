"""What a look at something found."""
from dataclasses import dataclass

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True)
class Finding:
    """How something is, and where it is not well what to do."""

    level: str
    about: str
    text: str


def ok(about, text):
    """All is well."""
    return Finding(OK, about, text)


def warning(about, text):
    """It works; the operator should think about it."""
    return Finding(WARNING, about, text)


def problem(about, text):
    """It does not work."""
    return Finding(PROBLEM, about, text)
