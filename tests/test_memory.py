"""A captioner's memory: neighbours as brute force finds them, captions ranked by them, kept and named."""

import json
import math
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from conftest import ENDED, draw, settings_file
from showtell import cli, load
from showtell.backbones.weights import load_backbone
from showtell.data.records import AnnotatedImage
from showtell.errors import ModelError
from showtell.kinds.captioner import evaluation
from showtell.kinds.captioner.model import CaptionerModel
from showtell.kinds.captioner.remembering import recall
from showtell.kinds.model_folder import load_model, save_model
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.models.memory import CaptionMemory, MemoryConfig
from showtell.runs.run import Run
from showtell.samples import write_captions_dataset
from showtell.text.tokenizer import CaptionTokenizer
from showtell.text.words import metric_tokens, ngrams

SAID = [
    ("a dog runs on the beach", "a brown dog is running along the water"),
    ("two children play with a ball",),
    ("a man rides a red bike", "a man on a bicycle in the street", "the man rides his bike"),
    ("개 한 마리가 바닷가를 달린다",),
    ("a dog jumps over a log", "the dog leaps"),
]
NAMES = [f"{number}.jpg" for number in range(len(SAID))]


def memory(dim: int = 6, **numbers) -> CaptionMemory:
    pooled = torch.from_numpy(np.random.default_rng(3).normal(size=(len(SAID), dim)))
    made = CaptionMemory.of(pooled.half(), NAMES, SAID)
    made.config = MemoryConfig(len(SAID), dim, **numbers)
    return made


def cosine_by_hand(caption: str, other: str) -> float:
    """CIDEr's similarity of two captions, written down once more: the mean over n of cosines of tf-idf."""

    def weights(text: str, n: int) -> dict:
        counts = Counter(one for one in ngrams(metric_tokens(text)) if len(one) == n)
        having = {
            one: sum(any(one in ngrams(metric_tokens(c)) for c in said) for said in SAID) for one in counts
        }
        return {one: count * math.log(len(SAID) / max(1, having[one])) for one, count in counts.items()}

    total = 0.0
    for n in range(1, 5):
        first, second = weights(caption, n), weights(other, n)
        length = math.hypot(*first.values()) * math.hypot(*second.values())
        total += sum(first[one] * second.get(one, 0) for one in first) / length if length else 0
    return total / 4


@pytest.mark.parametrize("neighbours", [1, 3, 30])
def test_agreement_is_the_weighted_mean_similarity_to_what_people_said_of_the_nearest(neighbours):
    made = memory(neighbours=neighbours, temperature=5.0)
    asked = torch.from_numpy(np.random.default_rng(4).normal(size=(4, 6)))
    known = made.directions.double().numpy()
    for what, row in zip(made.recall(asked), asked.numpy()):
        cosines = known @ (row / np.linalg.norm(row)) / np.linalg.norm(known, axis=1)
        nearest = np.argsort(-cosines)[:neighbours]
        assert what.places == nearest.tolist()
        share = np.exp(5 * cosines[nearest]) / np.exp(5 * cosines[nearest]).sum()
        for caption in (
            "a dog runs on the beach",
            "a man on a bike",
            "개 한 마리가 달린다",
            "nothing like it",
            "",
        ):
            similar = [np.mean([cosine_by_hand(caption, said) for said in SAID[i]]) for i in nearest]
            assert what.agreement(caption) == pytest.approx(float(share @ similar), abs=2e-4)


def test_speakers_are_those_whose_captions_agree_and_their_shares_add_up():
    what = memory(neighbours=5, temperature=0.0).recall(torch.ones(1, 6))[0]
    first, *others = what.speakers("a man rides a red bike")
    assert (first.image, first.captions[0]) == ("2.jpg", "a man rides a red bike")
    assert sum(one.share for one in (first, *others)) <= 1 + 1e-9
    assert first.share > 0.5
    assert what.speakers("zebra") == ()


def test_an_image_does_not_lean_on_itself():
    made = memory(neighbours=2)
    itself = made.directions[3:4]
    assert made.recall(itself)[0].places[0] == 3
    assert 3 not in made.recall(itself, ["3.jpg"])[0].places
    assert made.recall(itself, ["another.jpg"])[0].places[0] == 3


def build(dim: int = 16) -> tuple:
    backbone = load_backbone("test_resnet", "random", image_size=64)
    tokenizer = CaptionTokenizer.train(
        [c for said in SAID for c in said], kind="word", vocab_size=300, min_count=1
    )
    torch.manual_seed(0)
    sizes = DecoderConfig(tokenizer.vocab_size, backbone.description.grid_shape[1], 16, 16, 8, max_length=12)
    captioner = Captioner(sizes, tokenizer, backbone.description.grid_size).eval()
    return backbone, captioner


def test_an_image_of_other_data_is_known_by_its_content_and_not_by_its_name():
    remembered = memory()
    asker = SimpleNamespace(memory=remembered)
    features = SimpleNamespace(pooled=lambda images: remembered.directions[:1].numpy())
    images = [AnnotatedImage("0.jpg", Path("0.jpg"))]
    assert 0 not in recall(asker, features, images)[0].places
    assert recall(asker, features, images, {})[0].places[0] == 0
    places = recall(asker, features, images, {"0.jpg": "3.jpg"})[0].places
    assert 0 in places and 3 not in places


def test_captions_rank_by_likelihood_and_agreement_and_cut_ones_stay_behind():
    _, captioner = build()
    grid = torch.randn(3, 4, captioner.decoder.config.feature_dim)
    plain = captioner.search(grid, beam_size=6)
    for weight in (0.0, 1.0, 1000.0):
        made = memory(weight=weight)
        recalled = made.recall(torch.randn(3, 6))
        for found, before, what in zip(captioner.search(grid, recalled, beam_size=6), plain, recalled):
            scores = [
                (
                    len(one.token_log_probabilities) > len(one.token_ids),
                    one.log_probability / len(one.token_log_probabilities) ** 0.7
                    + weight * what.agreement(captioner.tokenizer.decode(one.token_ids)),
                )
                for one in found
            ]
            assert scores == sorted(scores, reverse=True)
            assert {tuple(one.token_ids) for one in found} == {tuple(one.token_ids) for one in before}


@pytest.fixture
def model(tmp_path):
    backbone, captioner = build()
    pooled = torch.from_numpy(
        np.random.default_rng(5).normal(size=(len(SAID), backbone.description.pooled_dim))
    )
    captioner.memory = CaptionMemory.of(pooled, NAMES, SAID)
    save_model(tmp_path / "model", CaptionerModel.of(backbone, captioner, beam_size=5))
    return CaptionerModel.of(backbone, captioner, beam_size=5)


def test_a_loaded_memory_ranks_and_names_as_before(model, tmp_path):
    again = load_model(tmp_path)
    pixels = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    before, after = model.from_pixels(pixels), again.from_pixels(pixels)
    assert [one.record() for one in before] == [one.record() for one in after]
    without, left_out = again.for_graphs()
    assert "memory" in left_out
    assert not any(one.neighbours for one in without.from_pixels(pixels))
    assert again.memory is not None, "only what is exported goes without it"
    assert "features of 5 images" in again.card().contents


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: None, "cannot be read"),
        (lambda text: text[:40], "cannot be read"),
        (lambda text: json.dumps(json.loads(text)[1:]), "holds 4 images, not 5"),
        (lambda text: text.replace("a dog jumps", "a cat jumps"), "changed|does not fit|not the"),
    ],
)
def test_a_damaged_or_changed_memory_is_refused(model, tmp_path, damage, words):
    path = tmp_path / "model" / "memory.json"
    text = damage(path.read_text(encoding="utf-8"))
    path.unlink() if text is None else path.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path)


def test_a_training_with_a_memory_from_end_to_end(tmp_path, capsys, monkeypatch):
    write_captions_dataset(tmp_path / "data", language="en", count=40, seed=0)
    small = "--backbone test_resnet --weights random --epochs 1 --memory"
    settings = settings_file(image_size=64, hidden_dim=16, scst_epochs=0, augmentations=0)
    run = tmp_path / "run"
    assert (
        cli.run(["train-captioner", str(tmp_path / "data"), "--out", str(run), *small.split(), *settings])
        in ENDED
    )
    said = capsys.readouterr().err
    assert "captions and the pooled features of 32 training images stay in the model" in " ".join(
        said.split()
    )
    assert json.loads((run / "evaluation-val.json").read_text())["beam_size"] == 10
    model = load(run)
    assert len(model.memory.names) == 32
    photo = next((tmp_path / "data").rglob("*.png"))
    assert cli.run(["predict", str(run), str(photo), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert set(record["neighbours"][0]) == {"image", "captions", "similarity", "share"}
    assert "Memory: captions are ranked" in (run / "model" / "README.md").read_text(encoding="utf-8")
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "The memory chose it" in report
    assert "the image shows what that word depends on" in report
    assert "where the model looked" not in report
    other, asked = tmp_path / "other", []
    other.mkdir()
    learnt = next(image.name for image in Run(run).images if image.split == "train")
    shutil.copy(tmp_path / "data" / "images" / Path(learnt).name, other / "a.png")
    draw(900).save(other / Path(learnt).name)
    table = f"image,caption\na.png,a red circle\n{Path(learnt).name},a red circle\n"
    (other / "captions.csv").write_text(table, encoding="utf-8")
    monkeypatch.setattr(evaluation, "recall", lambda *given: asked.append(given[3]) or recall(*given))
    assert cli.run(["evaluate", str(run), str(other / "captions.csv")]) == 0
    assert asked == [{"a.png": learnt}]
