"""Whom the event log and the sums speak of: they outlive users and teams, so that the id of one who is gone is good there too."""
from proxy_gpt.errors import NotFound
from proxy_gpt.ids import is_id
from proxy_gpt.rules import teams, users


def user_id(wanted):
    """The id of the user with this id or name, who may be gone if it is an id. Raises NotFound."""
    return _id(users.by_id_or_name, wanted)


def team_id(wanted):
    """The id of a team, which may be gone. Raises NotFound for what is no id."""
    return _id(teams.by_id, wanted)


def _id(find, wanted):
    try:
        return find(wanted).id
    except NotFound:
        if is_id(wanted):
            return wanted
        raise
