"""Whatever is sent, the answer is a reason, the server stands, and the next request is answered.

Two hundred bodies and more, made here: images cut off or lying about their size, things that are no
images, damaged forms, damaged HTTP, clients that never stop and clients that never come to the point. The
limits are tiny, so that it is quick.
"""

import io
import json
import os
import random
import socket
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

pytest.importorskip("fastapi")

import showtell
from conftest import draw, encoded
from serving import make_classifier, running, wait_until

MAX_BODY = 1_000_000
PATIENCE, TIMEOUT = 0.5, 1.5  # of the server that meets slow clients; the others wait as long as any
LIMITS = {"max_body_mb": 1, "max_megapixels": 1, "max_images": 4}
GOOD = encoded(draw(1), "JPEG")
SIZE = struct.Struct(">II")
SVG = b"""<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<svg xmlns="http://www.w3.org/2000/svg"><text>&x;</text><script>alert(1)</script></svg>"""
LAUGHS = b"<!DOCTYPE l [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'>]><svg>&b;&b;&b;</svg>"


def zipped(content: bytes = bytes(500_000)) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cat.jpg", content)
    return buffer.getvalue()


def png(width: int, height: int, data: bytes) -> bytes:
    """Return a PNG that claims a size and holds some data."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    head = SIZE.pack(width, height) + bytes([8, 0, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def lying_jpeg(width: int, height: int) -> bytes:
    """Return a JPEG whose frame header claims another size."""
    start = GOOD.index(b"\xff\xc0") + 5
    return GOOD[:start] + struct.pack(">HH", height, width) + GOOD[start + 4 :]


def images() -> Iterator[tuple[str, bytes]]:
    """Yield bodies that are no readable image: each is 422."""
    image = draw(2)
    for format in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF"):
        whole = encoded(image, format)
        for share in (0.02, 0.1, 0.3, 0.6, 0.9):
            yield f"{format} cut at {share}", whole[: int(len(whole) * share)]
    for share in (0.01, 0.1, 0.3):
        yield f"GIF cut at {share}", encoded(image, "GIF")[: int(len(encoded(image, "GIF")) * share)]
    yield "PNG that claims 20000x20000", png(20000, 20000, b"")
    yield "PNG that claims 2^31-1 squared", png(2**31 - 1, 2**31 - 1, b"")
    yield "PNG that claims no pixel", png(0, 0, b"")
    yield "PNG of 4000x4000 zeros", png(4000, 4000, bytes(4001 * 4000))
    yield "PNG with less than it claims", png(500, 500, bytes(100))
    yield "PNG of one long row", png(2_000_000, 1, bytes(2_000_001))
    for size in ((65500, 65500), (65500, 1000), (2000, 2000), (0, 0)):
        yield f"JPEG that claims {size}", lying_jpeg(*size)
    bitmap = bytearray(encoded(image, "BMP"))
    bitmap[18:26] = struct.pack("<ii", 60000, 60000)
    yield "BMP that claims 60000x60000", bytes(bitmap)
    gif = bytearray(encoded(image, "GIF"))
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    yield "GIF that claims 65535x65535", bytes(gif)
    yield "PPM that claims 10^9 pixels", b"P6 100000 100000 255\n" + bytes(100)
    yield "PPM of a size beyond integers", b"P6 " + b"9" * 400 + b" 1 255\n"
    for format in ("ICO", "PCX", "TGA", "SGI", "DDS", "ICNS", "JPEG2000", "PDF", "EPS", "IM", "SPIDER"):
        try:
            yield f"the format {format}", encoded(image.convert("F") if format == "SPIDER" else image, format)
        except (OSError, KeyError, ValueError):  # this Pillow does not write it
            yield f"the format {format}", format.encode()
    kinds = {
        "nothing": b"",
        "one byte": b"\xff",
        "zeros": bytes(10000),
        "spaces": b" " * 10000,
        "text": "고양이 사진입니다".encode(),
        "JSON": b'{"image": "cat.jpg"}',
        "an address": b"http://169.254.169.254/latest/meta-data",
        "a path": b"/etc/passwd",
        "HTML": b"<!DOCTYPE html><html><img src=x onerror=alert(1)></html>",
        "SVG": SVG,
        "SVG that grows": LAUGHS,
        "SVG behind a mark": b"\xef\xbb\xbf" + SVG,
        "a ZIP": zipped(),
        "a ZIP of an image": zipped(GOOD),
        "zlib": zlib.compress(bytes(900_000)),
        "gzip": b"\x1f\x8b\x08\x00" + bytes(100),
        "bzip2": b"BZh91AY&SY" + bytes(100),
        "xz": b"\xfd7zXZ\x00" + bytes(100),
        "7z": b"7z\xbc\xaf'\x1c" + bytes(100),
        "RAR": b"Rar!\x1a\x07\x01\x00" + bytes(100),
        "tar": b"cat.jpg".ljust(257, b"\0") + b"ustar\x0000" + bytes(1000),
        "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n(id) (r) file\n",
        "PostScript in a DOS wrapper": b"\xc5\xd0\xd3\xc6" + bytes(100),
        "ELF": b"\x7fELF\x02\x01\x01" + bytes(100),
        "a Windows program": b"MZ" + bytes(100),
        "Java": b"\xca\xfe\xba\xbe" + bytes(100),
        "WebAssembly": b"\0asm\x01\0\0\0",
        "a pickle": b"\x80\x04\x95cposix\nsystem\n(S'id'\ntR.",
        "NumPy": b"\x93NUMPY\x01\x00" + bytes(100),
        "SQLite": b"SQLite format 3\x00" + bytes(100),
        "MP4": b"\x00\x00\x00\x18ftypmp42" + bytes(100),
        "HEIC": b"\x00\x00\x00\x18ftypheic" + bytes(100),
        "MP3": b"ID3\x03" + bytes(100),
        "WAV": b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(100),
        "WebP without image": b"RIFF\x24\x00\x00\x00WEBPVP8 " + bytes(10),
        "PSD": b"8BPS\x00\x01" + bytes(100),
        "XPM": b"/* XPM */\nstatic char *x[] = {",
        "FITS": b"SIMPLE  =                    T" + b" " * 3000,
        "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "a shell": b"#!/bin/sh\nrm -rf /\n",
        "GIF and script": b"GIF89a/*" + b"<script>alert(1)</script>*/=1;" * 10,
        "GIF of nothing": b"GIF89a",
        "PNG and PHP": b"\x89PNG\r\n\x1a\n<?php system($_GET[0]); ?>",
        "JPEG and PHP": b"\xff\xd8\xff\xe0<?php system($_GET[0]); ?>",
        "JPEG and ZIP": b"\xff\xd8\xff\xe0" + zipped(),
        "JPEG and HTML": b"\xff\xd8\xff\xfe\x00\x20<html>" + b"<script>" * 10,
        "BMP and script": b"BM/*" + bytes(50) + b"*/alert(1)",
        "PDF and JPEG": b"%PDF-1.7\n" + GOOD,
        "ZIP and JPEG": zipped(b"x") + GOOD,
        "TIFF that points to itself": b"II*\x00\x08\x00\x00\x00\x00\x00\x08\x00\x00\x00",
        "TIFF of many entries": b"MM\x00*\x00\x00\x00\x08\xff\xff" + b"\x01\x00\x00\x03" * 3000,
        "camera file of many JPEGs": b"FOVb" + b"\xff\xd8" * 100_000,
        "camera file of long JPEGs": b"FOVb" + b"\xff\xd8\xff\xe1\x00\x02" * 50_000,
        "TIFF of directories within directories": branching_tiff(),
        "JPEG of endless scans": GOOD[: len(GOOD) // 2] + b"\xff\xda" * 400_000,
        "JPEG of endless segments": b"\xff\xd8" + b"\xff\xe1\x00\x02" * 100_000,
    }
    yield from kinds.items()
    rng = random.Random(1)
    for number in range(12):
        yield f"random bytes {number}", rng.randbytes(rng.randrange(10, 5000))
        start = (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"RIFF1234WEBP")[
            number % 6
        ]
        yield f"random bytes behind a signature {number}", start + rng.randbytes(3000)


def branching_tiff() -> bytes:
    """Write a chain of directories of which each has the same 64 children, which chain on."""
    count, size = 60, 2 + 12 + 4
    children = 8 + count * size
    chain = b"".join(
        struct.pack("<HHHIII", 1, 330, 4, 64, children, 8 + (number + 1) % count * size)
        for number in range(count)
    )
    inside = children + 4 * 64
    starts = struct.pack("<64I", *(inside + 6 * number for number in range(64)))
    return (
        b"II*\0\x08\0\0\0"
        + chain
        + starts
        + b"".join(struct.pack("<HI", 0, inside + 6 * ((number + 1) % 64)) for number in range(64))
    )


def part(content: bytes = GOOD, head: bytes = b'form-data; name="images"; filename="a.jpg"') -> bytes:
    return b"--b\r\nContent-Disposition: " + head + b"\r\n\r\n" + content + b"\r\n"


def forms() -> Iterator[tuple[str, bytes, bytes]]:
    """Yield forms that cannot be used: name, content type, body; each is 4xx."""
    form, end = b"multipart/form-data; boundary=b", b"--b--\r\n"
    yield "no boundary", b"multipart/form-data", part() + end
    yield "an empty boundary", b"multipart/form-data; boundary=", part() + end
    yield "another boundary", b"multipart/form-data; boundary=c", part() + end
    yield "a boundary of 5,000 letters", b"multipart/form-data; boundary=" + b"b" * 5000, part() + end
    yield "another kind of form", b"multipart/mixed; boundary=c", part() + end
    yield "an unknown alphabet", form + b"; charset=klingon", part(b"x") + end
    yield "no part", form, end
    yield "nothing", form, b""
    yield "an empty file", form, part(b"") + end
    yield "no end, no image", form, part(b"x")[:-2]
    yield "an image as text", form, part(GOOD, b'form-data; name="images"') + end
    yield "a large text", form, part(bytes(900_000), b'form-data; name="images"') + end
    yield "another name", form, part(GOOD, b'form-data; name="photos"; filename="a.jpg"') + end
    yield "no name", form, part(GOOD, b'form-data; filename="a.jpg"') + end
    yield "no disposition", form, b"--b\r\nContent-Type: image/jpeg\r\n\r\n" + GOOD + b"\r\n" + end
    yield "a head without a colon", form, b"--b\r\nnonsense\r\n\r\n" + GOOD + b"\r\n" + end
    yield "a head without an end", form, b"--b\r\n" + b"X: y\r\n" * 20_000
    yield "too many images", form, part() * 5 + end
    yield "too many texts", form, part(b"x", b'form-data; name="t"') * 5000 + end
    yield "a form within a form", form, part(part(b"x") + b"--c--") + end
    yield (
        "a name that climbs",
        form,
        part(b"x", b'form-data; name="images"; filename="../../etc/passwd"') + end,
    )
    yield "a name with NUL", form, part(b"x", b'form-data; name="images"; filename="a\0.jpg"') + end
    yield "a broken name", form, part(b"x", b"form-data; name=\"images\"; filename*=UTF-8''%ff%fe") + end
    yield "bytes before the form", form, os.urandom(1000) + part(b"x") + end


def head(line: bytes = b"POST /v1/predict HTTP/1.1", *headers: bytes) -> bytes:
    return b"\r\n".join([line, b"Host: localhost", *headers]) + b"\r\n\r\n"


def requests() -> Iterator[tuple[str, bytes]]:
    """Yield bytes that are no request for a prediction: each is 4xx."""
    post = b"POST /v1/predict HTTP/1.1"
    length = b"Content-Length: %d" % len(GOOD)
    chunked = b"Transfer-Encoding: chunked"
    yield "a huge header", head(post, b"X: " + b"x" * 200_000)
    yield "many headers", head(post, *[b"X-%d: y" % n for n in range(20_000)])
    yield "a huge address", head(b"GET /" + b"a" * 100_000 + b" HTTP/1.1")
    yield "a huge query", head(b"POST /v1/predict?model=" + b"a" * 15_000 + b" HTTP/1.1", length) + GOOD
    yield "no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\r\n\r\n"
    yield "an empty line of spaces", b"   \r\n\r\n"
    yield "HTTP 0.9", b"GET /\r\n\r\n"
    yield "HTTP 2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield "HTTP 9", head(b"POST /v1/predict HTTP/9.9")
    yield "no host", b"POST /v1/predict HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    yield "two hosts", head(post, b"Host: localhost", length) + GOOD
    yield "a length of letters", head(post, b"Content-Length: many")
    yield "a negative length", head(post, b"Content-Length: -1")
    yield "a length of 5,000 digits", head(post, b"Content-Length: " + b"9" * 5000)
    yield "two lengths", head(post, length, b"Content-Length: 5") + GOOD
    yield "a length of 10 TB", head(post, b"Content-Length: 10000000000000") + GOOD
    yield "an unknown encoding", head(post, b"Transfer-Encoding: klingon") + GOOD
    yield "a chunk of letters", head(post, chunked) + b"xyz\r\n" + GOOD
    yield "a negative chunk", head(post, chunked) + b"-5\r\nabcde\r\n0\r\n\r\n"
    yield "a chunk beyond integers", head(post, chunked) + b"f" * 40 + b"\r\n" + GOOD
    yield "a chunk longer than said", head(post, chunked) + b"1\r\nabcdef\r\n0\r\n\r\n"
    yield "a header without a name", head(post, b": x", length) + GOOD
    yield "a header with NUL", head(post, b"X: a\0b", length) + GOOD
    yield "a packed image", head(post, b"Content-Encoding: gzip", b"Content-Length: 3") + b"\x1f\x8b\x08"
    yield "a body where none belongs", head(b"GET /v1/models HTTP/1.1", length) + GOOD
    for method in (b"GET", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"BREW"):
        yield f"the method {method!r}", head(method + b" /v1/predict HTTP/1.1", b"Content-Length: 0")
    for path in (
        b"/../../etc/passwd",
        b"/%2e%2e/%2e%2e/etc/passwd",
        b"//etc/passwd",
        b"/..%5c..%5cx",
        b"/%00",
        b"/x",
    ):
        yield f"the path {path!r}", head(b"GET " + path + b" HTTP/1.1")
    for query in (b"beams=0", b"beams=1e9", b"explain=maybe", b"model=../../x", b"beams=" + b"9" * 5000):
        yield f"the query {query[:20]!r}", head(b"POST /v1/predict?" + query + b" HTTP/1.1", length) + GOOD


def endless(connection: socket.socket) -> None:
    """Send chunks until the other end will have no more."""
    connection.sendall(head(b"POST /v1/predict HTTP/1.1", b"Transfer-Encoding: chunked"))
    while True:
        connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")


def drip(first: bytes, drop: bytes, every: float) -> Callable[[socket.socket], None]:
    """Return what sends a beginning, and then a drop now and then."""

    def send(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            time.sleep(every)
            connection.sendall(drop)

    return send


SLOW = {
    "an endless stream": endless,
    "an endless header": drip(head()[:-2], b"X: " + b"y" * 2000 + b"\r\n", 0.001),
    "a header that drips": drip(head()[:-2], b"X", 0.05),
    "a header that stops": drip(head()[:-2], b"", 0.05),
    "a body that stops": drip(head(b"POST /v1/predict HTTP/1.1", b"Content-Length: 900"), b"", 0.05),
    "a body that drips": drip(head(b"POST /v1/predict HTTP/1.1", b"Content-Length: 900"), b"x", 0.05),
    "a chunk that drips": drip(
        head(b"POST /v1/predict HTTP/1.1", b"Transfer-Encoding: chunked"), b"1\r\nx\r\n", 0.05
    ),
}


class Sender:
    """Sends raw bytes and reads what comes back.

    Args:
        address: Of the server.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address

    def __call__(self, content: bytes | Callable[[socket.socket], None]) -> tuple[int, str]:
        """Return the status and the reason."""
        with socket.create_connection(self.address, timeout=20) as connection:
            sending = threading.Thread(target=self._send, args=(connection, content), daemon=True)
            sending.start()
            answer = b""
            try:
                while received := connection.recv(65536):
                    answer += received
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # reset: the answer came, and the server would read no more
                pass
        sending.join(5)
        status, body = answer.split(b"\r\n\r\n", 1) if answer else (b"HTTP/1.1 0", b'{"error": ""}')
        return int(status.split()[1]), json.loads(body)["error"]

    @staticmethod
    def _send(connection: socket.socket, content: bytes | Callable[[socket.socket], None]) -> None:
        try:
            if callable(content):
                content(connection)
            else:
                connection.sendall(content)
        except OSError:  # the server had heard enough
            pass

    def image(self, content: bytes, kind: bytes = b"image/jpeg") -> tuple[int, str]:
        """Return what is said of a body."""
        length = b"Content-Length: %d" % len(content)
        wanted = head(b"POST /v1/predict HTTP/1.1", b"Content-Type: " + kind, length, b"Connection: close")
        return self(wanted + content)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return showtell.load(make_classifier(tmp_path_factory.mktemp("run")), device="cpu")


@pytest.fixture(scope="module")
def server(model):
    with running({"m": model}, idle_timeout=PATIENCE, **LIMITS) as (client, _):
        yield client


@pytest.fixture(scope="module")
def hasty_server(model):
    with running({"m": model}, timeout=TIMEOUT, idle_timeout=PATIENCE, **LIMITS) as (client, _):
        yield client


def sending(server) -> Iterator["Sender"]:
    yield Sender((server.base_url.host, server.base_url.port))
    assert server.post("/v1/predict", content=GOOD).status_code == 200


@pytest.fixture
def send(server):
    """Send bytes; afterwards a good image is answered as ever."""
    yield from sending(server)


@pytest.fixture
def send_slowly(hasty_server):
    """Send bytes to a server that does not wait long."""
    yield from sending(hasty_server)


def refusals(asked: dict[str, object], ask: Callable[..., tuple[int, str]]) -> dict[str, tuple[int, str]]:
    """Ask several at once; return the answers by name."""
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(asked, pool.map(ask, asked.values())))


def wrong(answers: dict[str, tuple[int, str]], expected: range) -> dict[str, tuple[int, str]]:
    return {
        name: (status, why) for name, (status, why) in answers.items() if status not in expected or not why
    }


PICTURES, FORMS, REQUESTS = dict(images()), {name: rest for name, *rest in forms()}, dict(requests())


def test_there_are_two_hundred():
    assert len(PICTURES) + len(FORMS) + len(REQUESTS) + len(SLOW) >= 200


def test_no_image_is_unprocessable(send):
    assert wrong(refusals(PICTURES, send.image), range(422, 423)) == {}


def test_a_damaged_form_is_refused(send):
    answers = refusals(FORMS, lambda form: send.image(form[1], form[0]))
    assert wrong(answers, range(400, 500)) == {}


def test_what_is_no_request_is_refused(send):
    answers = refusals(
        REQUESTS, lambda request: send(request.replace(b"\r\nHost", b"\r\nConnection: close\r\nHost", 1))
    )
    assert wrong(answers, range(400, 500)) == {}
    assert answers["a huge header"][0] == 431
    assert answers["no HTTP"][0] == 400
    assert answers["a length of 10 TB"][0] == 413


def test_clients_without_end_are_cut_off(send_slowly):
    started = time.monotonic()
    with ThreadPoolExecutor(len(SLOW)) as pool:
        answers = dict(zip(SLOW, pool.map(send_slowly, SLOW.values())))
    assert wrong(answers, range(400, 500)) == {}
    assert answers["an endless stream"][0] == 413
    assert answers["an endless header"][0] == 431
    assert {answers[name][0] for name in SLOW if "drips" in name or "stops" in name} == {408}
    assert time.monotonic() - started < 12


def test_who_says_nothing_is_hung_up_on(hasty_server):
    address = (hasty_server.base_url.host, hasty_server.base_url.port)
    started = time.monotonic()
    with socket.create_connection(address, timeout=10) as connection:
        assert connection.recv(1) == b""
    assert time.monotonic() - started >= PATIENCE


def test_a_second_request_may_not_drip_either(hasty_server):
    address = (hasty_server.base_url.host, hasty_server.base_url.port)
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(head(b"GET /healthz HTTP/1.1"))
        assert b"200" in connection.recv(65536)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
        answer = b""
        while received := connection.recv(65536):
            answer += received
    assert b" 408 " in answer
    assert b"headers took longer" in answer


def test_who_says_nothing_more_is_hung_up_on(hasty_server):
    with socket.create_connection(
        (hasty_server.base_url.host, hasty_server.base_url.port), timeout=10
    ) as connection:
        connection.sendall(head(b"GET /healthz HTTP/1.1"))
        while connection.recv(4096):
            pass


def test_those_who_came_first_are_answered_and_those_above_the_limit_refused(model, monkeypatch):
    monkeypatch.setattr("showtell.serving.protocol.MAX_CONNECTIONS", 6)
    with running({"m": model}, **LIMITS) as (client, _):
        address = (client.base_url.host, client.base_url.port)
        with ExitStack() as stack:
            first, *others = (
                stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(12)
            )
            assert b" 503 " in others[-1].recv(4096)
            first.sendall(head(b"GET /healthz HTTP/1.1"))
            assert b" 200 " in first.recv(4096)

        def answered() -> bool:
            return client.get("/healthz").status_code == 200

        wait_until(answered)


def test_an_image_with_something_behind_it_is_an_image(server):
    for tail in (zipped(), SVG, b"<?php system($_GET[0]); ?>", bytes(1000)):
        assert server.post("/v1/predict", content=GOOD + tail).status_code == 200


def test_nothing_grows(server, send):
    """The same bodies again and again leave no thread, no file and no memory behind."""

    def everything() -> None:
        refusals(PICTURES, send.image)
        refusals(FORMS, lambda form: send.image(form[1], form[0]))
        refusals(
            {name: REQUESTS[name] for name in ("a huge header", "a length of 10 TB", "two lengths")}, send
        )

    def held() -> tuple[int, int, float]:
        files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        pages = int(open("/proc/self/statm").read().split()[1])  # noqa: PTH123, SIM115
        return threading.active_count(), files, pages * 4096 / 1e6

    if not os.path.isdir("/proc/self/fd"):  # noqa: PTH112
        pytest.skip("needs /proc")
    everything()
    wait_until(lambda: threading.active_count() < 60)
    threads, files, megabytes = held()
    for _ in range(2):
        everything()
    wait_until(lambda: held()[0] <= threads and held()[1] <= files)
    assert held()[2] - megabytes < 30
    assert "showtell_requests_in_flight 0.0" in server.get("/metrics").text
