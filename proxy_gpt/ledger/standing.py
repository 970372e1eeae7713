"""How somebody stands: each limit with what is used and held of it now, for `/usage` and the operator."""
from proxy_gpt import money
from proxy_gpt.ledger.entries import LENGTHS, UNLIMITED, subject
from proxy_gpt.rules import limits

NO_LIMIT = "unlimited"


def of_user(book, user_id):
    """A dictionary for each limit that holds for a user."""
    return _standing(book, subject("user", user_id), limits.that_hold(user_id).get(None, {}))


def of_teams(book, user_id, team_ids):
    """The same for teams of the user's, by their ids."""
    found = limits.that_hold(user_id, team_ids)
    return {team_id: _standing(book, subject("team", team_id), found.get(team_id, {})) for team_id in team_ids}


def plain(name, value):
    """The value of a limit as JSON has it: money as a text, so that nothing is rounded."""
    if value == UNLIMITED:
        return NO_LIMIT
    return money.to_text(value) if name.startswith("money") else value


def _standing(book, whose, limit):
    caps = limits.caps(whose, limit)
    amounts = dict(zip([cap.length for cap in caps], book.now(caps) if caps else (), strict=True))
    rows = []
    for name in (name for name in limits.NAMES if name in limit):
        quantity, _, period = name.partition("_per_")
        found = amounts[LENGTHS[period]]
        values = {"most": limit[name], "used": getattr(found, quantity), "held": getattr(found, f"held_{quantity}", 0)}
        rows.append({"limit": name, **{key: plain(name, value) for key, value in values.items()}})
    return rows
