"""The members of a JSON object, one by one and with their places, also of one that is cut off."""
import json
import re

from proxy_gpt.offload import let_others_run

SPACE = re.compile(r"[ \t\r\n]*")
COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")
COMMA_OR_END = re.compile(r"[ \t\r\n]*(?:,[ \t\r\n]*|(?=\}))")
TURN = 1000  # members, after which other requests have their turn
_decode = json.JSONDecoder().raw_decode


def members(text, at=0):
    """Yield (name, value, begin, end) for each member of the object that begins there. Raises ValueError or RecursionError where it is none."""
    at = SPACE.match(text, at).end()
    if text[at : at + 1] != "{":
        raise ValueError("no object")
    at, count = SPACE.match(text, at + 1).end(), 0
    while text[at : at + 1] != "}":
        name, at = _decode(text, at)
        colon = COLON.match(text, at)
        if not isinstance(name, str) or colon is None:
            raise ValueError("no member")
        value, at = _decode(text, colon.end())
        yield name, value, colon.end(), at
        count += 1
        if count % TURN == 0:
            let_others_run()
        behind = COMMA_OR_END.match(text, at)
        if behind is None:
            raise ValueError("no end")
        at = behind.end()
