"""/chat/prompt: a question to the chat, answered at once, over the chat's stream, or (off the record) not at all."""
from flask import Blueprint, g, request

from proxy_gpt import fields, views
from proxy_gpt.answers import answers
from proxy_gpt.api.chat import ID
from proxy_gpt.auth import caps_for, charged_team
from proxy_gpt.chat import context
from proxy_gpt.current import proxy
from proxy_gpt.errors import BadRequest, Forbidden, LimitReached, NotFound, UpstreamError, UpstreamRefused, UpstreamTimeout
from proxy_gpt.fields import Flag, Text, Whole, takes
from proxy_gpt.rules import chats
from proxy_gpt.upstream.call import Call

blueprint = Blueprint("prompt", __name__, url_prefix="/chat")


@blueprint.post("/prompt")
@takes(
    ID,
    Text("prompt", "What to say.", least=1),
    Whole("context", "How many of the chat's last messages go along.", context.CACHED, 1, context.MOST),
    Flag("stream", "Answer at once with an empty reply, whose words go to all who listen at /chat/stream."),
    Flag("otr", "Off the record: kept and shown, not sent now, but context of later prompts."),
)
@answers({"reply": views.TEXT, "message": views.MESSAGE}, Forbidden, NotFound, LimitReached, UpstreamRefused, UpstreamError, UpstreamTimeout)
def prompt():
    """Send a prompt to the chat; with `stream` the reply comes over /chat/stream, with `otr` there is none."""
    form = fields.read()
    if not form.prompt.strip():
        raise BadRequest("The field 'prompt' is empty. Say something.", "prompt")
    how = form.context, form.stream, form.otr
    message = _send(chats.seen_by(g.caller.user_id, form.id), form.prompt, *how)
    return {"reply": message["reply"], "message": message}


def _send(chat, text, count, stream, otr):
    prompts = proxy().prompts
    g.event.team_id = chat.team_id or charged_team()
    g.event.caps = caps_for(g.event.team_id)
    asked = (g.event, chat, g.caller.user_id, text)
    if otr:
        return prompts.note(*asked)
    if stream:
        return prompts.ask_streamed(*asked, count)
    call = Call(proxy().watch, request.environ.get("gunicorn.socket"))
    try:
        return prompts.ask(*asked, count, call)
    finally:
        call.close()
