"""One request is one request, whatever its body hides; and nginx with a prefix may stand before us."""

import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

pytest.importorskip("fastapi")
sys.path.insert(0, str(Path(__file__).parents[1] / "trust"))

import showtell
from attacks import HIDDEN, PICTURE, lying, prediction, request, smuggled
from serving import make_classifier, running, wait_until
from showtell.serving.guard import Guard


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return {"cats": showtell.load(make_classifier(tmp_path_factory.mktemp("cats")), device="cpu")}


@pytest.fixture(scope="module")
def send(models):
    """Return what sends bytes and returns all that comes back."""
    with running(models, idle_timeout=0.5) as (client, _):
        yield lambda content: _send((client.base_url.host, client.base_url.port), content)


def _send(address: tuple[str, int], content: bytes) -> bytes:
    answer = b""
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(content)
        try:
            while received := connection.recv(65536):
                answer += received
        except ConnectionError:
            pass
    return answer


def _answers(send, requests) -> dict[str, bytes]:
    asked = dict(requests)
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(asked, pool.map(send, asked.values())))


def test_no_hidden_request_is_answered(send):
    answers = _answers(send, smuggled())
    assert len(answers) > 50
    assert {name: found for name, found in answers.items() if found.count(b"HTTP/1.1 ") > 1} == {}
    assert {name: found for name, found in answers.items() if found.startswith(b"HTTP/1.1 5")} == {}


def test_a_connection_ends_with_a_request_in_chunks(send):
    """RFC 9112, section 6.1: at the latest where a length is stated, too."""
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(PICTURE), PICTURE)
    for lines in ([], [b"Content-Length: 3"]):
        answer = send(request(b"Transfer-Encoding: chunked", *lines, body=chunked + HIDDEN))
        assert answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer
        assert answer.count(b"HTTP/1.1 ") == 1
    # Without chunks a second request on the connection is answered as ever.
    assert send(prediction(keep=True) + HIDDEN).count(b"HTTP/1.1 200") == 2


def test_uploads_that_lie_are_no_images(send):
    answers = _answers(send, lying())
    asked = b"HTTP/1.1 100 Continue\r\n\r\n"
    wrong = {
        name: found[:60]
        for name, found in answers.items()
        if not found.removeprefix(asked).startswith(b"HTTP/1.1 4")
    }
    assert wrong == {}


def test_a_wrong_token_takes_as_long_wherever_it_is_wrong():
    token = "k" * 12_000
    guard = Guard(None, token=token, local=False, trusted=())

    def spent(shown: str) -> int:
        scope = {
            "type": "http",
            "path": "/v1/models",
            "headers": [(b"authorization", f"Bearer {shown}".encode())],
        }
        began = time.perf_counter_ns()
        for _ in range(10):
            assert guard._objection(scope)[0] == 401
        return time.perf_counter_ns() - began

    turns = [(spent("x" + token[1:]), spent(token[:-1] + "x")) for _ in range(200)]
    first, last = (min(times) for times in zip(*turns))
    assert last < 1.05 * first


CONFIG = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    client_max_body_size 20m;
    server {{
        listen 127.0.0.1:{port};
        location /cats/ {{
            proxy_pass http://127.0.0.1:{behind}{slash};
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_read_timeout 35s;
        }}
    }}
}}
"""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("slash", ["/", ""])
def test_behind_nginx_with_a_prefix(models, tmp_path, slash):
    """As docs/serving.md sets it up; the slash says whether nginx takes the prefix off."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    settings = {"trusted_host": ("photos.example.org",), "root_path": "/cats", "token": "t"}
    with running(models, **settings) as (inside, _):
        port = _free_port()
        config = tmp_path / "nginx.conf"
        config.write_text(
            CONFIG.format(folder=tmp_path, port=port, behind=inside.base_url.port, slash=slash), "utf-8"
        )
        proxy = subprocess.Popen([nginx, "-c", str(config), "-e", str(tmp_path / "start.log")])
        try:
            _wait_for(port)
            address = f"http://127.0.0.1:{port}"
            host = {"host": "photos.example.org"}
            token = {"authorization": "Bearer t"}
            with httpx.Client(base_url=address, headers=host, trust_env=False, timeout=20) as client:
                assert client.get("/cats/").status_code == 200
                assert client.get("/cats/openapi.json").json()["servers"] == [{"url": "/cats"}]
                assert client.get("/cats/v1/models").status_code == 401
                models_there = client.get("/cats/v1/models", headers=token).json()
                assert [one["name"] for one in models_there] == ["cats"]
                found = client.post("/cats/v1/predict", content=PICTURE, headers=token)
                assert found.status_code == 200 and found.json()["results"][0]["class"]
                assert client.get("/cats/healthz", headers={"host": "evil.example"}).status_code == 421
                other = {"origin": "https://evil.example", **token}
                assert client.post("/cats/v1/predict", content=PICTURE, headers=other).status_code == 403
                big = client.post("/cats/v1/predict", content=bytes(21_000_000), headers=token)
                assert big.status_code == 413
            smuggling = HIDDEN.replace(b"/v1", b"/cats/v1").replace(b"localhost", b"photos.example.org")
            content = request(
                b"Authorization: Bearer t",
                b"Transfer-Encoding: chunked",
                first=b"POST /cats/v1/predict HTTP/1.1",
                body=b"0;a=\r\r\n\r\n" + smuggling,
            ).replace(b"Host: localhost", b"Connection: close\r\nHost: photos.example.org", 1)
            assert _send(("127.0.0.1", port), content).count(b"HTTP/1.1 ") == 1
        finally:
            proxy.terminate()
            proxy.wait(20)


def _wait_for(port: int) -> None:
    def there() -> bool:
        with socket.socket() as asked:
            return asked.connect_ex(("127.0.0.1", port)) == 0

    wait_until(there, 20)
