"""/usage: what one has used, or, for a team's owner, what the team has."""
from flask import Blueprint, g

from proxy_gpt import fields, views
from proxy_gpt.answers import answers
from proxy_gpt.errors import Forbidden, NotFound
from proxy_gpt.current import proxy
from proxy_gpt.fields import Text, Texts, takes
from proxy_gpt.ledger import standing
from proxy_gpt.rules import usage

blueprint = Blueprint("usage", __name__)
TEAM = Text("team_id", "A team that the caller owns: its use, not the caller's.", "")
BY = Texts("by", "What there is a line for: `day`, `model`, `team`, or `user` of a team; or several of these. By day when left out.", len(usage.BY))
SINCE = Text("since", "The first day, in UTC: YYYY-MM-DD, or 30d for the last thirty days.", "")
UNTIL = Text("until", "The last day, in the same form; today when left out.", "")


@blueprint.route("/usage", methods=("GET", "POST"))
@takes(TEAM, BY, SINCE, UNTIL)
@answers(views.STANDING, Forbidden, NotFound)
def read():
    """The caller's own use, or with `team_id` that of a team of the caller's."""
    form = fields.read()
    by, period = form.by or ["day"], (form.since, form.until)
    who, team_id, book = g.caller.user_id, form.team_id, proxy().gate.book
    if team_id:
        report, limits = usage.of_team(who, team_id, by, *period), standing.of_teams(book, who, [team_id])[team_id]
    else:
        report, limits = usage.own(who, by, *period), standing.of_user(book, who)
    return {**views.usage(report, proxy().prices.currency), "limits": limits}
