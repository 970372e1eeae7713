"""Bytes that are nearly HTTP: first lines, headers and bodies that a server must not fall for."""
import re
import socket

from hypothesis import strategies as st

TARGETS = (
    b"/v1/models", b"/v1/files", b"/v1/x?a=%00", b"/v1/", b"/v1", b"/v1//x", b"/v1/../x", b"/v1/%2e%2e/x", b"/v1/..%2fx", b"/v1/%", b"/v1/\xff",
    b"/user/session", b"/user/signup", b"/user/login", b"/user/logout", b"/chat/index", b"/chat/stream?id=x", b"/chat/prompt", b"/team/index",
    b"/", b"//", b"*", b"", b"http://127.0.0.1/v1/models", b"http://other.example/user/session", b"/user/session#x", b"/user/\x00", b"?", b"/..",
)  # fmt: skip
METHODS = (b"GET", b"GET", b"POST", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"CONNECT", b"get", b"", b"BREW", b"G\x00T", b"\xff")
VERSIONS = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.1 ", b"", b"FTP/1.1", b"HTTP/11")
VALUES = {
    b"Host": (b"proxy", b"", b"a, b", b"\xff", b"[::1", b"a:99999"),
    b"Content-Length": (b"0", b"2", b"5", b"-1", b"+5", b"0x5", b"5, 5", b"1_0", b"\xb2", b"99999999999999999999", b""),
    b"Transfer-Encoding": (b"chunked", b"chunked, chunked", b"xchunked", b"identity", b"gzip, chunked", b"\x0bchunked", b""),
    b"Content-Type": (b"application/json", b"multipart/form-data", b"multipart/form-data; boundary=b", b"application/x-www-form-urlencoded; charset=utf-7",
                      b"text/html", b"\xff", b";", b"multipart/form-data; boundary=\"\xff"),
    b"Content-Encoding": (b"gzip", b"br", b"x"),
    b"Authorization": (b"Bearer", b"Bearer x", b"Basic", b"Basic !!!", b"Basic eDp5", b"\xff", b"Digest username=\"x\""),
    b"Cookie": (b"sess=x", b"sess", b"=;;=", b"sess=\xff", b"sess=\"x"),
    b"Connection": (b"close", b"keep-alive", b"Upgrade", b"Authorization, close", b"\xff"),
    b"Upgrade": (b"websocket", b"h2c"), b"Sec-WebSocket-Key": (b"x", b"dGhlIHNhbXBsZSBub25jZQ=="), b"Sec-WebSocket-Version": (b"13", b"x"),
    b"Expect": (b"100-continue", b"x"), b"X-Forwarded-For": (b"1.2.3.4", b"\xff", b",,", b"x" * 300), b"X-Forwarded-Proto": (b"https", b"x"),
    b"Last-Event-ID": (b"1", b"x", b"-1"), b"Range": (b"bytes=0-",), b"": (b"x",), b" Folded": (b"x",), b"Sp ace": (b"x",), b"Under_score": (b"x",),
}  # fmt: skip
BODIES = (
    b"", b"{}", b'{"username": "a"}', b"a=1&b=2", b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhel", b"-1\r\n", b"zz\r\n", b"0\r\n\r\nGET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    b'--b\r\nContent-Disposition: form-data; name="id"\r\n\r\nx\r\n--b--\r\n', b"--b\r\n", b"[" * 2000, b"GET /v1/smuggled HTTP/1.1\r\n\r\n",
)  # fmt: skip
lines = st.sampled_from(sorted(VALUES)).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(VALUES[name]) | st.binary(max_size=20)))
bodies = st.sampled_from(BODIES) | st.binary(max_size=200)


@st.composite
def messages(draw, credentials):
    """(whether a good credential is in it, the bytes of something like a request)."""
    first = b" ".join((draw(st.sampled_from(METHODS)), draw(st.sampled_from(TARGETS)), draw(st.sampled_from(VERSIONS))))
    given = draw(st.lists(lines, max_size=5))
    credential = draw(st.sampled_from((None, *credentials)))
    if credential:
        given.append((b"Authorization", credential))
    body, colon = draw(bodies), draw(st.sampled_from((b": ", b": ", b": ", b":", b" : ", b"")))
    if draw(st.booleans()):
        given.append((b"Content-Length", b"%d" % len(body)))
    end = draw(st.sampled_from((b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r")))
    return credential is not None, end.join([first, *(name + colon + value for name, value in given), b"", b""]) + body


def exchange(port, data, within=20):
    """All that a server says to these bytes, behind which nothing more comes, until it hangs up. Raises TimeoutError."""
    with socket.create_connection(("127.0.0.1", port), within) as connection:
        said = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(1 << 16):
                said += piece
        except (ConnectionResetError, BrokenPipeError):
            pass  # it has heard enough
        return said


def statuses(said):
    """The statuses in what a server said."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", said)]
