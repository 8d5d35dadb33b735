"""Who asks at a wrong address, with something else, or through a proxy, is told the right way."""

import json
import re
import shlex
import shutil
import subprocess

import httpx
import pytest
import tyro

pytest.importorskip("fastapi")

import showtell
from conftest import draw, encoded
from serving import make_classifier, running
from showtell.serving.settings import Serve

PICTURE = encoded(draw(1), "PNG")
TOKEN = {"authorization": "Bearer t"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return {"cats": showtell.load(make_classifier(tmp_path_factory.mktemp("cats")), device="cpu")}


@pytest.fixture(scope="module")
def client(models):
    with running(models) as (client, _):
        yield client


def example(client: httpx.Client) -> str:
    return f"curl -F images=@cat.jpg {str(client.base_url).rstrip('/')}/v1/predict"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 404),
        ("POST", "/v1/predict/", 404),
        ("POST", "/api/v2/Predictions", 404),
        ("POST", "/", 404),
        ("GET", "/favicon.ico", 404),
        ("GET", "/v1/predict", 405),
        ("PUT", "/v1/predict", 405),
        ("POST", "/v1/models", 405),
    ],
)
def test_a_wrong_address_is_answered_with_the_right_ones(client, method, path, status):
    found = client.request(method, path)
    assert found.status_code == status
    error = found.json()["error"]
    assert error.startswith(f"{method} {path}: there is nothing.")
    assert "POST /v1/predict, GET /v1/models" in error and example(client) in error
    if status == 405:
        assert found.headers["allow"] == ("GET" if "models" in path else "POST")


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"json": {"image": "aGVsbG8="}}, 415, "application/json"),
        (
            {"content": b"cat.jpg", "headers": {"content-type": "text/plain; charset=utf-8"}},
            415,
            "text/plain",
        ),
        ({"data": {"images": "cat.jpg"}}, 422, "first bytes"),
        ({"files": [("image", ("a.png", PICTURE))]}, 422, "its parts: image."),
        ({"content": b""}, 422, "empty"),
    ],
)
def test_who_sends_something_else_is_told_what_to_send(client, sent, status, said):
    found = client.post("/v1/predict", **sent)
    assert found.status_code == status
    assert said in found.json()["error"]
    assert example(client) in found.json()["error"]


def test_the_example_that_is_told_works(models, tmp_path):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not on PATH")
    (tmp_path / "cat.jpg").write_bytes(PICTURE)
    with running(models, token="t") as (client, _):
        error = client.post("/v1/predict", headers=TOKEN, json={}).json()["error"]
        command = shlex.split(error[error.index("curl ") :].replace("TOKEN", "t"))
        sent = [curl, "--noproxy", "*", "-s", *command[1:]]
        answer = subprocess.run(sent, cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(answer.stdout)["results"][0]["image"] == "cat.jpg"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "cats.example"}, 200),
        ({"host": "CATS.example:8443", "origin": "https://CATS.example:8443"}, 200),
        ({"host": "127.0.0.1:8000", "origin": "https://cats.example"}, 200),  # a proxy that names this server
        ({"host": "localhost"}, 200),
        ({"host": "evil.example"}, 421),
        ({"host": "cats.example.evil.example"}, 421),
        ({"host": "evilcats.example"}, 421),
        ({"host": "cats.example", "origin": "https://evil.example"}, 403),
        ({"host": "cats.example", "origin": "null"}, 403),
    ],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_proxy_is_trusted_by_its_name_and_nobody_else(models, host, headers, status):
    with running(models, host=host, trusted_host=("dogs.example", "Cats.example")) as (client, _):
        found = client.get("/v1/models", headers=headers)
    assert found.status_code == status
    if status == 421:
        assert f"start the server with --trusted-host {headers['host']}." in found.json()["error"]
    if status == 403:
        assert "--trusted-host" in found.json()["error"]


def test_the_flag_of_trusted_names_may_be_repeated():
    typed = ["runs/x", "--trusted-host", "a.example", "--trusted-host", "b.example", "--root-path", "cats/"]
    settings = tyro.cli(Serve, args=typed)
    assert settings.trusted_host == ("a.example", "b.example")
    assert settings.root_path == "/cats"
    assert Serve(runs=()).root_path == Serve(runs=(), root_path="/").root_path == ""


@pytest.mark.parametrize("seen", ["", "/cats"])
def test_behind_a_prefix_all_is_found_whether_or_not_the_proxy_takes_it_off(models, seen):
    headers = {"host": "cats.example", "x-forwarded-proto": "https"}
    with running(models, trusted_host=("cats.example",), root_path="/cats", token="t") as (client, _):

        def get(path: str, **more: str) -> httpx.Response:
            return client.get(seen + path, headers=headers | more)

        assert "https://cats.example/cats/v1/predict" in get("/nothing").json()["error"]
        for link in re.findall(r'(?:href|src)="([^"]+)"', get("/").text):
            assert not link.startswith(("/", "http")), "it leads out of the prefix"
            assert get(f"/{link}").status_code == 200
        assert get("/openapi.json").json()["servers"] == [{"url": "/cats"}]
        assert get("/v1/models", **TOKEN).status_code == 200
        wrong = get("/models", **TOKEN).json()["error"]
        assert wrong.startswith("GET /cats/models: there is nothing.") and "GET /cats/v1/models" in wrong
        assert timed(get("/metrics", **TOKEN)) == 0
        assert client.post(f"{seen}/v1/predict", content=PICTURE, headers=headers | TOKEN).status_code == 200
        assert timed(get("/metrics", **TOKEN)) == 1


def timed(metrics: httpx.Response) -> float:
    """Return how many predictions were timed."""
    return float(re.search(r"^showtell_predict_seconds_count (\S+)$", metrics.text, re.MULTILINE)[1])


def test_no_spelling_of_an_address_evades_the_token(models):
    with running(models, root_path="/cats", token="t") as (client, _):
        for start in (
            "",
            "/cats",
            "/cats/cats",
            "/cats/cats/cats",
            "/cats//",
            "/%63ats",
            "/Cats",
            "/cats/x/..",
        ):
            for path in ("/v1/models", "/metrics"):
                assert client.get(start + path).status_code in (401, 404), start + path
        for path in ("/v1/models", "/cats/v1/models"):
            assert client.get(path, headers=TOKEN).status_code == 200
        assert client.get("/cats").headers["location"] == "/cats/"
