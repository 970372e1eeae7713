"""/chat/prompt: a question to the chat, answered at once, over the chat's stream, or (off the record) not at all."""
from flask import Blueprint, current_app, g, request

from proxy_gpt import fields
from proxy_gpt.chat import context
from proxy_gpt.errors import BadRequest
from proxy_gpt.rules import chats
from proxy_gpt.upstream.call import Call

blueprint = Blueprint("prompt", __name__, url_prefix="/chat")


@blueprint.post("/prompt")
def prompt():
    """Send a prompt to the chat; with `stream` the reply comes over /chat/stream, with `otr` there is none."""
    form = fields.read()
    text = form.text("prompt")
    if not text.strip():
        raise BadRequest("The field 'prompt' is empty. Say something.", "prompt")
    count = form.whole("context", context.CACHED, 1, context.MOST)
    stream, otr = form.flag("stream", False), form.flag("otr", False)
    chat = chats.seen_by(g.caller.user_id, form.first("id", "chat_id"))
    message = _send(chat, text, count, stream, otr)
    return {"reply": message["reply"], "message": message}


def _send(chat, text, count, stream, otr):
    proxy = current_app.extensions["proxy"]
    asked = (g.event, chat, g.caller.user_id, text)
    if otr:
        return proxy.prompts.note(*asked)
    if stream:
        return proxy.prompts.ask_streamed(*asked, count)
    call = Call(proxy.watch, request.environ.get("gunicorn.socket"))
    try:
        return proxy.prompts.ask(*asked, count, call)
    finally:
        call.close()
