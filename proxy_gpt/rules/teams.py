"""Teams: who is in them."""
from proxy_gpt.db import connection
from proxy_gpt.models import Team, TeamMember


@connection()
def of(user_id):
    """The teams a user is a member of, oldest first."""
    return list(Team.select().join(TeamMember).where(TeamMember.user == user_id).order_by(Team.id))
