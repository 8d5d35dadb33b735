"""Sending a model to the Hub and fetching it: what goes, where, who sees it, and what is refused."""

import json
import pickle
import shutil
import socket
import time
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard, constants

import showtell
from conftest import draw
from hub_stand_in import TOKEN, Hub, hub
from showtell import cli
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.errors import ConfigError, HubError, ModelError, ShowtellError
from showtell.hub.settings import Pull, Push
from showtell.hub.transfer import pull, push
from showtell.kinds.captioner.model import CaptionerModel, CaptionerProvenance
from showtell.kinds.classifier.model import ClassifierModel, ClassifierProvenance
from showtell.kinds.model_folder import save_model
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.models.heads import HeadConfig, build_head
from showtell.models.memory import CaptionMemory
from showtell.text.tokenizer import CaptionTokenizer

CLASSES = ("레오", "ming", "zoe")


@pytest.fixture
def there(monkeypatch, tmp_path):
    """A stand-in for the Hub; the asker is logged in."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    with hub() as server:
        yield server


def record_run(run: Path, evaluations: dict) -> None:
    """Add what a training leaves beside its model, photos among it."""
    lines = [
        {"name": f"{split}{n}.jpg", "split": split, "sha256": "0"}
        for split, count in (("train", 6), ("val", 3), ("test", 2))
        for n in range(count)
    ]
    (run / "images.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "last.safetensors").write_bytes(b"weights")
    (run / "config.json").write_text('{"config": {"data": "/home/sunja/secret photos"}}', encoding="utf-8")
    draw(0).save(run / "photo.jpg")
    draw(0).save(run / "model" / "left behind.jpg")
    for split, record in evaluations.items():
        (run / f"evaluation-{split}.json").write_text(json.dumps(record), encoding="utf-8")


@pytest.fixture(scope="module")
def classifier_run(tmp_path_factory):
    run = tmp_path_factory.mktemp("분류기")
    backbone = load_backbone("test_resnet", "random", image_size=64)
    torch.manual_seed(0)
    head = build_head(HeadConfig("linear", backbone.description.pooled_dim, len(CLASSES))).eval()
    torch.nn.init.normal_(next(p for p in head.parameters() if p.dim() == 2), std=3.0)
    provenance = ClassifierProvenance(
        train_images=6, val_images=3, data="845fff0d", validation={"accuracy": 0.5}
    )
    save_model(
        run / "model", ClassifierModel.of(backbone, head, CLASSES, temperature=1.0, provenance=provenance)
    )
    val = {
        "split": "val",
        "images": 3,
        "scores": {"accuracy": 0.75},
        "intervals_95": {"accuracy": [0.5, 1]},
    }
    record_run(run, {"val": val})
    return run


@pytest.fixture(scope="module")
def captioner_run(tmp_path_factory):
    run = tmp_path_factory.mktemp("captioner")
    backbone = load_backbone("test_resnet", "random", image_size=64)
    tokenizer = CaptionTokenizer.train(["a red circle", "빨간 동그라미 두 개"], kind="word", min_count=1)
    torch.manual_seed(0)
    sizes = DecoderConfig(tokenizer.vocab_size, backbone.description.grid_shape[1], 16, 16, 8)
    decoder = Captioner(sizes, tokenizer, backbone.description.grid_size).eval()
    save_model(
        run / "model",
        CaptionerModel.of(backbone, decoder, beam_size=2, provenance=CaptionerProvenance(train_images=6)),
    )
    scores = {"bleu4": 0.2079, "cider_d": 0.5082}
    intervals = {"bleu4": [0.1937, 0.2218], "cider_d": [0.4748, 0.5429]}
    test = {"split": "test", "images": 2, "beam_size": 5, "scores": scores, "intervals_95": intervals}
    record_run(run, {"test": test})
    return run


@pytest.fixture
def run(classifier_run, tmp_path) -> Path:
    """A classifier's run that a test may spoil."""
    return Path(shutil.copytree(classifier_run, tmp_path / "run"))


def send(there: Hub, run: Path, name: str = "my-cats", **settings) -> dict:
    return push(Push(run, name, endpoint=there.endpoint, **settings))


def fetch(there: Hub, out: Path, name: str = "sunja/my-cats", **settings) -> dict:
    return pull(Pull(name, out, endpoint=there.endpoint, **settings))


def card_of(there: Hub, name: str = "sunja/my-cats") -> ModelCard:
    return ModelCard(there.repositories[name].files["README.md"].decode())


# There and back


@pytest.mark.parametrize("kind", ["captioner", "classifier"])
def test_a_model_comes_back_and_says_the_same(there, kind, request, tmp_path):
    run = request.getfixturevalue(f"{kind}_run")
    sent = send(there, run)
    fetched = fetch(there, tmp_path / "받은 것")
    assert sent["commit"] == fetched["commit"]
    files = {path.name for path in (tmp_path / "받은 것").iterdir()}
    assert files == set(sent["files"]) == set(fetched["files"])
    images = [draw(n) for n in range(3)]
    before, after = showtell.load(run, device="cpu")(images), showtell.load(fetched["out"])(images)
    if kind == "captioner":
        assert [one.text for one in before] == [one.text for one in after]
    else:
        assert [one.probabilities for one in before] == [one.probabilities for one in after]


def test_nothing_but_the_model_is_sent(there, captioner_run, classifier_run):
    four = {"config.json", "model.safetensors", "tokenizer.json", "README.md"}
    for run, name, expected in (
        (captioner_run, "words", four),
        (classifier_run, "names", four - {"tokenizer.json"}),
    ):
        send(there, run, name)
        files = there.repositories[f"sunja/{name}"].files
        assert set(files) - {".gitattributes"} == expected
        for file, content in files.items():
            assert b"secret photos" not in content, file
            assert not content.startswith(b"\xff\xd8"), file
    assert len(there.large) == 2  # the weights went the way of large files


def test_a_repository_is_private_unless_asked_otherwise(there, classifier_run):
    assert send(there, classifier_run)["private"] is True
    assert there.repositories["sunja/my-cats"].private
    assert send(there, classifier_run, "cats-inc/shown", public=True)["private"] is False
    assert not there.repositories["cats-inc/shown"].private


class Listener(Console):
    """Keeps what was said, and what had been written by then."""

    def __init__(self, there: Hub) -> None:
        super().__init__(quiet=True)
        self.there, self.said = there, []

    def say(self, text: str = "") -> None:
        self.said.append((text, self.there.wrote()))


def test_what_is_sent_how_large_and_where_is_said_before(there, classifier_run):
    listener = Listener(there)
    push(Push(classifier_run, "my-cats", endpoint=there.endpoint), listener)
    announced, written = listener.said[0]
    assert written == []
    assert "sunja/my-cats" in announced
    assert "only you" in announced
    for file in ("config.json", "model.safetensors", "README.md"):
        assert file in announced
    assert "MB in all" in announced
    assert "3 names of its classes" in announced
    assert there.wrote()


def test_a_memory_that_is_sent_is_said(there, captioner_run, tmp_path):
    model = showtell.load(captioner_run, device="cpu")
    pooled = torch.rand(2, model.config.backbone.pooled_dim)
    model.captioner.memory = CaptionMemory.of(pooled, ["a.jpg", "b.jpg"], [("a red circle",)] * 2)
    save_model(tmp_path / "model", CaptionerModel.of(model.backbone, model.captioner, beam_size=2))
    listener = Listener(there)
    sent = push(Push(tmp_path, "words", endpoint=there.endpoint), listener)
    assert "memory.json" in sent["files"]
    announced, _ = listener.said[0]
    assert "names, captions and features of 2 images; no image" in announced
    assert "no caption" not in announced


def test_sending_again_replaces_and_removes(there, captioner_run, classifier_run, tmp_path):
    first = send(there, captioner_run)
    second = send(there, classifier_run)
    assert first["commit"] != second["commit"]
    assert "tokenizer.json" not in there.repositories["sunja/my-cats"].files
    fetch(there, tmp_path / "now")
    fetch(there, tmp_path / "before", revision=first["commit"])
    assert isinstance(showtell.load(tmp_path / "now"), type(showtell.load(classifier_run)))
    assert isinstance(showtell.load(tmp_path / "before"), type(showtell.load(captioner_run)))


def test_the_commands_tell_where_it_went_and_print_json(there, classifier_run, tmp_path, capsys):
    out = tmp_path / "my cats"
    endpoint = ["--endpoint", there.endpoint]
    assert cli.run(["push", str(classifier_run), "my-cats", "--json", *endpoint]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["name"] == "sunja/my-cats"
    assert f"Sent: {there.endpoint}/sunja/my-cats" in printed.err
    assert "licence is to be filled in" in printed.err
    assert cli.run(["pull", "sunja/my-cats", str(out), "--json", *endpoint]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["out"] == str(out)
    assert f"whole and sound. Try it: showtell predict '{out}' PICTURE" in printed.err


# The card


def test_the_card_of_a_captioner_tells_data_scores_and_limits(there, captioner_run):
    send(there, captioner_run, license="cc-by-4.0")
    card = card_of(there)
    assert card.data.pipeline_tag == "image-to-text"
    assert card.data.library_name == "showtell"
    assert card.data.license == "cc-by-4.0"
    assert {"showtell", "image-captioning"} <= set(card.data.tags)
    text = " ".join(card.text.split())
    assert "6 train, 3 val, 2 test" in text
    assert "| bleu4 | 0.2079 | 0.1937 to 0.2218 |" in text
    assert "| test, 2 images, beam 5 |" in text
    assert "not what is true" in text
    assert "showtell pull sunja/my-cats my-cats" in text


def test_the_card_of_a_classifier_leaves_the_licence_open(there, classifier_run):
    send(there, classifier_run)
    card = card_of(there)
    assert card.data.pipeline_tag == "image-classification"
    assert card.data.license is None
    assert card.data.base_model is None  # random weights
    assert "레오, ming, zoe" in card.text
    assert "| accuracy | 0.7500 | 0.5000 to 1.0000 |" in card.text
    assert "fresh images score lower" in card.text
    assert card.text.count("To be filled in") == 2  # whose images, which licence


def test_the_card_names_the_base_model_where_it_is_on_the_hub(there, run):
    config = json.loads((run / "model" / "config.json").read_text("utf-8"))
    config["backbone"]["weights_source"] = "hub timm/mobilenetv2_100.ra_in1k, fine-tuned from blocks.4 up"
    (run / "model" / "config.json").write_text(json.dumps(config), "utf-8")
    send(there, run)
    assert card_of(there).data.base_model == "timm/mobilenetv2_100.ra_in1k"


def test_a_draft_is_written_and_not_sent_and_then_kept(there, run):
    path = run / "model" / "README.md"
    push(Push(run, "my-cats", dry_run=True, endpoint="http://127.0.0.1:9"))
    assert there.requests == []
    path.write_text(path.read_text("utf-8") + "\nThe photos are mine.\n", "utf-8")
    push(Push(run, "my-cats", dry_run=True, license="cc0-1.0"))
    assert "The photos are mine." in path.read_text("utf-8") and "cc0-1.0" in path.read_text("utf-8")
    send(there, run, license="mit")
    card = card_of(there)
    assert "The photos are mine." in card.text
    assert card.data.license == "mit"
    assert card.data.pipeline_tag == "image-classification"


@pytest.mark.parametrize(
    "content", [b"---\nlicense: [mit\n tags: : x\n---\n# Mine\n", "---\n---\n# 고양이\n".encode("cp949")]
)
def test_a_card_that_cannot_be_read_is_named(there, run, content):
    (run / "model" / "README.md").write_bytes(content)
    refused(ModelError, "README.md cannot be read as a model's card", send, there, run, license="mit")
    assert there.wrote() == []


def test_a_card_says_what_was_cross_validated_and_keeps_no_score_that_says_nothing(there, run):
    path = run / "evaluation-val.json"
    val = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(val | {"images": 9, "folds": 10}), "utf-8")
    send(there, run)
    text = card_of(there).text
    assert "| cross-validation of train and val in 10 folds, 9 images |" in text
    assert "also chose" not in text
    path.write_text(json.dumps(val | {"doubt": "its 3 validation images are a single group"}), "utf-8")
    config = json.loads((run / "model" / "config.json").read_text("utf-8"))
    config["provenance"]["validation"] = {}  # as such a training leaves it
    (run / "model" / "config.json").write_text(json.dumps(config), "utf-8")
    send(there, run)
    assert "None are recorded." in card_of(there).text
    config["provenance"]["validation"] = {"accuracy": 0.75, "folds": 10, "groups": 9}
    (run / "model" / "config.json").write_text(json.dumps(config), "utf-8")
    path.unlink()
    send(there, run)
    assert "| cross-validation of train and val in 10 folds | |" in card_of(there).text


def test_a_card_that_the_hub_refuses_is_explained(there, run):
    with pytest.raises(HubError, match="license") as caught:
        send(there, run, license="nonsense")
    assert "\n" not in caught.value.what
    assert "config.json" not in there.repositories["sunja/my-cats"].files


# What push refuses


def refused(kind: type[ShowtellError], match: str, task, *arguments, **settings) -> ShowtellError:
    with pytest.raises(kind, match=match) as caught:
        task(*arguments, **settings)
    assert "\n" not in caught.value.what
    return caught.value


def test_nothing_is_published_by_accident(there, classifier_run):
    there.put("sunja/my-cats", {}, private=False)
    assert "--public" in refused(HubError, "everybody can see it", send, there, classifier_run).hint
    assert there.wrote() == []
    assert send(there, classifier_run, public=True)["private"] is False


def test_what_is_private_is_not_taken_for_public(there, classifier_run):
    there.put("sunja/my-cats", {}, private=True)
    refused(HubError, "is private; --public makes", send, there, classifier_run, public=True)
    assert there.wrote() == []


def test_what_is_no_model_of_ours_is_not_written_over(there, classifier_run):
    there.put("sunja/my-cats", {"train.csv": b"", "pytorch_model.bin": b""}, private=True)
    refused(HubError, "holds other things: pytorch_model.bin, train.csv", send, there, classifier_run)
    assert there.wrote() == []


def test_a_damaged_model_is_not_sent(there, run):
    path = run / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    refused(ModelError, "cannot be read", send, there, run)
    assert there.wrote() == []


def test_who_is_not_logged_in_is_told_how(there, classifier_run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert refused(HubError, "token", send, there, classifier_run).run == "hf auth login"
    monkeypatch.delenv("HF_TOKEN")
    assert refused(HubError, "not logged in", send, there, classifier_run).run == "hf auth login"
    assert there.wrote() == []


def test_names_are_checked(there, classifier_run):
    refused(ConfigError, "not a name on the Hub", send, there, classifier_run, "고양이")
    refused(ConfigError, "not a name on the Hub", send, there, classifier_run, "a/b/c")
    assert there.requests == []
    error = refused(HubError, "cannot write to minsu", send, there, classifier_run, "minsu/cats")
    assert "sunja, cats-inc" in error.hint


# What pull refuses


@pytest.fixture
def files(classifier_run) -> dict[str, bytes]:
    names = ("config.json", "model.safetensors", "README.md")
    return {name: (classifier_run / "model" / name).read_bytes() for name in names}


@pytest.mark.parametrize("name", ["pytorch_model.bin", "optimizer.pt", "sub/words.PKL"])
def test_pickles_are_not_fetched(there, files, tmp_path, name):
    there.put("sunja/my-cats", files | {name: pickle.dumps({})})
    refused(HubError, "could run code", fetch, there, tmp_path / "out")
    assert not any("resolve" in path for _, path in there.requests)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["modeling.py", "sub/config.json", "..config.json"])
def test_what_is_no_part_of_a_model_is_not_fetched(there, files, tmp_path, name):
    there.put("sunja/my-cats", files | {name: b"import os"})
    refused(HubError, "not part of a model", fetch, there, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_licence_beside_the_model_is_no_fault(there, files, tmp_path):
    there.put("sunja/my-cats", files | {"LICENSE": b"MIT", ".gitattributes": b""})
    fetch(there, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(files)


def test_what_is_no_model_at_all_is_named(there, files, tmp_path):
    there.put("sunja/my-cats", {"README.md": b"hello"})
    refused(HubError, r"no config\.json and no model\.safetensors", fetch, there, tmp_path / "out")


def test_a_model_that_does_not_load_is_not_kept(there, files, tmp_path):
    weights = bytearray(files["model.safetensors"])
    weights[-1] ^= 1
    for content in (bytes(weights), files["model.safetensors"][:999], pickle.dumps({"head": 1})):
        there.put("sunja/my-cats", files | {"model.safetensors": content})
        error = refused(ModelError, "Nothing was kept", fetch, there, tmp_path / "out")
        assert ".partial" not in str(error)
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(there, files, tmp_path):
    there.put("sunja/my-cats", files)
    (tmp_path / "out").mkdir()
    fetch(there, tmp_path / "out")  # an empty one is fine
    refused(ConfigError, "exists already", fetch, there, tmp_path / "out")


def test_a_missing_or_private_model_and_a_missing_revision(there, files, tmp_path, monkeypatch):
    there.put("sunja/my-cats", files, private=True)
    refused(HubError, "no such revision", fetch, there, tmp_path / "out", revision="v9")
    refused(HubError, "no model sunja/none", fetch, there, tmp_path / "out", "sunja/none")
    monkeypatch.delenv("HF_TOKEN")
    error = refused(HubError, "private and not for you", fetch, there, tmp_path / "out")
    assert error.run == "hf auth login"


# When the network fails


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize("endpoint", [closed_port(), "http://hub.invalid"], ids=["closed port", "no host"])
def test_without_a_network_the_message_comes_at_once(there, classifier_run, tmp_path, endpoint):
    started = time.monotonic()
    for task, config in (
        (push, Push(classifier_run, "my-cats", endpoint=endpoint)),
        (pull, Pull("sunja/my-cats", tmp_path / "out", endpoint=endpoint)),
    ):
        error = refused(HubError, f"at {endpoint} cannot be reached", task, config)
        assert "copy" in error.hint
    assert time.monotonic() - started < 5


def test_the_hubs_own_offline_switch_is_obeyed(there, classifier_run, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused(HubError, "HF_HUB_OFFLINE", send, there, classifier_run)
    assert there.requests == []


@pytest.mark.parametrize(("where", "status"), [("/commit/", 403), ("/commit/", 500), ("/create", 403)])
def test_a_hub_that_refuses_is_quoted(there, classifier_run, where, status):
    there.faults[where] = status
    error = refused(HubError, rf"refused \({status}\).*told to fail", send, there, classifier_run)
    assert ("right to write" in error.hint) == (status == 403)


def test_a_download_that_fails_leaves_nothing(there, files, tmp_path):
    there.put("sunja/my-cats", files)
    there.faults["/large/"] = 403
    refused(HubError, "403", fetch, there, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
