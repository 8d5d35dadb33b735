"""What a model said is corrected, kept, and learnt by a training that goes on from its run."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from conftest import draw, encoded, settings_file
from showtell import cli
from showtell.data.answers import MACHINE, Answer
from showtell.errors import DataError
from showtell.flags import parse
from showtell.kinds.captioner import train as training
from showtell.kinds.captioner.model import CaptionerModel
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.model_folder import load_model
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.runs.corrections import Corrections
from showtell.runs.run import Run
from showtell.samples import write_captions_dataset, write_classes_dataset
from showtell.text.tokenizer import CaptionTokenizer

SMALL = {"image_size": 64, "hidden_dim": 32, "augmentations": 1, "scst_epochs": 0}
NETWORK = ["--backbone", "test_resnet", "--weights", "random"]


def call(*arguments: object) -> int:
    return cli.run([str(one) for one in arguments])


@pytest.fixture(scope="module")
def captioned(tmp_path_factory) -> Path:
    """Return a folder with data and a run of a captioner."""
    folder = tmp_path_factory.mktemp("captioned")
    write_captions_dataset(folder / "data", language="en", count=40, seed=1)
    file = settings_file(**SMALL)
    call(
        "train-captioner", folder / "data", "--out", folder / "first", "--store", folder / "store",
        *NETWORK, "--epochs", "30", *file,
    )  # fmt: skip
    return folder


def go_on(folder: Path, out: str, *more: object, **rare: object) -> int:
    return call(
        "train-captioner", *more, "--from", folder / "first", "--out", folder / out,
        "--store", folder / "store", *settings_file(**{"augmentations": 1, "scst_epochs": 0} | rare),
    )  # fmt: skip


def surprises(run: Path) -> list[float]:
    """Return the loss of each validation."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line["validation"]["loss"] for line in lines if "validation" in line]


@torch.inference_mode()
def log_probability(model: CaptionerModel, image: Path, caption: str) -> float:
    captioner = model.captioner
    grid, _ = model.backbone(model.pixels(image).unsqueeze(0))
    ids = [captioner.tokenizer.bos_id, *captioner.tokenizer.encode(caption), captioner.tokenizer.eos_id]
    packed = captioner.decoder.teacher_forced(
        grid, torch.tensor([[ids[:-1]]]), torch.tensor([[len(ids) - 1]])
    )
    return float(packed.logits.log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None]).sum())


def test_a_correction_with_a_new_word_is_learnt(captioned, capsys):
    first = load_model(captioned / "first")
    corrections = Corrections(Run(captioned / "first"), "caption")
    own = sorted((captioned / "data").rglob("*.png"))[0]
    right = "a zebrafinch beside a red circle"
    for content, source in ((own.read_bytes(), own.name), (encoded(draw(7), "png"), "new one.png")):
        corrections.add(content, right, said="a square", source=source)
    go_on(captioned, "second", learning_rate=0.02)
    said = capsys.readouterr().err
    assert "Corrections: 2 of" in said
    second = load_model(captioned / "second")
    old, new = first.captioner.tokenizer, second.captioner.tokenizer
    assert new.tokens[: old.vocab_size] == old.tokens, "each word keeps its place, and its row"
    assert {"zebrafinch"} <= set(new.tokens) - set(old.tokens)
    before = {record.sha256: record.split for record in Run(captioned / "first").images}
    after = {record.sha256: record.split for record in Run(captioned / "second").images}
    assert {digest: after[digest] for digest in before} == before, (
        "what was learnt is never scored, nor the reverse"
    )
    assert [split for digest, split in after.items() if digest not in before] == ["train"]
    unlearnt = CaptionerModel.of(first.backbone, first.captioner.grown(new), beam_size=1)
    copy = corrections.read()[1].image  # of train; the other image was scored, and is not learnt
    assert log_probability(second, copy, right) > log_probability(unlearnt, copy, right) + 2
    record = Run(captioned / "second").record
    assert record.config["from_run"] == str(captioned / "first")
    assert record.config["backbone"] == "test_resnet"


def test_a_run_of_another_kind_is_told(captioned, capsys):
    command = ["train-classifier", "--from", str(captioned / "first"), "--out", str(captioned / "other")]
    assert cli.run(command) == 2
    said = capsys.readouterr().err
    assert "first is a captioner, and this command trains another kind" in said
    assert "Run: showtell train-captioner --from" in said


def test_from_a_run_less_is_needed_to_be_as_good(captioned):
    """Two epochs from its weights are as good as the thirty that it took, and better than its first two."""
    go_on(captioned, "few", "--epochs", "2")
    first = surprises(captioned / "first")  # of every second epoch
    assert first[-1] < first[0] - 0.1
    assert surprises(captioned / "few")[-1] < first[-1] + 0.05


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--backbone", "resnet18"], "--backbone resnet18 does not go with --from"),
        (["--tokenizer", "bpe"], "--tokenizer bpe does not go with --from"),
        (["--fine-tune", "0.3"], "--fine-tune with its network"),
    ],
)
def test_what_the_run_has_decided_is_not_decided_again(captioned, capsys, more, words):
    assert go_on(captioned, "refused", *more) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rare", "words"),
    [
        ({"hidden_dim": 64}, "hidden_dim 64 does not go with --from"),
        ({"dropout": 0.1}, "dropout 0.1 does not go with --from"),
        ({"max_length": 12}, "max_length 12 does not go with --from"),
        ({"vocab_size": 20}, "vocab_size 20 does not go with --from"),
        ({"engine": "torch"}, "engine torch does not go with --from"),
        ({"precision": "bfloat16"}, "precision bfloat16 does not go with --from"),
    ],
)
def test_a_setting_that_a_run_does_not_take_is_not_passed_over(captioned, capsys, rare, words):
    assert go_on(captioned, "refused", **rare) == 2
    assert words in capsys.readouterr().err


def test_a_memory_is_not_lost_on_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "inherit", lambda settings, shape: settings)
    monkeypatch.setattr(training, "train_in_run", lambda settings, console, train: settings)
    for memory in (False, True):
        trained = TrainCaptioner(tmp_path, memory=memory)
        monkeypatch.setattr(Run, "settings", lambda run, kind, trained=trained: trained)
        assert training.train_captioner(TrainCaptioner(tmp_path, from_run=tmp_path)).memory is memory
    assert training.train_captioner(TrainCaptioner(tmp_path)).memory is False


def test_other_data_brings_no_folder_of_the_runs_data(tmp_path, captioned):
    first = captioned / "first"
    found = parse(["train-captioner", "--from", str(first)])
    assert found.data == captioned / "data"
    found = parse(["train-captioner", "other", f"--from={first}"])
    assert (found.data, found.images) == (Path("other"), None)
    with pytest.raises(SystemExit):
        parse(["train-captioner"])


def test_a_classifier_goes_on_with_corrected_labels_and_new_classes(tmp_path, capsys):
    write_classes_dataset(tmp_path / "data", language="en", count=45, seed=1)
    call("train-classifier", tmp_path / "data", "--out", tmp_path / "first", "--store", tmp_path / "store",
         *NETWORK, *settings_file(image_size=64))  # fmt: skip
    classes = load_model(tmp_path / "first").config.classes
    corrections = Corrections(Run(tmp_path / "first"), "label")
    own = sorted((tmp_path / "data").rglob("*.png"))[0]
    corrections.add(own.read_bytes(), "zebra", said=classes[0], source=own.name)
    corrections.add(own.read_bytes(), classes[1], said=classes[0], source=own.name)
    for number in range(8):
        corrections.add(encoded(draw(number), "png"), "a new class", said=classes[0], source="x.png")
    assert call("train-classifier", "--from", tmp_path / "first", "--out", tmp_path / "second",
                "--store", tmp_path / "store") == 0  # fmt: skip
    second = Run(tmp_path / "second")
    assert set(load_model(second.folder).config.classes) == {*classes, "a new class"}
    labels = {record.sha256: record.label for record in second.images}
    corrected = {one.digest.hex(): one.right for one in corrections.read()}
    assert all(labels[digest] == right for digest, right in corrected.items())
    assert classes[1] in corrected.values(), "the last of an image's corrections counts"
    for split in {str(one.split) for one in second.images if one.sha256 in corrected}:
        asked = ["--split", split, "--out", tmp_path / "scored"]
        assert call("evaluate", second.folder, *asked) == 0
        lines = (tmp_path / "scored" / f"predictions-{split}.jsonl").read_text("utf-8").splitlines()
        told = {line["image"]: line["label"] for line in map(json.loads, lines)}
        assert told == {one.name: one.label for one in second.images if one.split == split}
    assert call("train-classifier", "--from", second.folder, "--out", tmp_path / "third",
                "--store", tmp_path / "store") == 0  # fmt: skip
    labels = {record.sha256: record.label for record in Run(tmp_path / "third").images}
    assert all(labels[digest] == right for digest, right in corrected.items()), "none is forgotten"
    shutil.rmtree(tmp_path / "first")
    capsys.readouterr()
    assert call("evaluate", tmp_path / "third", "--split", "train", "--out", tmp_path / "scored") == 0
    assert f"went on from {tmp_path / 'first'}, which is not there any more" in capsys.readouterr().err


def test_corrections_are_data_of_their_own_and_hold_what_was_said(tmp_path):
    corrections = Corrections(Run(tmp_path), "caption")
    record = {"name": "data/7.jpg", "split": "train", "sha256": "ab" * 32}
    (tmp_path / "images.jsonl").write_text(json.dumps(record) + "\n", "utf-8")
    corrections.add(encoded(draw(1), "png"), "a  red\ncircle", said="a square", source="../up.png")
    corrections.table.add([Answer("nowhere.png", "written by a machine", MACHINE)])
    (one,) = corrections.read()
    assert (one.right, one.said, one.image.parent) == ("a red circle", "a square", tmp_path / "corrections")
    with pytest.raises(DataError, match="no words"):
        corrections.add(b"x", " ", said="")
    corrections.table.add([Answer("data/7.jpg", "by hand, of the run's data")])
    assert [found.digest.hex() for found in corrections.read()][1] == "ab" * 32
    for outside in (tmp_path / "elsewhere.png", Path("../elsewhere.png")):  # somebody else's table
        draw(2).save(tmp_path / "elsewhere.png")
        corrections.table.add([Answer(str(outside), "a secret")])
        with pytest.raises(DataError, match=r"elsewhere.png, which lies outside its folder"):
            corrections.read()
        corrections.table.change(corrections.table.read()[-1], None)
    one.image.unlink()
    with pytest.raises(DataError, match=one.image.name):
        corrections.read()


def test_words_keep_their_rows_where_the_vocabulary_grows():
    tokenizer = CaptionTokenizer.train(["a dog runs"], min_count=1)
    sizes = DecoderConfig(tokenizer.vocab_size, 4, 16, 16, 8)
    captioner = Captioner(sizes, tokenizer, (1, 2)).eval()
    grown = captioner.grown(tokenizer.grown(["A cat runs, a bird sits."])).eval()
    assert grown.tokenizer.tokens == [*tokenizer.tokens, "bird", "cat", "sits"]
    grid, ids = torch.randn(1, 2, 4), torch.tensor([[tokenizer.bos_id]])

    def scores(one):
        memory = one.decoder.encode_grid(grid)
        return one.decoder.step(memory, one.decoder.start(memory), ids).log_probs[
            0, 0, : tokenizer.vocab_size
        ]

    known = scores(captioner) - scores(grown)
    torch.testing.assert_close(
        known, known[:1].expand_as(known), msg="the old words stand to each other as before"
    )
    bpe = CaptionTokenizer.train(["a dog runs"], kind="bpe", vocab_size=300, min_count=1)
    assert bpe.grown(["a cat"]) is bpe
