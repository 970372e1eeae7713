"""/v1/* is verbatim: what the upstream sends is what the caller gets, byte for byte and as it comes; and the other way."""
import gzip
import hashlib
import select
import threading

import pytest

from tests.conftest import KEY
from tests.fake_openai import HANG_UP, RESET, chunked, head, whole
from tests.server import error_of, eventually
from tests.wire import WEB_SOCKET, Wire, bearer, elsewhere, seconds_until

SSE = "Content-Type: text/event-stream"
CHUNKED = "Transfer-Encoding: chunked"
GUARDS = [("x-content-type-options", "nosniff"), ("content-security-policy", "sandbox; default-src 'none'")]
PROXYS_OWN = ("server", "date", "connection", "transfer-encoding", "x-proxy-request-id", "x-accel-buffering", *dict(GUARDS))
UNTYPED = ("empty chunked", "without type")

ODD_EVENTS = (b"da", b'ta: {"a":', b"1}\n", b"\ndata: [DO", b"NE]\n\n")
ANSWERS = {
    "json": whole(b'{"a": 1}', "application/json", "200 OK", "x-request-id: req_1", "x-ratelimit-limit-tokens: 9"),
    "events with odd borders": head("200 OK", SSE, CHUNKED) + chunked(*ODD_EVENTS, b""),
    "gzip": whole(gzip.compress(b'{"a": 1}' * 500), "application/json", "200 OK", "Content-Encoding: gzip"),
    "binary": whole(bytes(range(256)) * 900, "audio/mpeg"),
    "created": whole(b"{}", "application/json", "201 Created", "Location: https://elsewhere/v1/x"),
    "redirect": whole(b"", "text/plain", "307 Temporary Redirect", "Location: https://elsewhere/v1/x"),
    "no content": head("204 No Content", "x-request-id: req_2"),
    "not modified": head("304 Not Modified", 'ETag: "x"', "Content-Type: application/json"),
    "bad request": whole(b'{"error": {}}', "application/json", "400 Bad Request", "x-should-retry: false"),
    "rate limit": whole(b'{"error": {}}', "application/json", "429 Too Many", "Retry-After: 3", "retry-after-ms: 2500"),
    "server error": whole(b"<html>oops</html>", "text/html", "500 Oops"),
    "chunked": head("200 OK", "Content-Type: text/plain", CHUNKED) + chunked(b"one", b"two" * 70000, b""),
    "empty chunked": head("200 OK", CHUNKED) + chunked(b""),
    "with a length of none": whole(b"", "text/plain"),
    "without type": head("200 OK", "Content-Length: 3") + b"abc",
    "without type or body": head("200 OK", "Content-Length: 0"),
    "twice the same header": whole(b"{}", "application/json", "200 OK", "Via: a", "Via: b"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_caller_gets_what_the_upstream_sent(sqlite_proxy, dora, upstream, name):
    upstream.script(ANSWERS[name])
    with Wire(sqlite_proxy) as wire:
        status, headers = wire.ask("GET", "/v1/thing", bearer(dora))
        body, ended = wire.body(headers, status=status)
    sent_status, sent_headers, sent_body = taken_apart(ANSWERS[name])
    assert (status, body, ended) == (sent_status, sent_body, True)
    typed = [("content-type", "application/octet-stream")] if name in UNTYPED else []
    assert [pair for pair in headers if pair[0] not in PROXYS_OWN] == sent_headers + typed
    assert [pair for pair in headers if pair[0] in dict(GUARDS)] == GUARDS


@pytest.mark.parametrize("said", [("Content-Type:",), ("content-type: ", "X-Content-Type-Options: none"), ()])
@pytest.mark.parametrize("framing", [CHUNKED, "Content-Length: 3", "X-Framing: none"])
def test_a_body_of_no_type_is_bytes_to_a_browser(sqlite_proxy, dora, upstream, said, framing):
    body = chunked(b"<b>", b"") if framing == CHUNKED else b"<b>"
    upstream.script(head("200 OK", framing, *said) + body, HANG_UP)
    with Wire(sqlite_proxy) as wire:
        _, headers = wire.ask("GET", "/v1/files/f/content", bearer(dora))
        assert [value for name, value in headers if name == "content-type"] == ["application/octet-stream"]
        assert [pair for pair in headers if pair[0] in dict(GUARDS)] == GUARDS
        assert wire.body(headers) == (b"<b>", True)


OF_ITS_ORIGIN = (
    "Strict-Transport-Security: max-age=9", "Alt-Svc: h3=x", "NEL: {}", "Report-To: {}", "Reporting-Endpoints: x", 'Clear-Site-Data: "*"',
    "Service-Worker-Allowed: /", "Refresh: 0; url=https://elsewhere", "Access-Control-Allow-Origin: *", "Access-Control-Allow-Credentials: true",
    "Access-Control-Max-Age: 5", "Set-Cookie: sess=x; Path=/", "Set-Cookie2: a=b", "Public-Key-Pins: x", "Public-Key-Pins-Report-Only: x",
    "Expect-CT: x", "Cross-Origin-Opener-Policy: x", "Cross-Origin-Resource-Policy: cross-origin", "Origin-Agent-Cluster: ?1", "Permissions-Policy: x",
    "Feature-Policy: x", "Document-Policy: x", "Referrer-Policy: unsafe-url", "Timing-Allow-Origin: *", "Accept-CH: DPR", "Critical-CH: DPR",
    "Content-Security-Policy: default-src *", "Content-Security-Policy-Report-Only: x", "X-Content-Type-Options: x", "Speculation-Rules: x",
    "Use-As-Dictionary: x", "Set-Login: logged-in", "Origin-Trial: x", "X-Accel-Redirect: /internal", "X-Sendfile: /etc/passwd",
)  # fmt: skip
WHOSE_KEY = ("openai-organization: org-1", "OpenAI-Project: proj-1")
OF_THE_ANSWER = ("x-request-id: r", "openai-processing-ms: 5", "openai-version: 1", "x-ratelimit-limit-tokens: 9", "Retry-After: 1", "Content-Disposition: x",
                 "Location: /x", "Link: <x>; rel=next", "Cache-Control: no-cache", "ETag: x", "Access-Controller: x", "Originator: x")  # fmt: skip


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "302 Found"])
@pytest.mark.parametrize("kind", ["text/html", "text/event-stream"])
def test_what_the_upstream_says_of_its_own_origin_or_key_goes_no_further(sqlite_proxy, dora, upstream, status, kind):
    upstream.script(whole(b"<p>", kind, status, *OF_ITS_ORIGIN, *WHOSE_KEY, *OF_THE_ANSWER))
    with Wire(sqlite_proxy) as wire:
        _, headers = wire.ask("GET", "/v1/thing", bearer(dora))
    length = () if kind == "text/event-stream" else (("content-length", "3"),)
    assert [pair for pair in headers if pair[0] not in PROXYS_OWN] == [("content-type", kind), *length, *pairs_of(OF_THE_ANSWER)]
    assert [pair for pair in headers if pair[0] in dict(GUARDS)] == GUARDS


def pairs_of(lines):
    """(lower-case name, value) of header lines."""
    return [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]


@pytest.mark.parametrize("method", ["GET", "PROPFIND", "HEAD"])
@pytest.mark.parametrize(("target", "lines", "status"), [
    ("/v1/models", (), 401), ("/v1/models", ("Authorization: Bearer x",), 401), ("/v1/..", None, 400), ("/%761/models", None, 400),
    ("/v1/models", ("Expect: nothing",), 417), ("/v1/models", ("no colon",), 400), ("/v1/" + "x" * 9000, (), 414), ("/v1/realtime", WEB_SOCKET, 401),
    ("/v1/realtime", None, 502),
])  # fmt: skip
def test_an_error_of_the_proxy_below_v1_is_no_page_either(sqlite_proxy, dora, upstream, method, target, lines, status):
    upstream.script(HANG_UP)
    with Wire(sqlite_proxy) as wire:
        answered, headers = wire.ask(method, target, *((bearer(dora),) if lines is None else lines))
    assert answered == status
    assert [pair for pair in headers if pair[0] in dict(GUARDS)] == GUARDS
    assert [value for name, value in headers if name == "cache-control"] == ["no-store"]


@pytest.mark.parametrize("body", [b"", b"unframed " * 50000])
def test_an_answer_that_ends_with_the_connection_arrives_whole(sqlite_proxy, dora, upstream, body):
    upstream.script(head("200 OK", "Content-Type: text/plain") + body, HANG_UP)
    with Wire(sqlite_proxy) as wire:
        _, headers = wire.ask("GET", "/v1/thing", bearer(dora))
        assert wire.body(headers) == (body, True)


def test_a_head_answer_keeps_its_length_and_has_no_body(sqlite_proxy, dora, upstream):
    upstream.script(head("200 OK", "Content-Type: text/plain", "Content-Length: 12345"))
    with Wire(sqlite_proxy) as wire:
        status, headers = wire.ask("HEAD", "/v1/thing", bearer(dora))
        assert (status, dict(headers)["content-length"]) == (200, "12345")
        assert wire.ask("GET", "/v1/models", bearer(dora))[0] == 200  # the connection goes on
    assert sqlite_proxy.event(dict(headers)["x-proxy-request-id"])["outcome"] == "complete"


def test_what_the_upstreams_connection_header_names_stays_with_the_proxy_unless_it_says_how_to_read_the_body(sqlite_proxy, dora, upstream):
    body = gzip.compress(b'{"a": 1}')
    extra = ("X-Early: 1", "Connection: keep-alive, X-Hop", "Connection: Content-Encoding,content-type ,x-early", "X-Hop: 1", "Keep-Alive: timeout=5")
    upstream.script(whole(body, "application/json", "200 OK", "Content-Encoding: gzip", *extra))
    with Wire(sqlite_proxy) as wire:
        _, headers = wire.ask("GET", "/v1/models", bearer(dora))
        assert wire.body(headers) == (body, True)
    assert not {"x-early", "x-hop", "keep-alive"} & dict(headers).keys()
    assert (dict(headers)["content-encoding"], dict(headers)["content-type"]) == ("gzip", "application/json")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "QUERY"])
def test_every_method_passes_with_its_body(sqlite_proxy, dora, upstream, method):
    upstream.script(whole(b"{}"))
    assert dora.request(method, "/v1/thing", data=b"\x00body\xff").status_code == 200
    asked = upstream.question()
    assert (asked.method, asked.target, asked.body, asked.framed_by) == (method, "/v1/thing", b"\x00body\xff", "length")


TARGETS = [
    "/v1/responses/r?stream=true&starting_after=3", "/v1/x?include[]=a&include[]=b", "/v1/x?", "/v1/x?q=%2f%2F+%20&&=",
    "/v1/models/org%2Fname", "/v1//double", "/v1/a;b=c/d:e@f", "/v1/%E2%82%AC", "/v1/trailing/", "/v1/", "/v1/x?a=b?c=d/../e",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_the_path_and_the_query_pass_byte_for_byte(sqlite_proxy, dora, upstream, target):
    upstream.script(whole(b"{}"))
    with Wire(sqlite_proxy) as wire:
        assert wire.ask("GET", target, bearer(dora))[0] == 200
    assert upstream.question().target == target.removesuffix("?")


@pytest.mark.parametrize("target", [
    "/v1/../admin", "/v1/..%2fadmin", "/v1/%2e%2e/admin", "/v1/%252e%252e%252fadmin", "/v1/a/..", "/v1/./x", "/v1/a%5c..%5cb",
    "/v1/x%00y", "/v1/x%0d%0aHost:evil", "/v1/x#fragment",
])  # fmt: skip
def test_no_path_leads_out_of_v1(sqlite_proxy, dora, upstream, target):
    with Wire(sqlite_proxy) as wire:
        assert wire.ask("GET", target, bearer(dora))[0] in (400, 404)
    assert upstream.questions == []


def test_an_absolute_target_goes_to_our_upstream_and_nowhere_else(sqlite_proxy, dora, upstream):
    with Wire(sqlite_proxy) as wire:
        assert wire.ask("GET", "http://example.com/v1/models?x=1", bearer(dora))[0] == 200
    assert upstream.question().target == "/v1/models?x=1"


FROM_FRONTS = (
    "CF-Connecting-IP", "CF-Visitor", "CF-Ray", "Cf-Access-Jwt-Assertion", "Cf-Access-Authenticated-User-Email", "CDN-Loop", "Via", "X-Real-IP",
    "True-Client-IP", "X-Client-IP", "Client-IP", "Fastly-Client-IP", "Fastly-SSL", "X-Original-Forwarded-For", "X-Original-URL", "X-Envoy-Peer-Metadata",
    "X-Amzn-Trace-Id", "X-Amzn-Oidc-Data", "X-Amzn-Oidc-Accesstoken", "X-Cloud-Trace-Context", "X-Goog-Iap-Jwt-Assertion",
    "X-Goog-Authenticated-User-Email", "X-Auth-Request-Email", "X-Auth-Request-Access-Token", "X-MS-CLIENT-PRINCIPAL", "X-MS-CLIENT-PRINCIPAL-NAME",
    "X-MS-TOKEN-AAD-ACCESS-TOKEN", "Remote-User", "Remote-Email", "X-Remote-User", "X-WebAuth-User", "Tailscale-User-Login", "X-Cluster-Client-IP",
    "X-Azure-ClientIP", "X-ARR-ClientCert", "CloudFront-Viewer-Address", "X-Amz-Cf-Id", "Fly-Client-IP", "X-Vercel-Id", "X-Appengine-User-Email",
    "X-Request-Start", "X-Authentik-Jwt", "X-Pomerium-Jwt-Assertion", "X-Userinfo", "X-Access-Token", "X-Consumer-Username", "SSL-Client-Cert",
    "X-Client-Cert", "X-SSL-Client-S-DN", "Proxy-Client-IP", "X-Forwarded-Email",
)  # fmt: skip
FROM_BROWSERS = ("Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Dest", "Sec-CH-UA", "Sec-GPC")


def test_the_upstream_gets_the_callers_headers_less_those_that_are_ours(sqlite_proxy, dora, upstream):
    passed = [
        ("Accept", "text/event-stream"), ("OpenAI-Beta", "assistants=v2"), ("User-Agent", "OpenAI/Python 3"),
        ("Idempotency-Key", "k1"), ("X-Client-Request-Id", "c1"), ("X-Stainless-Lang", "python"),
        ("Content-Type", 'multipart/form-data; boundary="a b"'), ("Accept-Encoding", "gzip, br"), ("Traceparent", "00-1"),
        ("OpenAI-Anything", "1"), ("X-Goog-Api-Key", "mine"), ("X-Request-Id", "r1"), ("X-Originator", "codex"), ("Second", "1"), ("Remote", "1"),
        ("X-Amzn-Bedrock-GuardrailIdentifier", "g1"),
    ]  # fmt: skip
    dropped = [
        ("Cookie", f"sess={dora.token}"), ("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "http"), ("Forwarded", "for=1"),
        ("Connection", "keep-alive, X-Secret-Hop"), ("X-Secret-Hop", "1"), ("Keep-Alive", "timeout=9"), ("TE", "trailers"),
        ("Proxy-Authorization", "Basic x"), ("OpenAI-Organization", "org-1"), ("OpenAI-Project", "proj-1"), ("api-key", "mine"),
        ("Upgrade", "h2c"), ("x-api-key", dora.token),
    ]  # fmt: skip
    upstream.script(whole(b"{}"))
    with Wire(sqlite_proxy) as wire:
        lines = [f"{name}: {value}" for name, value in passed + dropped]
        assert wire.ask("POST", "/v1/thing", bearer(dora), *lines, body=b"x")[0] == 200
    arrived = {name.lower(): value for name, value in upstream.question().headers}
    expected = {name.lower(): value for name, value in passed}
    host = upstream.url.removeprefix("http://")
    assert arrived == {**expected, "host": host, "authorization": f"Bearer {KEY}", "content-length": "1"}


@pytest.mark.parametrize("names", [FROM_FRONTS, FROM_BROWSERS])
@pytest.mark.parametrize("change", [str, str.upper, str.lower])
def test_what_a_front_or_a_browser_says_for_this_server_goes_no_further(sqlite_proxy, dora, upstream, names, change):
    with Wire(sqlite_proxy) as wire:
        assert wire.ask("GET", "/v1/models", bearer(dora), *(f"{change(name)}: same-origin" for name in names))[0] == 200
    assert {name.lower() for name, _ in upstream.question().headers} == {"host", "authorization"}


def test_where_the_operator_allows_it_organization_and_project_pass_both_ways(start, upstream):
    server = start(ALLOW_ORGANIZATION="true")
    upstream.script(whole(b"{}", "application/json", "200 OK", *WHOSE_KEY))
    with Wire(server) as wire:
        _, headers = wire.ask("GET", "/v1/models", bearer(server.person("Eve")), *WHOSE_KEY, "Origin: null")
    assert [pair for pair in headers if pair[0].startswith("openai-")] == pairs_of(WHOSE_KEY)
    assert [(name.lower(), value) for name, value in upstream.question().headers if name.lower().startswith(("openai-", "origin"))] == pairs_of(WHOSE_KEY)


def test_a_caller_without_user_agent_or_encodings_gets_none_added(sqlite_proxy, dora, upstream):
    with Wire(sqlite_proxy) as wire:
        wire.ask("GET", "/v1/models", bearer(dora))
    assert {name.lower() for name, _ in upstream.question().headers} == {"host", "authorization"}


@pytest.mark.parametrize(("path", "known", "status", "code"), [
    ("/v1/realtime?model=gpt-realtime", False, 401, "invalid_api_key"), ("/v1/realtime?model=gpt-realtime", True, 501, "websocket_not_supported"),
    ("/user/session", True, 400, "bad_request"),
])  # fmt: skip
def test_a_web_socket_that_cannot_be_had_is_refused_in_a_sentence(sqlite_proxy, dora, upstream, path, known, status, code):
    with Wire(sqlite_proxy, source=elsewhere()) as wire:
        wire.send("\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *([bearer(dora)] if known else ()), *WEB_SOCKET, "", ""]).encode())
        answered, error = wire.error()
        assert (answered, error["code"], "WebSocket" in error["message"]) == (status, code, known)
    event = eventually(lambda: sqlite_proxy.events(endpoint=path.partition("?")[0], status=status))[-1]
    assert (event["outcome"], event["message"]) == ("refused", error["message"]) and upstream.questions == []


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example"])
def test_a_host_that_is_none_is_refused_in_a_sentence(sqlite_proxy, dora, host):
    with Wire(sqlite_proxy) as wire:
        wire.send(f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\n{bearer(dora)}\r\n\r\n".encode())
        status, error = wire.error()
        assert status == 400 and "'Host'" in error["message"]


def test_a_chunked_upload_stays_chunked_and_whole(sqlite_proxy, dora, upstream):
    upstream.script(whole(b"{}"))
    with Wire(sqlite_proxy) as wire:
        wire.send(f"POST /v1/files HTTP/1.1\r\nHost: x\r\n{bearer(dora)}\r\n{CHUNKED}\r\n\r\n".encode())
        wire.send(chunked(b"one", b"two" * 100000, b""))
        assert wire.head()[0] == 200
    asked = upstream.question()
    assert (asked.framed_by, asked.digest.digest()) == ("chunks", hashlib.sha256(b"one" + b"two" * 100000).digest())


def test_an_upload_reaches_the_upstream_before_it_is_complete(sqlite_proxy, dora, upstream):
    upstream.script(whole(b"{}"))
    with Wire(sqlite_proxy) as wire:
        wire.send(f"POST /v1/files HTTP/1.1\r\nHost: x\r\n{bearer(dora)}\r\nContent-Length: 300000\r\n\r\n".encode())
        wire.send(b"x" * 200000)
        eventually(lambda: upstream.connections)
        wire.send(b"x" * 100000)
        assert wire.head()[0] == 200
    assert upstream.question().size == 300000


@pytest.mark.parametrize("framing", [CHUNKED, "X-Framing: none"])
def test_an_event_is_at_the_caller_before_the_upstream_sends_the_next(sqlite_proxy, dora, upstream, framing):
    heard = [threading.Event(), threading.Event()]
    frame = chunked if framing == CHUNKED else lambda piece: piece
    end = (chunked(b""),) if framing == CHUNKED else ()
    upstream.script(head("200 OK", SSE, framing), heard[0], frame(b"data: 1\n\n"), heard[1], frame(b"data: 2\n\n"), *end, HANG_UP)
    with Wire(sqlite_proxy) as wire:
        status, headers = wire.ask("GET", "/v1/stream", bearer(dora))  # the head, before anything else is sent
        assert (status, dict(headers)["x-accel-buffering"]) == (200, "no")
        heard[0].set()
        assert wire.chunk() == b"data: 1\n\n"
        heard[1].set()
        assert wire.chunk() == b"data: 2\n\n"
        assert wire.chunk() == b""


@pytest.mark.parametrize("when", ["after the first event", "before the answer"])
def test_a_caller_who_leaves_ends_the_upstreams_work_within_a_second(proxy, newcomer, upstream, when):
    never = threading.Event()
    begun = (head("200 OK", SSE, CHUNKED), chunked(b"data: 1\n\n")) if when == "after the first event" else ()
    upstream.script(*begun, never)
    with Wire(proxy) as wire:
        wire.send(f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n{bearer(newcomer)}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        asked = upstream.question()
        if begun:
            wire.head()
            assert wire.chunk() == b"data: 1\n\n"
    assert seconds_until(asked.gone, within=1.0) < 1.0
    event = eventually(lambda: proxy.events(user_id=newcomer.id, outcome="client_gone"))[0]
    assert event["status"] == (200 if begun else 400)
    assert event["bytes_out"] == (9 if begun else 0), event
    assert event["response"] == ("data: 1\n\n" if begun else "") and event["request"] == "{}"


def test_a_caller_who_leaves_in_the_middle_of_an_upload_ends_it(proxy, alice, upstream):
    with Wire(proxy) as wire:
        wire.send(f"POST /v1/files HTTP/1.1\r\nHost: x\r\n{bearer(alice)}\r\nContent-Length: 500000\r\n\r\n".encode())
        wire.send(b"x" * 300000)
        eventually(lambda: upstream.connections)
    event = eventually(lambda: proxy.events(user_id=alice.id, outcome="client_gone", endpoint="/v1/files"))[-1]
    assert 0 < event["bytes_in"] <= 300000
    assert upstream.questions == []  # what it got was never a whole request


@pytest.mark.parametrize("kind", [SSE, SSE.title()])
def test_a_stream_that_breaks_off_ends_with_an_error_event_and_no_done(proxy, alice, upstream, kind):
    upstream.script(head("200 OK", kind, CHUNKED, "X-Accel-Buffering: yes") + chunked(b"data: 1\n\n"), HANG_UP)
    answer = alice.post("/v1/chat/completions", data=b"{}")
    assert answer.headers["X-Accel-Buffering"] == "no"  # and not twice
    assert answer.text.startswith("data: 1\n\n") and "[DONE]" not in answer.text
    assert '"code": "upstream_truncated"' in answer.text and answer.text.endswith("}}\n\n")
    event = proxy.event(answer)
    assert (event["status"], event["outcome"], event["response"]) == (200, "upstream_truncated", "data: 1\n\n")


@pytest.mark.parametrize("begun", [
    whole(b"x" * 1000)[:-500], head("200 OK", CHUNKED) + chunked(b"x" * 500), head("200 OK", CHUNKED) + b"fff\r\nxx",
])  # fmt: skip
def test_any_other_answer_that_breaks_off_is_not_made_to_look_whole(sqlite_proxy, dora, upstream, begun):
    upstream.script(begun, RESET if b"fff" in begun else HANG_UP)
    with Wire(sqlite_proxy) as wire:
        status, headers = wire.ask("GET", "/v1/thing", bearer(dora))
        assert (status, wire.body(headers)[1]) == (200, False)
    assert sqlite_proxy.event(dict(headers)["x-proxy-request-id"])["outcome"] == "upstream_truncated"


FAILURES = {
    "hangs up": ([HANG_UP], 502, "upstream_unreachable", "upstream_error"),
    "resets": ([RESET], 502, "upstream_unreachable", "upstream_error"),
    "talks nonsense": ([b"SSH-2.0-OpenSSH\r\n\r\n", HANG_UP], 502, "upstream_unreachable", "upstream_error"),
    "breaks off in the head": ([b"HTTP/1.1 200 OK\r\nContent-", RESET], 502, "upstream_unreachable", "upstream_error"),
    "refuses our key": ([whole(b"{}", "application/json", "401 Unauthorized")], 502, "upstream_refused_key", "upstream_error"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_of_the_upstream_has_openais_shape_and_its_outcome(proxy, alice, upstream, failure):
    steps, status, code, outcome = FAILURES[failure]
    upstream.script(*steps)
    answer = alice.get("/v1/models")
    assert error_of(answer, status)["code"] == code
    assert answer.headers.get("x-should-retry") == ("false" if code == "upstream_refused_key" else None)
    event = proxy.event(answer)
    assert (event["status"], event["outcome"]) == (status, outcome) and event["message"]
    assert KEY not in str(event)


def test_an_upstream_that_is_not_there_is_a_502(start):
    server = start(API_URL="http://127.0.0.1:1")
    assert error_of(server.person("Eve").get("/v1/models"), 502)["code"] == "upstream_unreachable"


def test_an_upstream_that_does_not_answer_in_time_is_a_504(start, upstream):
    server = start(UPSTREAM_TIMEOUT="1")
    eve = server.person("Eve")
    never = threading.Event()
    upstream.script(never)
    answer = eve.get("/v1/models")
    assert error_of(answer, 504)["code"] == "upstream_timeout"
    assert server.event(answer)["outcome"] == "timeout"
    upstream.script(head("200 OK", SSE, CHUNKED) + chunked(b"data: 1\n\n"), never)
    answer = eve.get("/v1/models")
    assert "upstream_timeout" in answer.text and server.event(answer)["outcome"] == "timeout"


def test_an_upstream_that_refuses_an_upload_and_reads_no_more_is_heard_at_once(sqlite_proxy, dora, upstream):
    speak, never = threading.Event(), threading.Event()
    upstream.interrupt(speak, whole(b"Enough.", "text/plain", "413 Too Large"), never)
    with Wire(sqlite_proxy) as wire:
        wire.send(f"POST /v1/files HTTP/1.1\r\nHost: x\r\n{bearer(dora)}\r\n{CHUNKED}\r\n\r\n".encode())
        rest = send_until_stuck(wire, chunked(b"GET /v1/hidden HTTP/1.1\r\n\r\n" * 2000))
        speak.set()
        status, headers = wire.head()
        assert (status, wire.body(headers)) == (413, (b"Enough.", True))
        wire.send(rest + chunked(b""))
        assert wire.ask("GET", "/v1/models", bearer(dora))[0] == 200
    assert [question.target for question in upstream.questions] == ["/v1/models"]
    event = sqlite_proxy.event(dict(headers)["x-proxy-request-id"])
    assert (event["status"], event["outcome"]) == (413, "complete")


def send_until_stuck(wire, data):
    """Send it again and again until nobody takes more; returns what is missing of the last time."""
    rest = b""
    while select.select([], [wire.socket], [], 0.5)[1]:
        rest = rest or data
        rest = rest[wire.socket.send(rest) :]
    return rest


@pytest.mark.parametrize("said", [head("100 Continue"), head("103 Early Hints", "Link: </x>"), head("200 OK", "Content-Length: 2") + b"{}"])
def test_an_upstream_that_says_something_else_meanwhile_gets_the_whole_upload(sqlite_proxy, dora, upstream, said):
    upstream.interrupt(said)
    upstream.script(*([] if b"200" in said else [whole(b"{}")]))
    data = b"0123456789abcdef" * (1 << 16)
    answer = dora.post("/v1/files", data=data)
    assert (answer.status_code, answer.content) == (200, b"{}")
    assert upstream.question().digest.digest() == hashlib.sha256(data).digest()


def test_curls_expectation_to_be_told_to_go_on_is_met(sqlite_proxy, dora, upstream):
    upstream.script(whole(b"{}"))
    with Wire(sqlite_proxy) as wire:
        request = f"POST /v1/files HTTP/1.1\r\nHost: x\r\n{bearer(dora)}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        wire.send(request.encode())
        assert wire.head() == (100, [])
        wire.send(b"abc")
        assert wire.head()[0] == 200
    assert upstream.question().header("Expect") is None


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_quarter_of_a_gigabyte_passes_in_less_than_20_megabytes(start, upstream, direction):
    server = start()
    eve = server.person("Eve")
    megabyte = b"0123456789abcdef" * (1 << 16)
    eve.post("/v1/files", data=megabyte)  # what is loaded once is loaded
    before, peak = server.memory(), []
    if direction == "up":
        expected = hashlib.sha256()
        def pieces():
            for number in range(256):
                peak.append(server.memory())
                expected.update(megabyte)
                yield megabyte
        assert eve.post("/v1/files", data=pieces()).status_code == 200
        assert upstream.question(1).digest.digest() == expected.digest()
    else:
        upstream.script(head("200 OK", f"Content-Length: {256 << 20}"), *[megabyte] * 256)
        size = 0
        for number, piece in enumerate(eve.get("/v1/files/f/content", stream=True).iter_content(1 << 20)):
            size += len(piece)
            peak.append(server.memory())
        assert size == 256 << 20
    assert max(peak) - before < 20 << 20


def taken_apart(answer):
    """(status, [(lower-case name, value)] without framing, body) of the bytes of an answer."""
    top, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = top.decode().split("\r\n")
    headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
    if ("transfer-encoding", "chunked") in headers:
        body = unchunked(body)
    return int(status.split()[1]), [pair for pair in headers if pair[0] != "transfer-encoding"], body


def unchunked(data):
    """The body in chunked bytes."""
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        if not int(size, 16):
            return body
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
