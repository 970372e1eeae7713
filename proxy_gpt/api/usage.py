"""/usage: what one has used, or, for a team's owner, what the team has."""
from flask import Blueprint, g

from proxy_gpt import fields, views
from proxy_gpt.events import proxy
from proxy_gpt.rules import usage

blueprint = Blueprint("usage", __name__)


@blueprint.route("/usage", methods=("GET", "POST"))
def read():
    """The caller's own use, or with `team_id` that of a team of the caller's."""
    form = fields.read()
    by = form.texts("by") or ["day"]
    period = form.text("since", ""), form.text("until", "")
    team_id = form.text("team_id", "")
    report = usage.of_team(g.caller.user_id, team_id, by, *period) if team_id else usage.own(g.caller.user_id, by, *period)
    return views.usage(report, proxy().prices.currency)
