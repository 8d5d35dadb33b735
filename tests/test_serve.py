"""The HTTP API answers as the library does, in batches, to whom it should, and ends what it began."""

import os
import re
import signal
import socket
import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest
import torch

pytest.importorskip("fastapi")

from prometheus_client.parser import text_string_to_metric_families
from pydantic import TypeAdapter

import showtell
from conftest import draw, encoded
from serving import CLASSES, Held, make_captioner, make_classifier, running, wait_until
from showtell.errors import ConfigError, MissingExtraError
from showtell.serving import schema
from showtell.serving.guard import is_local
from showtell.serving.serve import load_models, serve
from showtell.serving.settings import Serve
from showtell.teaching.settings import Teach

PICTURES = [encoded(draw(n), "PNG") for n in range(6)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    return {
        "고양이": make_classifier(root / "고양이"),
        "words": make_captioner(root / "words", ["a red circle", "three hearts above a star"]),
        "말": make_captioner(root / "말", ["빨간 동그라미 두 개", "파란 별 아래 네모"]),
    }


@pytest.fixture(scope="module")
def models(runs):
    return {name: showtell.load(run, device="cpu") for name, run in runs.items()}


@pytest.fixture(scope="module")
def client(models):
    with running(models) as (client, _):
        yield client


def held(runs) -> tuple[dict[str, object], Held]:
    """Return a model of its own that waits before it looks."""
    model = showtell.load(runs["고양이"], device="cpu")
    return {"고양이": model}, Held(model)


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    """Return a sample of /metrics; 0 where nothing was counted yet."""
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return 0.0


def same(a: object, b: object) -> bool:
    """Say whether records are the same but for rounding: the server looks at images together."""
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == pytest.approx(b, abs=1e-4) if isinstance(a, float) else a == b


def test_it_answers_as_the_library_does(client, models):
    expected = models["고양이"](PICTURES[0]).record()
    raw = client.post("/v1/predict", content=PICTURES[0])
    assert raw.status_code == 200
    assert raw.json()["model"] == "고양이"
    assert same(raw.json()["results"], [expected])
    assert same(
        client.post("/v1/predict?model=words", content=PICTURES[1]).json()["results"],
        [models["words"](PICTURES[1]).record()],
    )


def test_several_images_are_answered_in_order_under_their_names(client, models):
    names = ["하나.png", unicodedata.normalize("NFD", "둘.png"), "three.png", "사.png"]
    files = [("images", (name, content)) for name, content in zip(names, PICTURES)]
    results = client.post("/v1/predict", files=files).json()["results"]
    assert [result["image"] for result in results] == [unicodedata.normalize("NFC", name) for name in names]
    singles = [models["고양이"](content).record() for content in PICTURES[:4]]
    assert len({single["classes"]["zoe"] for single in singles}) == 4
    assert all(same({"image": r["image"]} | s, r) for r, s in zip(results, singles))


def test_what_cannot_be_read_is_said_in_its_place_or_refused_alone(client):
    files = [("images", (f"{n}", content)) for n, content in enumerate([PICTURES[0], b"GIF8", PICTURES[1]])]
    found = client.post("/v1/predict", files=files)
    assert found.status_code == 200
    good, bad, last = found.json()["results"]
    assert "class" in good
    assert "class" in last
    assert bad["image"] == "1"
    assert "damaged or cut off" in bad["error"]
    alone = client.post("/v1/predict", content=b"GIF8")
    assert alone.status_code == 422
    assert "damaged or cut off" in alone.json()["error"]
    assert client.post("/v1/predict", files=files[1:2]).status_code == 422


def test_where_it_looked_comes_when_asked_for(client, models):
    (found,) = client.post("/v1/predict?explain=true", content=PICTURES[2]).json()["results"]
    heat = models["고양이"].grad_cam(models["고양이"].pixels(PICTURES[2]), found["class"])
    cells = torch.tensor(found["grad_cam"]["cells"])
    assert found["grad_cam"]["label"] == found["class"]
    assert cells.shape == heat.shape
    assert cells.max() == 1
    assert torch.allclose(cells, heat / heat.max(), atol=1e-3)
    assert found["seen"] == [0, 0, 1, 1]
    assert "grad_cam" not in client.post("/v1/predict", content=PICTURES[2]).json()["results"][0]
    (captioned,) = client.post("/v1/predict?explain=true&model=words", content=PICTURES[2]).json()["results"]
    assert captioned["seen"] == [0, 0, 1, 1]


def test_what_the_network_saw_is_the_part_that_was_cut_out(runs, monkeypatch):
    model = showtell.load(runs["고양이"], device="cpu")
    cropped = replace(model.backbone.preprocessing, fit="crop", crop_pct=0.5)
    monkeypatch.setattr(model.backbone, "preprocessing", cropped)
    with running({"c": model}) as (client, _):
        wide = encoded(draw(1).resize((256, 128)), "PNG")
        (found,) = client.post("/v1/predict?explain=true", content=wide).json()["results"]
    assert found["seen"] == pytest.approx([0.375, 0.25, 0.625, 0.75])


def test_beams_are_searched_as_asked(client, models):
    def captions(query: str) -> list[str]:
        found = client.post(f"/v1/predict?model=words{query}", content=PICTURES[0]).json()["results"][0]
        return [found["caption"], *(other["caption"] for other in found["others"])]

    assert len(captions("")) == models["words"].beam_size == 3
    assert len(captions("&beams=1")) == 1
    assert len(captions("&beams=5")) == 5
    for beams in ("0", "11", "many"):
        refused = client.post(f"/v1/predict?beams={beams}", content=PICTURES[0])
        assert refused.status_code == 422
        assert "beams" in refused.json()["error"]


def test_it_tells_what_it_holds(client, models):
    cats, words, korean = client.get("/v1/models").json()
    assert cats["name"] == "고양이"
    assert cats["kind"] == "classifier"
    assert cats["classes"] == list(CLASSES)
    assert words["kind"] == korean["kind"] == "captioner"
    assert words["vocab_size"] == models["words"].captioner.tokenizer.vocab_size
    assert words["scores"] == {"cider_d": 0.5}
    assert (words["language"], korean["language"]) == ("en", "ko")
    card = client.get("/v1/model", params={"model": "말"}).json()
    assert card["name"] == "말"
    assert card["config"]["kind"] == "captioner"
    assert card["readme"].startswith("# A captioner")
    for missing in (client.get("/v1/model?model=dogs"), client.post("/v1/predict?model=dogs", content=b"x")):
        assert missing.status_code == 404
        assert "고양이, words, 말" in missing.json()["error"]


def test_its_description_holds_for_what_it_says(client):
    """Answers fit the published shapes, and the pages for people load nothing from elsewhere."""
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {"/v1/predict", "/v1/models", "/v1/model", "/healthz", "/metrics"}
    files = [("images", ("a", content)) for content in (PICTURES[0], b"nothing")]
    for query, kind in (("explain=true", schema.Classified), ("model=words&explain=true", schema.Captioned)):
        answer = client.post(f"/v1/predict?{query}", files=files).content
        found = schema.Answer.model_validate_json(answer, strict=True, extra="forbid").results
        assert [type(result) for result in found] == [kind, schema.Unreadable]
    TypeAdapter(list[schema.ModelSummary]).validate_python(client.get("/v1/models").json(), extra="forbid")
    schema.Card.model_validate(client.get("/v1/model").json(), extra="forbid")
    page = client.get("/")
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page.text)
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404


def test_it_counts_what_it_does(client):
    def counts() -> tuple[float, ...]:
        return (
            metric(client, "showtell_requests_total", status="422"),
            metric(client, "showtell_images_total", model="고양이", outcome="answered"),
            metric(client, "showtell_images_total", model="고양이", outcome="unreadable"),
            metric(client, "showtell_predict_seconds_count"),
            metric(client, "showtell_batch_images_sum", model="고양이"),
        )

    before = counts()
    files = [("images", ("a", content)) for content in (PICTURES[0], b"nothing", PICTURES[1])]
    client.post("/v1/predict", files=files)
    client.post("/v1/predict", content=b"nothing")
    assert [after - was for after, was in zip(counts(), before)] == [1, 2, 2, 2, 2]
    assert metric(client, "showtell_queue_images", model="고양이") == 0
    assert metric(client, "showtell_requests_in_flight") == 0
    assert metric(client, "process_resident_memory_bytes") > 1e7


def test_images_gather_while_the_model_is_busy(runs):
    models, hold = held(runs)
    with running(models) as (client, _), ThreadPoolExecutor(21) as pool:
        first = pool.submit(client.post, "/v1/predict", content=PICTURES[0])
        wait_until(lambda: hold.looks == [1])  # an idle model does not wait for company
        others = [pool.submit(client.post, "/v1/predict", content=PICTURES[n % 6]) for n in range(20)]
        wait_until(lambda: metric(client, "showtell_queue_images", model="고양이") == 20)
        hold.go.set()
        answers = [future.result() for future in (first, *others)]
    assert [answer.status_code for answer in answers] == [200] * 21
    assert hold.looks == [1, 16, 4]
    assert same(answers[0].json(), answers[1].json())  # the same image, alone and in company


def test_beyond_its_room_it_says_when_to_come_back(runs):
    models, hold = held(runs)
    with running(models, max_in_flight=2) as (client, _), ThreadPoolExecutor(2) as pool:
        taken = [pool.submit(client.post, "/v1/predict", content=PICTURES[0]) for _ in range(2)]
        wait_until(lambda: metric(client, "showtell_requests_in_flight") == 2)
        refused = client.post("/v1/predict", content=PICTURES[0])
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert "2 requests" in refused.json()["error"]
        assert client.get("/healthz").json() == {"status": "ok"}
        hold.go.set()
        assert [future.result().status_code for future in taken] == [200, 200]
        assert client.post("/v1/predict", content=PICTURES[0]).status_code == 200


def test_an_answer_that_comes_too_late_is_not_computed(runs):
    models, hold = held(runs)
    with running(models, timeout=2) as (client, _), ThreadPoolExecutor(3) as pool:
        late = [pool.submit(client.post, "/v1/predict", content=PICTURES[0])]
        wait_until(lambda: hold.looks == [1])
        late += [pool.submit(client.post, "/v1/predict", content=PICTURES[0]) for _ in range(2)]
        answers = [future.result() for future in late]
        hold.go.set()
        assert [answer.status_code for answer in answers] == [503] * 3
        assert "2 seconds" in answers[0].json()["error"]
        assert answers[0].headers["retry-after"]
        assert client.post("/v1/predict", content=PICTURES[0]).status_code == 200
    assert hold.looks == [1, 1]  # the one that was being looked at, and the last


def test_a_fault_of_the_model_is_told_and_survived(runs, monkeypatch):
    model = showtell.load(runs["고양이"], device="cpu")
    works = model.from_pixels
    with running({"m": model}) as (client, _):
        monkeypatch.setattr(model, "from_pixels", lambda pixels: 1 / 0)
        failed = client.post("/v1/predict", content=PICTURES[0])
        assert failed.status_code == 500
        assert "ZeroDivisionError" in failed.json()["error"]
        monkeypatch.setattr(model, "from_pixels", works)
        assert client.post("/v1/predict", content=PICTURES[0]).status_code == 200


def test_a_token_is_asked_for(models):
    with running(models, token="비밀 42") as (client, _):
        bearer = "Bearer 비밀 42".encode()
        for headers, status in (
            ({}, 401),
            ({"authorization": b"Bearer 42"}, 401),
            ({"authorization": "Basic 비밀 42".encode()}, 401),
            ({"authorization": bearer}, 200),
        ):
            found = client.post("/v1/predict", content=PICTURES[0], headers=headers)
            assert found.status_code == status, headers
            assert client.get("/metrics", headers=headers).status_code == status
            assert client.get("/v1/models", headers=headers).status_code == status
        assert client.get("/v1/models").headers["www-authenticate"] == "Bearer"
        for path in ("/healthz", "/", "/openapi.json"):
            assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "localhost.evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example:80"}, 421),
        ({"host": "[::1"}, 421),
        ({"host": "localhost"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"host": "localhost:8000", "origin": "http://localhost:8000"}, 200),
    ],
)
def test_pages_of_other_sites_reach_no_local_server(client, headers, status):
    found = client.get("/v1/models", headers=headers)
    assert found.status_code == status
    assert status == 200 or "--trusted-host" in found.json()["error"]
    assert found.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("mdoel=말", "'mdoel' is unknown"),
        ("model=말&model=고양이", "'model' is given twice"),
        ("model=고양이&beams=3", "고양이 is a classifier"),
        ("beams=3&explain=true&x=1", "'x' is unknown"),
    ],
)
def test_no_question_is_answered_otherwise_than_it_was_asked(client, query, said):
    found = client.post(f"/v1/predict?{query}", content=PICTURES[0])
    assert found.status_code == 422 and said in found.json()["error"]


def test_what_is_asked_does_not_stand_in_a_form(client):
    form = {"files": {"images": ("a.png", PICTURES[0])}, "data": {"model": "말"}}
    found = client.post("/v1/predict", **form)
    assert found.status_code == 422
    assert "The form has a part 'model' besides images" in found.json()["error"]


def test_a_server_for_others_answers_under_any_name(models, monkeypatch):
    with running(models, host="0.0.0.0") as (client, _):
        assert client.get("/v1/models", headers={"host": "cats.example"}).status_code == 200
        own = {"host": "cats.example:8000", "origin": "http://cats.example:8000"}
        assert client.get("/v1/models", headers=own).status_code == 200
        for foreign in ("http://elsewhere.example", "null", "http://["):
            assert client.get("/v1/models", headers=own | {"origin": foreign}).status_code == 403
    local = ("localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]")
    assert [is_local(host) for host in local] == [True] * 5
    assert not any(is_local(host) for host in ("0.0.0.0", "::", "192.168.1.2", "localhost.example", ""))


def test_what_is_in_flight_is_finished_at_the_end(runs):
    models, hold = held(runs)
    with ThreadPoolExecutor(1) as pool, running(models) as (client, server):
        answer = pool.submit(client.post, "/v1/predict", content=PICTURES[0])
        wait_until(lambda: hold.looks == [1])
        server.handle_exit(signal.SIGTERM, None)
        wait_until(lambda: _is_closed(client))
        hold.go.set()
        assert answer.result().status_code == 200


def _is_closed(client: httpx.Client) -> bool:
    try:
        socket.create_connection((client.base_url.host, client.base_url.port), timeout=5).close()
    except OSError:
        return True
    return False


def test_the_command_serves_warns_and_ends_well(runs):
    command = [sys.executable, "-m", "showtell", "serve", *map(str, runs.values()), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SHOWTELL_TOKEN": "t"}
    with subprocess.Popen(
        [*command, "--host", "0.0.0.0"], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        said = []
        while not (said and "Ctrl-C" in said[-1]):
            said.append(process.stderr.readline())
            assert said[-1], said
        port = re.search(r"localhost:(\d+)", said[-1])[1]
        answer = httpx.post(
            f"http://127.0.0.1:{port}/v1/predict",
            content=PICTURES[0],
            headers={"authorization": "Bearer t"},
            trust_env=False,
            timeout=20,
        )
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert answer.status_code == 200
    assert process.returncode == 0
    assert "고양이: classifier with the 3 names of its classes" in said[0]
    assert "Warning" in "".join(said)
    assert "0.0.0.0" in "".join(said)
    assert rest == "Stopped; every request that was in flight was answered.\n"


def test_mistakes_are_said_before_models_are_loaded(runs, monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match="No run"):
        serve(Serve(runs=()))
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="in use"):
        serve(Serve(runs=(tmp_path,), port=taken.getsockname()[1]))
    with pytest.raises(ConfigError, match="--max-images 0"):
        Serve(runs=(), max_images=0)
    for make in (partial(Serve, runs=()), partial(Teach, data=tmp_path)):
        for token in ("", " ", "secret "):
            with pytest.raises(ConfigError, match="--token is empty, or begins or ends with a blank"):
                make(token=token)
    for wrong in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="--timeout"):
            Serve(runs=(), timeout=wrong)
        with pytest.raises(ConfigError, match="--idle-timeout"):
            Serve(runs=(), idle_timeout=wrong)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'showtell\[serve\]'"):
        serve(Serve(runs=(tmp_path,)))


def test_models_are_called_as_their_folders(runs, tmp_path):
    other = make_classifier(tmp_path / unicodedata.normalize("NFD", "고양이"))
    names = list(load_models([runs["고양이"], other, other / "model", runs["words"]], "cpu"))
    assert names == ["고양이", "고양이-2", "고양이-3", "words"]
