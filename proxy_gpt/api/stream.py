"""/chat/stream: a chat's messages as they come, over server-sent events or a WebSocket."""
import socket

from flask import Blueprint, Response, g, request
from simple_websocket import ConnectionClosed

from proxy_gpt import auth, fields, views
from proxy_gpt.answers import answers
from proxy_gpt.api import websocket
from proxy_gpt.api.chat import ID
from proxy_gpt.chat.stream import Stream
from proxy_gpt.current import proxy
from proxy_gpt.errors import BadRequest, NotFound, PageOfAnotherSite, ProxyError, TooMany, Unauthorized
from proxy_gpt.fields import Text, Whole, takes
from proxy_gpt.pubsub.subscriber import CLOSING
from proxy_gpt.rules import chats, sessions
from proxy_gpt.upstream.headers import EVENT_STREAM

blueprint = Blueprint("stream", __name__, url_prefix="/chat")
RETRY = 1000  # milliseconds after which an EventSource comes back
PLACE_AFTER = 15  # seconds in which a subscriber that left without a word is noticed
SSE_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
GOING_AWAY, TRY_AGAIN_LATER = 1001, 1013  # RFC 6455, section 7.4.1, and IANA's registry of close codes
FIELDS = (
    ID,
    Text("token", "A token, where neither a header nor the cookie can be sent.", None),
    Whole("last_event_id", "The `revision` of the last whole message that you have; what you missed comes first.", None, 0, (1 << 63) - 1),
)
WAYS_IN = ("bearer", "basic", "cookie", "token")
REFUSED = {BadRequest: 4400, Unauthorized: 4401, PageOfAnotherSite: 4403, NotFound: 4404, TooMany: 4429}

SPOKEN = (
    f"A WebSocket: a text frame for each StreamEvent. It is closed with {GOING_AWAY} when the server stops, with {TRY_AGAIN_LATER} when it "
    f"may be tried again, and with 4000 and the status of what is wrong otherwise: {', '.join(map(str, REFUSED.values()))}."
)


@blueprint.route("/stream", methods=("GET", "POST"))
@takes(*FIELDS)
@answers(views.EVENT, Unauthorized, PageOfAnotherSite, NotFound, TooMany, kind=EVENT_STREAM, security=WAYS_IN)
@auth.open_to_everyone  # `subscribe` identifies the caller: here the token may also be a parameter
def server_sent_events():
    """Subscribe to a chat with an EventSource or `curl -N`."""
    subscription = Subscription("sse", subscribe(), g.event)
    response = Response(subscription.lines(), content_type=EVENT_STREAM, headers=SSE_HEADERS)
    response.call_on_close(subscription.close)
    return response


@blueprint.route("/stream", websocket=True)
@takes(*FIELDS)
@answers(views.EVENT, others={101: {"description": SPOKEN}})
@auth.open_to_everyone  # as above, and who is refused is told so by a close code: browsers show no status
def web_socket():
    """Subscribe to a chat with a WebSocket: a text frame for each message. What the client sends is not read."""
    bell = websocket.Bell()
    try:
        subscription = Subscription("websocket", subscribe(), g.event)  # first: an open WebSocket misses nothing
    except ProxyError as error:
        return _refuse(websocket.accept(request.environ, bell), error)
    bell.ring = subscription.stream.subscriber.wake
    try:
        ws = websocket.accept(request.environ, bell)
    except BaseException:
        subscription.close()
        raise
    response = websocket.Spoken(lambda: subscription.talk(ws))
    response.call_on_close(subscription.close)
    return response


def _refuse(ws, error):
    g.event.settle(error.outcome, error.message)
    code, reason = REFUSED.get(type(error), TRY_AGAIN_LATER), error.message
    return websocket.Spoken(lambda: websocket.close(ws, code, reason))


def subscribe():
    """The Stream that the current request asks for. Raises ProxyError when it cannot be had."""
    form = fields.read()
    if "Last-Event-ID" in request.headers:  # what an EventSource sends when it comes back
        form.values["last_event_id"] = request.headers["Last-Event-ID"]
    caller = g.caller = auth.identify(form.token)
    g.event.of(caller.user_id, caller.capture)
    chat = chats.seen_by(caller.user_id, form.id)

    def still_allowed():
        if sessions.find(caller.digest) is None:
            raise Unauthorized("The session has ended. Log in again at /user/login.")
        chats.seen_by(caller.user_id, chat.id)

    heard = chat.revision if form.last_event_id is None else form.last_event_id
    require_place(caller.user_id)
    # An id beyond the chat's is of another chat, or of this one before a backup was restored: it would hide what is said next.
    return Stream(proxy().hub, chat, caller, min(heard, chat.revision), still_allowed)


def require_place(user_id):
    """Raise TooMany when the user has as many streams open as one may have."""
    most = proxy().settings.streams_per_user
    if len(proxy().hub.of(user_id)) >= most:
        raise TooMany(f"You have {most} streams open, and may have no more at once. Close one first.", PLACE_AFTER)


class Subscription:
    """A Stream on a connection. It outlives the request's context."""

    def __init__(self, kind, stream, record):
        self.kind = kind
        self.stream = stream
        self.record = record
        self.watch = proxy().watch
        self.socket = request.environ["gunicorn.socket"]
        self.watched = self.watch.add(self.socket, stream.subscriber)
        stream.subscriber.about = self
        stream.subscriber.on_overflow = self.drop

    def lines(self):
        """The lines of server-sent events (WHATWG HTML, section 9.2)."""
        # The id lets a client that loses the connection before its first message say where it was, too.
        yield f"retry: {RETRY}\nid: {self.stream.revision}\n\n".encode()
        for event in self.stream.events():
            line = b": ping\n\n" if event is None else f"id: {event[0]}\ndata: {event[1]}\n\n".encode()
            self.record.bytes_out += len(line)
            yield line

    def talk(self, ws):
        """The same over a WebSocket."""
        try:
            for event in self.stream.events():
                if event is not None:
                    self.record.bytes_out += len(event[1])
                    ws.send(event[1])
                elif not websocket.unread(ws):
                    return
        except (ConnectionClosed, OSError):
            return  # the client is gone
        websocket.close(ws, *_goodbye(self.stream.ended_by))

    def progress(self):
        """(model, bytes so far)."""
        return "", self.record.bytes_out

    def drop(self):
        """The client does not take what it asked for: break its connection off, or its writer would wait for ever."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it is gone already

    def close(self):
        """Forget it."""
        self.stream.subscriber.about = None
        self.watch.remove(self.watched)
        self.stream.close()


def _goodbye(ended_by):
    if isinstance(ended_by, ProxyError):
        return REFUSED.get(type(ended_by), TRY_AGAIN_LATER), ended_by.message
    if ended_by is CLOSING:
        return GOING_AWAY, "The server is stopping. Connect again."
    return TRY_AGAIN_LATER, "Too slow, or gone."
