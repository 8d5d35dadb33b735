"""Captions are written in the browser: what is offered, what is kept, and what learns meanwhile."""

import csv
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from conftest import draw
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.data.annotated import read_annotated
from showtell.data.answers import ACCEPTED, MACHINE, PERSON, Answer, AnswerTable
from showtell.data.source import DataSource
from showtell.errors import ConfigError, MissingExtraError, ModelError
from showtell.samples import draw_scene, make_scenes
from showtell.samples.grammar import write_captions
from showtell.store.store import FeatureStore
from showtell.teaching import caption_learner
from showtell.teaching.caption_learner import FIRST
from showtell.teaching.captioning import TABLE, Captioning
from showtell.teaching.near_words import END, NearWords, Said, next_words
from showtell.teaching.pool import Pool, read_pool
from showtell.teaching.vlm import ImageToText


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """Return a folder of drawn images, and what a person would write of each."""
    folder = tmp_path_factory.mktemp("scenes")
    said = {}
    for number, scene in enumerate(make_scenes(1, 40, "train")):
        draw_scene(scene, 64).save(folder / f"{number:02}.png")
        said[f"{number:02}.png"] = write_captions(scene, "en")[0]
    return folder, said


@pytest.fixture
def state(scenes, tmp_path) -> Captioning:
    folder, _ = scenes
    root, images = read_pool(DataSource(folder))
    pool = Pool(
        root, images, load_backbone("test_resnet", "random", image_size=64), FeatureStore(tmp_path / "store")
    )
    pool._encode_some(list(images.values()))
    return Captioning(pool, AnswerTable(tmp_path / TABLE, "caption"))


def test_words_of_alike_images_come_first_and_make_a_probability():
    near = NearWords(
        [Said(["a red dog runs"], 0.9), Said(["a blue cat sits"], 0.5), Said(["two birds"], 0.1)]
    )
    for before in ([], ["a"], ["a", "red"], ["nothing"], ["a", "red", "dog", "runs"]):
        chances = near.following(before)
        assert sum(chances.values()) == pytest.approx(1)
    assert max(near.following(["a"]).items(), key=lambda pair: pair[1])[0] == "red"
    assert max(near.following(["a", "red", "dog", "runs"]).items(), key=lambda pair: pair[1])[0] == END
    assert near.sentence(["a"]) == ["red", "dog", "runs"]
    assert near.sentence([], "t") == ["two", "birds"]
    assert NearWords([]).following(["a"]) == {} and NearWords([]).sentence([]) == []


def test_what_is_offered_begins_with_what_was_typed():
    near = NearWords([Said(["a red dog runs", "강아지가 달린다"], 0.9)])
    for typed in ("", "A", "A ", "A r", "A Red", "A red d", "A red dog ", "zzz", "강", "강아지가 "):
        _, offered = next_words(near, typed)
        assert all(text.startswith(typed) for text in offered), (typed, offered)
    _, offered = next_words(near, "A Red")
    assert max(offered, key=offered.__getitem__) == "A Red dog"


def test_captions_are_kept_changed_removed_and_taken_back(state):
    first, second = list(state.pool.images)[:2]
    state.answer(first, "a  dog\nruns", "tab")
    state.answer(first, "a dog sits", "tab")
    one, two = state.read()
    assert [one.text, two.text, one.who] == ["a dog runs", "a dog sits", PERSON]
    state.answer(first, "a dog walks", "tab", old=one)
    state.remove(two, "tab")
    assert [row["text"] for row in state.of(first)] == ["a dog walks"]
    assert state.undo("other tab") is None
    assert [state.undo("tab") for _ in range(3)] == [first] * 3
    assert [row["text"] for row in state.of(first)] == ["a dog runs"]
    assert first not in state.record()["next"] and second in state.record(shown=first)["next"] + [second]
    for image, text in (("nowhere.png", "a dog"), (first, " .,"), (first, "x" * 2000)):
        with pytest.raises(ConfigError):
            state.answer(image, text, "tab")
    with pytest.raises(ConfigError, match="changed this caption"):
        state.answer(first, "a cat", "tab", old=two)


def test_what_a_machine_wrote_counts_once_a_person_has_accepted_it(state):
    first, second = list(state.pool.images)[:2]
    state.table.add([Answer(first, "a purple thing", MACHINE)])
    state.answer(second, "a green thing", "tab")
    assert state.record()["machine"] == 1 and state.record()["captioned"] == 1
    assert first in state.record(second)["next"] or len(state.pool.images) > 8
    offered = state.suggest(list(state.pool.images)[2], "a ")["words"]
    assert offered[0]["text"] == "a green" and "a purple" not in [one["text"] for one in offered]
    state.answer(first, "a purple thing", "tab", old=state.read()[0], who=ACCEPTED)
    assert state.record()["machine"] == 0 and state.record()["captioned"] == 2
    with Path(state.table.path).open(encoding="utf-8-sig") as file:
        assert [row["who"] for row in csv.DictReader(file)] == [ACCEPTED, PERSON]


def test_a_captioner_learns_from_the_second_dozen_on_and_offers_words(state, scenes, monkeypatch):
    monkeypatch.setattr(caption_learner, "_STEPS", 40)  # enough to know that no caption ends after a word
    monkeypatch.setattr(caption_learner, "_MORE_STEPS", 4)
    torch.manual_seed(0)
    _, said = scenes
    names = sorted(said)
    for name in names[:-1]:
        state.answer(name, said[name], "tab")
    assert not state.learner.is_due(FIRST - 1) and state.learner.is_due(FIRST)
    state._learn_once()
    assert state.learner.learnt == len(names) - 1
    assert not state.learner.is_due(len(names)), "one caption more is not worth a training"
    found = state.suggest(names[-1], said[names[-1]].split()[0])
    assert found["words"] and found["sentence"].startswith(said[names[-1]].split()[0])
    before = state.learner.captioner
    assert not state.learner.learn(state._features(names[:4]), {names[0]: ["a"]}, lambda: False)
    assert state.learner.captioner is before, "a training that is broken off changes nothing"
    state.learner.learn(
        state._features(names[:4]), {name: ["a zebrafinch"] for name in names[:4]}, lambda: True
    )
    assert "zebrafinch" in state.learner.captioner.tokenizer.tokens
    assert before.tokenizer.vocab_size < state.learner.captioner.tokenizer.vocab_size


def test_the_background_thread_learns_and_ends(state, scenes, monkeypatch):
    monkeypatch.setattr(caption_learner, "_STEPS", 2)
    _, said = scenes
    state.start()
    for name in sorted(said)[:FIRST]:
        state.answer(name, said[name], "tab")
    until = time.monotonic() + 30
    while state.learner.captioner is None and time.monotonic() < until:
        time.sleep(0.05)
    state.close()
    assert state.learner.learnt == FIRST


def test_slips_are_pointed_out_with_their_image(state):
    names = list(state.pool.images)
    state.table.add([Answer(names[0], "a brown shape") for _ in range(100)])
    state.answer(names[1], "a bronw shape", "tab")
    assert state.record()["slips"] == [{"word": "bronw", "meant": "brown", "times": 100, "image": names[1]}]


def test_a_training_takes_the_table_as_it_is(tmp_path):
    for number in range(3):
        draw(number).save(tmp_path / f"{number}.png")
    table = AnswerTable(tmp_path / TABLE, "caption")
    table.add([Answer("0.png", "a dog"), Answer("0.png", "a dog too"), Answer("1.png", "no", MACHINE)])
    found = read_annotated(DataSource(tmp_path), "captions", Console(quiet=True))
    assert [(one.name, one.captions) for one in found.images] == [("0.png", ("a dog", "a dog too"))]


class Writer:
    """Stands for an image-to-text model: says the same of every image."""

    def caption(self, path: Path) -> str:
        return "a thing on a ground"


def test_a_machine_writes_of_images_on_show_that_nobody_has_written_of(state):
    first, second = list(state.pool.images)[:2]
    writing = Captioning(state.pool, state.table, writer=Writer())
    writing.answer(first, "a dog", "tab")
    writing.write(first)
    writing.start()
    writing.record(second)
    until = time.monotonic() + 30
    while len(writing.read()) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    writing.close()
    assert [(one.image, one.who) for one in writing.read()] == [(first, PERSON), (second, MACHINE)]


def test_a_model_of_transformers_writes_or_its_extra_is_named(tmp_path):
    draw(1).save(tmp_path / "1.png")
    if find_spec("transformers") is None:
        with pytest.raises(MissingExtraError, match="needs the package transformers") as caught:
            ImageToText("any")
        assert "showtell[vlm]" in caught.value.run
        return
    with pytest.raises(ModelError, match="nothing is downloaded"):
        ImageToText(str(tmp_path))
    make_image_to_text(tmp_path / "model")
    text = ImageToText(str(tmp_path / "model")).caption(tmp_path / "1.png")
    assert text and set(text.split()) <= set("abcdefgh")


def make_image_to_text(folder: Path) -> None:
    """Write a tiny image-to-text model of random weights: a ViT and a GPT-2."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    vision = transformers.ViTConfig(image_size=32, patch_size=16, **sizes)
    text = transformers.GPT2Config(
        vocab_size=10, n_embd=16, n_layer=1, n_head=2, n_positions=64, add_cross_attention=True,
        bos_token_id=8, eos_token_id=9,
    )  # fmt: skip
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(vision, text)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 8, 9, 9
    model = transformers.VisionEncoderDecoderModel(config)
    model.generation_config.decoder_start_token_id, model.generation_config.pad_token_id = 8, 9
    model.generation_config.suppress_tokens = [8, 9]  # so that it says something
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate([*"abcdefgh", "<s>", "</s>"])}, "a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    ).save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
