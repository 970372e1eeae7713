"""What OpenAI would answer, in few words: the shapes of its published API description, usage included."""
import json
import re

from tests.fake_openai.server import chunked, head, whole

MODEL = "gpt-4o-mini-2024-07-18"
SPEECH = bytes(range(256)) * 64
CHAT_USAGE = {
    "prompt_tokens": 24, "completion_tokens": 68, "total_tokens": 92,
    "prompt_tokens_details": {"cached_tokens": 16}, "completion_tokens_details": {"reasoning_tokens": 8},
}  # fmt: skip
RESPONSE_USAGE = {
    "input_tokens": 31, "output_tokens": 7, "total_tokens": 38,
    "input_tokens_details": {"cached_tokens": 5}, "output_tokens_details": {"reasoning_tokens": 3},
}  # fmt: skip
EMBEDDING_USAGE = {"prompt_tokens": 5, "total_tokens": 5}
SECONDS_USAGE = {"type": "duration", "seconds": 12}
SOUND_USAGE = {"type": "tokens", "input_tokens": 14, "input_token_details": {"text_tokens": 0, "audio_tokens": 14}, "output_tokens": 45, "total_tokens": 59}
RUN_USAGE = {"prompt_tokens": 20, "completion_tokens": 11, "total_tokens": 31, "prompt_token_details": {"cached_tokens": 0}}
IMAGE_USAGE = {"input_tokens": 50, "output_tokens": 1056, "total_tokens": 1106,
               "input_tokens_details": {"text_tokens": 50, "image_tokens": 0}}  # fmt: skip
COMMON = ("x-request-id: req_fake", "openai-processing-ms: 7", "openai-version: 2020-10-01",
          "x-ratelimit-remaining-requests: 99")  # fmt: skip


def answer(question):
    """The steps of the answer to a question, as OpenAI would give it."""
    path = question.target.partition("?")[0]
    for pattern, method, reply in ROUTES:
        if question.method == method and re.search(pattern + "$", path):
            return [reply(question)]
    return [error("404 Not Found", f"Unknown request URL: {question.method} {path}.", "unknown_url")]


def error(status, message, code, *headers):
    """An error as OpenAI shapes it."""
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    return whole(json.dumps(body).encode(), "application/json", status, *COMMON, *headers)


def jsonly(value, *headers):
    """A JSON answer."""
    return whole(json.dumps(value).encode(), "application/json", "200 OK", *COMMON, *headers)


def events(*payloads, named=False, done=True):
    """A stream of server-sent events."""
    frames = [(f"event: {payload['type']}\n" if named else "") + f"data: {json.dumps(payload)}\n\n" for payload in payloads]
    if done:
        frames.append("data: [DONE]\n\n")
    start = head("200 OK", "Content-Type: text/event-stream; charset=utf-8", "Transfer-Encoding: chunked", *COMMON)
    return start + chunked(*(frame.encode() for frame in frames), b"")


def models(question):
    return jsonly({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 1700000000, "owned_by": "openai"}]})


def model(question):
    return jsonly({"id": question.target.rpartition("/")[2], "object": "model", "created": 1700000000, "owned_by": "openai"})


def chat(question):
    """Repeats the last message, whole or in words."""
    asked = json.loads(question.body)
    said = asked["messages"][-1]["content"] if asked.get("messages") else ""
    text = f"You said: {said}"
    base = {"id": "chatcmpl-fake", "created": 1700000000, "model": MODEL}
    if not asked.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": text, "refusal": None},
                  "logprobs": None, "finish_reason": "stop"}  # fmt: skip
        return jsonly({**base, "object": "chat.completion", "choices": [choice], "usage": CHAT_USAGE})
    with_usage = (asked.get("stream_options") or {}).get("include_usage")
    base = {**base, "object": "chat.completion.chunk", **({"usage": None} if with_usage else {})}
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in re.findall(r"\s*\S+", text)), {}]
    chunks = [{**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]} for delta in deltas]
    if with_usage:
        chunks.append({**base, "choices": [], "usage": CHAT_USAGE})
    return events(*chunks)


def completion(question):
    """A legacy completion, whole or in words."""
    asked = json.loads(question.body)
    base = {"id": "cmpl-fake", "object": "text_completion", "created": 1700000000, "model": MODEL}
    choice = {"index": 0, "text": "Once", "logprobs": None, "finish_reason": "stop"}
    if not asked.get("stream"):
        return jsonly({**base, "choices": [choice], "usage": CHAT_USAGE})
    with_usage = (asked.get("stream_options") or {}).get("include_usage")
    return events({**base, "choices": [choice]}, *([{**base, "choices": [], "usage": CHAT_USAGE}] if with_usage else ()))


def stored_chat(question):
    """A chat completion that was kept, as it was answered then."""
    return jsonly({"id": "chatcmpl-fake", "object": "chat.completion", "model": MODEL, "choices": [], "usage": CHAT_USAGE})


def stored_response(question):
    """A response that was kept, as it was answered then."""
    return jsonly({"id": "resp_fake", "object": "response", "status": "completed", "model": MODEL, "output": [], "usage": RESPONSE_USAGE})


def run(question):
    """A run of an assistant: in the background, or as typed events."""
    begun = {"id": "run_fake", "object": "thread.run", "status": "queued", "model": MODEL, "usage": None}
    if not json.loads(question.body).get("stream"):
        return jsonly(begun)
    frames = [("thread.run.created", begun), ("thread.run.completed", {**begun, "status": "completed", "usage": RUN_USAGE})]
    start = head("200 OK", "Content-Type: text/event-stream; charset=utf-8", "Transfer-Encoding: chunked", *COMMON)
    return start + chunked(*(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode() for name, data in frames), b"event: done\ndata: [DONE]\n\n", b"")


def response(question):
    """The Responses API, whole or as typed events."""
    asked = json.loads(question.body)
    item = {"id": "msg_fake", "type": "message", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "Hello from the fake.", "annotations": []}]}  # fmt: skip
    base = {"id": "resp_fake", "object": "response", "created_at": 1700000000, "model": MODEL, "tools": [],
            "tool_choice": "auto", "parallel_tool_calls": True}  # fmt: skip
    begun = {**base, "status": "in_progress", "output": [], "usage": None}
    done = {**base, "status": "completed", "output": [item], "usage": RESPONSE_USAGE, "metadata": {}}
    if asked.get("background"):
        return jsonly({**begun, "status": "queued"})
    if not asked.get("stream"):
        return jsonly(done)
    delta = {"item_id": "msg_fake", "output_index": 0, "content_index": 0, "logprobs": []}
    return events(
        {"type": "response.created", "sequence_number": 0, "response": begun},
        {"type": "response.output_text.delta", "sequence_number": 1, "delta": "Hello from ", **delta},
        {"type": "response.output_text.delta", "sequence_number": 2, "delta": "the fake.", **delta},
        {"type": "response.completed", "sequence_number": 3, "response": done},
        named=True, done=False,
    )  # fmt: skip


def embeddings(question):
    vector = {"object": "embedding", "index": 0, "embedding": [0.1, 0.2, 0.3]}
    return jsonly({"object": "list", "data": [vector], "model": "text-embedding-3-small", "usage": EMBEDDING_USAGE})


def transcription(question):
    """Billed by seconds with whisper-1, else by tokens."""
    return jsonly({"text": "Hello.", "usage": SECONDS_USAGE if b"whisper-1" in question.body else SOUND_USAGE})


def speech(question):
    return whole(SPEECH, "audio/mpeg", "200 OK", *COMMON)


def image(question):
    return jsonly({"created": 1700000000, "data": [{"b64_json": "AAAA" * 1000}], "usage": IMAGE_USAGE})


def upload(question):
    return jsonly({"id": "file-fake", "object": "file", "bytes": question.size, "created_at": 1700000000,
                   "filename": "notes.jsonl", "purpose": "batch", "status": "processed"})  # fmt: skip


ROUTES = (
    (r"/models", "GET", models),
    (r"/models/[^/]+", "GET", model),
    (r"/chat/completions", "POST", chat),
    (r"/chat/completions/[^/]+", "GET", stored_chat),
    (r"/chat/completions/[^/]+", "POST", stored_chat),
    (r"/completions", "POST", completion),
    (r"/responses", "POST", response),
    (r"/responses/[^/]+", "GET", stored_response),
    (r"/responses/[^/]+/cancel", "POST", stored_response),
    (r"/threads/[^/]+/runs", "POST", run),
    (r"/embeddings", "POST", embeddings),
    (r"/audio/transcriptions", "POST", transcription),
    (r"/audio/speech", "POST", speech),
    (r"/images/generations", "POST", image),
    (r"/files", "POST", upload),
)
