"""The JSON Schemas of what endpoints take and answer, made from their declarations."""
from proxy_gpt.body import FORM, JSON, MULTIPART
from proxy_gpt.fields import REQUIRED
from proxy_gpt.views import Shape


def of_answer(whole, shapes):
    """What a view answers: properties by name, or anything that `of` knows."""
    if isinstance(whole, dict) and "anyOf" not in whole and not isinstance(whole.get("type"), str):
        return _object(whole, shapes)
    return of(whole, shapes)


def of(thing, shapes):
    """A Shape as a reference to its schema among all, a list as an array of its only item; the rest is JSON Schema already."""
    if isinstance(thing, Shape):
        if thing.name not in shapes:
            shapes[thing.name] = {"description": thing.about, **_object(thing.properties, shapes, thing.optional)}
        return {"$ref": f"#/components/schemas/{thing.name}"}
    if isinstance(thing, list):
        return {"type": "array", "items": of(thing[0], shapes)}
    return {**thing, "anyOf": [of(one, shapes) for one in thing["anyOf"]]} if "anyOf" in thing else thing


def query_of(fields):
    """Fields as query parameters, of which it cannot be said that one of several must be there."""
    return [{
        "name": name, "in": "query", "required": field.default is REQUIRED and len(_ways(field)) == 1,
        "description": _about(name, field), "schema": _of_field(field),
    } for name, field in _names(fields)]  # fmt: skip


def body_of(fields):
    """Fields as a body, in any of its three forms."""
    named = {name: {**_of_field(field), "description": _about(name, field)} for name, field in _names(fields)}
    ways = [_ways(field) for field in fields if field.default is REQUIRED]
    schema = {"type": "object", "properties": named, "required": [names[0] for names in ways if len(names) == 1]}
    choices = [{"anyOf": [{"required": [name]} for name in names]} for names in ways if len(names) > 1]
    if choices:
        schema["allOf"] = choices
    return {"required": bool(ways), "content": {kind: {"schema": schema} for kind in (FORM, MULTIPART, JSON)}}


def _object(properties, shapes, optional=()):
    described = {name: of(thing, shapes) for name, thing in {**properties, **dict(optional)}.items()}
    return {"type": "object", "properties": described, **({"required": list(properties)} if properties else {})}


def _names(fields):
    """(a name, its field) for all names by which a field may come."""
    return [(name, field) for field in fields for name in (field.name, *getattr(field, "also", ()))]


def _ways(field):
    """The names of which one must be there."""
    return (field.name, *getattr(field, "also", ()), *getattr(field, "unless", ()))


def _about(name, field):
    return field.about if name == field.name else f"Another name of `{field.name}`."


def _of_field(field):
    return {**field.schema(), **({} if field.default in (REQUIRED, None, "", ()) else {"default": field.default})}
