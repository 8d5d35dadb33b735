"""Requests that mean one thing to one reader and another to the next, that lie, or come from elsewhere."""

from collections.abc import Iterator

from conftest import draw, encoded

PICTURE = encoded(draw(1, 48), "JPEG")
HIDDEN = b"GET /v1/models?hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""What must never be answered: it stands in the body of another request, by one reading or another."""
POST = b"POST /v1/predict HTTP/1.1"


def request(*lines: bytes, first: bytes = POST, body: bytes = b"", end: bytes = b"\r\n") -> bytes:
    """Return a request as it is sent: its first line, the host, further lines, and a body."""
    return end.join([first, b"Host: localhost", *lines]) + 2 * end + body


def prediction(content: bytes = PICTURE, *, keep: bool = False) -> bytes:
    """Return a well-formed request for a prediction."""
    lines = [b"Content-Length: %d" % len(content)] + ([] if keep else [b"Connection: close"])
    return request(*lines, body=content)


def _chunked(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)


def smuggled() -> Iterator[tuple[str, bytes]]:
    """Yield requests with another one in their body, by name; at most one answer may come back."""
    chunked, ended = b"Transfer-Encoding: chunked", b"0\r\n\r\n" + HIDDEN
    length = b"Content-Length: %d" % len(ended)
    yield "a length and chunks", request(length, chunked, body=ended)
    yield "chunks and a length", request(chunked, length, body=ended)
    yield "chunks and a short length", request(chunked, b"Content-Length: 4", body=_chunked(HIDDEN))
    for value in (
        b"xchunked",
        b"chunked, identity",
        b"identity, chunked",
        b"gzip, chunked",
        b"chunked chunked",
        b"chunked;q=1",
        b"'chunked'",
        b"\x0bchunked",
        b"\xa0chunked",
        b"chunked\x00",
        b"Chunked\x1f",
        b",chunked",
    ):
        line = b"Transfer-Encoding: " + value
        yield f"encoded as {value!r}, with a length", request(line, length, body=ended)
        yield f"encoded as {value!r}", request(line, body=ended)
    for name in (
        b"Transfer-Encoding ",
        b" Transfer-Encoding",
        b"Transfer_Encoding",
        b"Transfer-Encoding\x00",
    ):
        yield f"the name {name!r}", request(name + b": chunked", length, body=ended)
    yield "encoded twice", request(chunked, b"Transfer-Encoding: identity", body=ended)
    yield "folded", request(b"X: a\r\n Transfer-Encoding: chunked", length, body=ended)
    yield "in HTTP 1.0", request(chunked, length, first=b"POST /v1/predict HTTP/1.0", body=ended)
    for value in (
        b"+3",
        b"0x3",
        b"3, 99",
        b"3 3",
        b"3.0",
        b"3e0",
        b"\xb2",
        b"-0",
        b"",
        b"3;",
        b"\x0b3",
    ):
        yield f"the length {value!r}", request(b"Content-Length: " + value, body=b"abc" + HIDDEN)
    yield "two lengths", request(b"Content-Length: 3", b"Content-Length: 99", body=b"abc" + HIDDEN)
    yield "two lengths, folded", request(b"Content-Length: 3\r\n 9", body=b"abc" + HIDDEN)
    yield "a bare carriage return", request(b"X: a\rContent-Length: 99", length, body=ended)
    for size in (
        b"0x0",
        b"+0",
        b"-0",
        b"0 ",
        b"0;\n",
        b"0;a=\r",
        b"\x0b0",
        b"0_0",
        b"00000000000000000000000",
    ):
        yield f"a chunk of size {size!r}", request(chunked, body=size + b"\r\n\r\n" + HIDDEN + b"0\r\n\r\n")
    yield "a chunk that ends elsewhere", request(chunked, body=b"1\r\nabc\r\n" + ended)
    yield "chunks with bare newlines", request(chunked, body=b"0\n\n" + HIDDEN)
    yield "trailers", request(chunked, body=b"0\r\nContent-Length: 99\r\nX: y\n\r\n" + HIDDEN)
    yield "a body of GET", request(length, first=b"GET /healthz HTTP/1.1", body=ended)
    yield "a body of GET, in chunks", request(chunked, first=b"GET /healthz HTTP/1.1", body=_chunked(HIDDEN))
    yield "a body of HEAD", request(length, first=b"HEAD / HTTP/1.1", body=ended)
    yield "an upgrade", request(b"Connection: upgrade", b"Upgrade: h2c", length, body=ended)
    yield "a tunnel", request(length, first=b"CONNECT localhost:80 HTTP/1.1", body=ended)


def lying() -> Iterator[tuple[str, bytes]]:
    """Yield uploads that are not what they say, by name; none may be answered as an image."""
    size, form = len(PICTURE), b"Content-Type: multipart/form-data; boundary=b"
    part = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n'
    whole = part + b"\r\n" + PICTURE + b"\r\n--b--\r\n"
    close = b"Connection: close"
    yield "longer than sent", request(b"Content-Length: %d" % (size + 1), close, body=PICTURE)
    yield "shorter than sent", request(b"Content-Length: %d" % (size // 2), close, body=PICTURE)
    yield "of no length", request(close, body=PICTURE)
    yield "of length 0", request(b"Content-Length: 0", close, body=PICTURE)
    yield "beyond all limits", request(b"Content-Length: 99999999999999", close, body=PICTURE)
    yield (
        "a chunk longer than sent",
        request(b"Transfer-Encoding: chunked", close, body=b"%x\r\n%s\r\n0\r\n\r\n" % (size + 9, PICTURE)),
    )
    yield (
        "a chunk shorter than sent",
        request(b"Transfer-Encoding: chunked", close, body=b"%x\r\n%s\r\n0\r\n\r\n" % (size - 9, PICTURE)),
    )
    yield (
        "no last chunk",
        request(b"Transfer-Encoding: chunked", close, body=b"%x\r\n%s\r\n" % (size, PICTURE)),
    )
    yield (
        "a form longer than sent",
        request(form, b"Content-Length: %d" % (len(whole) + 1), close, body=whole),
    )
    yield "a form cut in its image", request(form, b"Content-Length: %d" % (size // 2), close, body=whole)
    yield (
        "packed, it says",
        request(
            b"Content-Encoding: gzip", b"Content-Length: %d" % (size // 2), close, body=PICTURE[: size // 2]
        ),
    )
    yield "waits to be asked", request(b"Content-Length: %d" % size, b"Expect: 100-continue", close)


HOSTS = (
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "evil.example:8000",
    "localhost@evil.example",
    "evil.example#localhost",
    "evil.example/localhost",
    "localhost:80@evil.example",
    "localhost evil.example",
    "localhost,evil.example",
    "0.0.0.0",
    "169.254.169.254",
    "[::ffff:10.0.0.1]",
    "[::]",
    "10.0.0.1",
    "2130706433",
    "0177.0.0.1",
    "0x7f.0.0.1",
    "",
    "xn--localhost-evil",
    "lоcalhost",  # with a Cyrillic letter
)
"""Names by which a local server must not answer: another site could have made them point here."""

ORIGINS = (
    "null",
    "https://evil.example",
    "http://localhost.evil.example",
    "http://localhost:1",
    "http://127.0.0.1:1",
    "http://localhost@evil.example",
    "http://evil.example/localhost",
    "file://",
    "chrome-extension://abcdef",
    "",
)
"""Pages that a local server must not answer."""
