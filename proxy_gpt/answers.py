"""What an endpoint answers, declared once above its view, for the OpenAPI document."""
from dataclasses import dataclass, field

from proxy_gpt.body import JSON


@dataclass(frozen=True)
class Answer:
    """A view's answers: the whole one (a Shape, or properties by name), the errors it can raise, and what else it may say."""

    whole: object
    errors: tuple
    kind: str = JSON
    security: tuple = ()  # of a view that is open to everyone and looks itself who it is: names in `openapi.SECURITY`, "" for nobody
    link: str = ""  # to what says more
    others: dict = field(default_factory=dict)  # {status: {"description": …}}, as OpenAPI has it


def answers(whole, *errors, **more):
    """Declare what a view answers, beside the errors that any endpoint may answer."""

    def decorate(view):
        view.answer = Answer(whole, errors, **more)
        return view

    return decorate
