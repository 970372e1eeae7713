"""The official client, with a token of ours as its key, must not notice that we are there."""
import io

import openai
import pytest

from tests.conftest import KEY
from tests.fake_openai import answers


@pytest.fixture
def client(proxy, alice, upstream):
    """OpenAI's own client, as Alice uses it."""
    with openai.OpenAI(api_key=alice.token, base_url=f"{proxy.url}/v1", max_retries=0, timeout=10) as client:
        yield client


def hello(**more):
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello there"}], **more}



def test_it_lists_the_models_with_the_shared_key_not_with_its_own(client, upstream, alice):
    assert [model.id for model in client.models.list()] == [answers.MODEL]
    assert upstream.question().header("Authorization") == f"Bearer {KEY}"
    assert alice.token not in str(upstream.question().headers)


def test_it_completes_a_chat_and_the_event_has_the_tokens(client, proxy):
    raw = client.chat.completions.with_raw_response.create(**hello())
    assert raw.parse().choices[0].message.content == "You said: Hello there"
    event = proxy.event(raw.headers["x-proxy-request-id"])
    assert (event["model"], event["outcome"], event["status"]) == (answers.MODEL, "complete", 200)
    assert tokens(event) == (24, 68, 16, 8)
    assert event["upstream_request_id"] == "req_fake"
    assert event["bytes_out"] == int(raw.headers["content-length"])


def test_it_streams_a_chat_and_the_event_has_the_tokens(client, proxy):
    raw = client.chat.completions.with_raw_response.create(
        **hello(stream=True, stream_options={"include_usage": True})
    )
    chunks = list(raw.parse())
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == "You said: Hello there"
    assert chunks[-1].usage.completion_tokens == 68
    event = proxy.event(raw.headers["x-proxy-request-id"])
    assert tokens(event) == (24, 68, 16, 8)
    assert (event["model"], event["outcome"]) == (answers.MODEL, "complete")


def test_a_stream_without_usage_leaves_an_estimate_not_zero(client, proxy, upstream):
    raw = client.chat.completions.with_raw_response.create(**hello(stream=True))
    list(raw.parse())
    event = proxy.event(raw.headers["x-proxy-request-id"])
    told, said = upstream.question().size, len("You said: Hello there")
    assert (event["usage"], *tokens(event)) == ("estimated", -(-told // 4), -(-said // 4), None, None)


def test_it_creates_a_response(client, proxy):
    raw = client.responses.with_raw_response.create(model="gpt-4o-mini", input="Hello")
    assert raw.parse().output_text == "Hello from the fake."
    assert tokens(proxy.event(raw.headers["x-proxy-request-id"])) == (31, 7, 5, 3)


def test_it_streams_a_response(client, proxy):
    raw = client.responses.with_raw_response.create(model="gpt-4o-mini", input="Hello", stream=True)
    events = list(raw.parse())
    assert [event.type for event in events][::3] == ["response.created", "response.completed"]
    assert tokens(proxy.event(raw.headers["x-proxy-request-id"])) == (31, 7, 5, 3)


def test_it_embeds(client, proxy):
    raw = client.embeddings.with_raw_response.create(model="text-embedding-3-small", input="Hello", encoding_format="float")
    assert raw.parse().data[0].embedding == [0.1, 0.2, 0.3]
    event = proxy.event(raw.headers["x-proxy-request-id"])
    assert tokens(event) == (5, None, None, None)
    assert event["model"] == "text-embedding-3-small"


def test_it_uploads_a_recording_to_be_transcribed(client, proxy, upstream):
    recording = bytes(range(256)) * 5000
    raw = client.audio.transcriptions.with_raw_response.create(model="whisper-1", file=("talk.mp3", io.BytesIO(recording)))
    assert raw.parse().text == "Hello."
    assert upstream.question().header("Content-Type").startswith("multipart/form-data; boundary=")
    assert upstream.question().size > len(recording)
    event = proxy.event(raw.headers["x-proxy-request-id"])
    assert event["seconds"] == 12 and event["input_tokens"] is None
    assert event["model"] == "whisper-1"
    assert event["bytes_in"] == upstream.question().size


def test_it_uploads_a_file(client, upstream):
    uploaded = client.files.create(file=("notes.jsonl", b"{}\n" * 1000), purpose="batch")
    assert uploaded.bytes == upstream.question().size
    assert b"notes.jsonl" in upstream.question().body


def test_it_downloads_speech(client, proxy):
    with client.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input="Hello") as answer:
        assert answer.read() == answers.SPEECH
        identity = answer.headers["x-proxy-request-id"]
    event = proxy.event(identity)
    assert event["response"] == f"[audio/mpeg, {len(answers.SPEECH)} bytes]"
    assert event["model"] == "tts-1"


def test_it_makes_an_image(client, proxy):
    raw = client.images.with_raw_response.generate(model="gpt-image-1", prompt="A cat")
    assert raw.parse().usage.output_tokens == 1056
    assert tokens(proxy.event(raw.headers["x-proxy-request-id"]))[:2] == (50, 1056)


def test_a_bad_request_of_the_upstream_is_the_clients_own_exception(client, upstream):
    upstream.script(answers.error("400 Bad Request", "Unknown model.", "model_not_found"))
    with pytest.raises(openai.BadRequestError, match="Unknown model."):
        client.chat.completions.create(**hello())


def test_a_rate_limit_of_the_upstream_is_the_clients_own_exception(client, upstream):
    upstream.script(answers.error("429 Too Many Requests", "Slow down.", "rate_limit_exceeded", "Retry-After: 7"))
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(**hello())
    assert caught.value.response.headers["Retry-After"] == "7"
    assert caught.value.code == "rate_limit_exceeded"


def test_a_wrong_token_is_the_clients_own_exception(proxy, upstream):
    with openai.OpenAI(api_key="wrong", base_url=f"{proxy.url}/v1", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
    assert upstream.questions == []


def test_the_clients_own_retry_mends_what_the_upstream_says_can_be_mended(client, upstream):
    upstream.script(answers.error("503 Service Unavailable", "Busy.", "busy", "retry-after-ms: 10"))
    assert client.with_options(max_retries=1).models.list().data
    assert len(upstream.questions) == 2


def tokens(event):
    return tuple(event[f"{name}_tokens"] for name in ("input", "output", "cached", "reasoning"))
