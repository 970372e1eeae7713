"""The fields of an endpoint, declared once above its view: what is read from a request, and what the OpenAPI document says of it."""
from dataclasses import dataclass

from flask import current_app, request

from proxy_gpt import body
from proxy_gpt.characters import check_characters
from proxy_gpt.errors import BadRequest
from proxy_gpt.setting_values import SWITCH

LONGEST_NUMBER = 20  # digits
REQUIRED = object()


@dataclass(frozen=True)
class Text:
    """A text; without a default it must be there. How long it may be is for the rules to check."""

    name: str
    about: str
    default: object = REQUIRED
    least: int = 0
    most: int | None = None
    also: tuple = ()  # other names of the same thing
    unless: tuple = ()  # other fields that may be there instead

    def read(self, values):
        """Its value. Raises BadRequest naming the field."""
        name = next((name for name in (self.name, *self.also) if _only(values, name) is not None), self.name)
        value = _only(values, name)
        if value is None:
            if self.default is REQUIRED and not any(_only(values, other) for other in self.unless):
                raise BadRequest(f"The field '{name}' is missing. Send it as text.", name)
            return None if self.default is REQUIRED else self.default
        if not isinstance(value, str):
            raise BadRequest(f"The field '{name}' must be text.", name)
        return check_characters(name, value)

    def schema(self):
        """What it is, in JSON Schema."""
        longest = {"maxLength": self.most} if self.most else {}
        return {"type": "string", **({"minLength": self.least} if self.least else {}), **longest}


@dataclass(frozen=True)
class Whole:
    """A whole number from `least` to `most`."""

    name: str
    about: str
    default: object
    least: int
    most: int

    def read(self, values):
        """Its value. Raises BadRequest naming the field."""
        value = _only(values, self.name)
        if value is None:
            return self.default
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < LONGEST_NUMBER:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not self.least <= value <= self.most:
            raise BadRequest(f"The field '{self.name}' must be a whole number from {self.least} to {self.most}.", self.name)
        return value

    def schema(self):
        """What it is, in JSON Schema."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True)
class Flag:
    """A boolean: JSON's own, or one of the usual words, or 1 or 0."""

    name: str
    about: str
    default: object = False

    def read(self, values):
        """Its value. Raises BadRequest naming the field."""
        value = _only(values, self.name)
        if value is None:
            return self.default
        if isinstance(value, (str, int)):
            value = SWITCH.get(str(value).strip().lower())
        if not isinstance(value, bool):
            raise BadRequest(f"The field '{self.name}' must be true or false.", self.name)
        return value

    def schema(self):
        """What it is, in JSON Schema."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class Texts:
    """A list of texts: a JSON array, a repeated field, or a comma-separated one. It may be empty, even when the rules want more."""

    name: str
    about: str
    most: int
    default: object = ()
    unless: tuple = ()

    def read(self, values):
        """Its value. Raises BadRequest naming the field."""
        found = values.get(self.name)
        if isinstance(found, (str, body.Repeated)) or found is None:
            joined = [found] if isinstance(found, str) else found or ()
            found = [part.strip() for value in joined for part in value.split(",") if part.strip()]
        if not isinstance(found, list) or not all(isinstance(value, str) for value in found):
            raise BadRequest(f"The field '{self.name}' must be a list of texts.", self.name)
        return [check_characters(self.name, value) for value in found]

    def schema(self):
        """What it is, in JSON Schema."""
        return {"type": "array", "items": {"type": "string"}, "maxItems": self.most}


class Form:
    """What a request has of the declared fields: an attribute for each, checked when it is first asked for."""

    def __init__(self, declared, values):
        self.declared = {field.name: field for field in declared}
        self.values = values

    def __getattr__(self, name):
        if name not in self.declared:
            raise AttributeError(f"The endpoint declares no field '{name}'. Name it in @takes.")
        value = self.__dict__[name] = self.declared[name].read(self.values)
        return value


def takes(*declared):
    """Declare the fields of a view. `read` gives it those; the OpenAPI document names them."""

    def decorate(view):
        view.fields = declared
        return view

    return decorate


def read():
    """The Form of the current request, by what its view declares. Raises as `body.values`."""
    return Form(current_app.view_functions[request.endpoint].fields, body.values())


def _only(values, name):
    """The only value of a field, None when it is absent or null. Raises BadRequest when there are several."""
    value = values.get(name)
    if isinstance(value, body.Repeated):
        if len(value) > 1:
            raise BadRequest(f"The field '{name}' is there {len(value)} times. Send it once.", name)
        return value[0]
    return value
