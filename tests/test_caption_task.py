"""The captioner's batches: every caption once an epoch, beside its image; and a training that learns."""

import json
import math
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.data.records import AnnotatedImage
from showtell.errors import DataError
from showtell.evaluation.teacher_forced import teacher_forced
from showtell.extraction.extract import extract_features
from showtell.extraction.features import Features
from showtell.kinds.captioner import reading
from showtell.kinds.captioner.data import CaptionData, read_grids
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.captioner.task import CaptionTask, caption_surprise, generate_captions
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.samples import write_captions_dataset
from showtell.store.store import FeatureStore, content_digest
from showtell.text.lengths import USUAL_LENGTH
from showtell.text.tokenizer import CaptionTokenizer
from showtell.training.checkpoint import Progress
from showtell.training.order import Window
from test_training import run

CONSOLE = Console(quiet=True)
L, D = 4, 6


def captioned(tmp_path: Path, captions: list[list[str]], **settings) -> CaptionTask:
    """Make a task on random features."""
    space = FeatureStore(tmp_path / "store").space(
        {"dtype": "float32", "grid_shape": [L, D], "pooled_dim": 2}
    )
    random = np.random.default_rng(0)
    names = [f"사진{i}.png" for i in range(len(captions))]
    extraction = Features(space, {name: content_digest(name.encode()) for name in names})
    space.put(
        (extraction.key(name), random.standard_normal((L, D)), np.full(2, i)) for i, name in enumerate(names)
    )
    images = [
        AnnotatedImage(name, tmp_path / name, tuple(own)) for name, own in zip(names, captions, strict=True)
    ]
    tokenizer = CaptionTokenizer.train([c for own in captions for c in own], min_count=1)
    sizes = DecoderConfig(tokenizer.vocab_size, D, hidden_dim=8, embed_dim=8, attention_dim=4)
    settings = {"batch_size": 3, "seed": 0, "beam_size": 1, **settings}
    data = CaptionData(extraction, images, images[:2])
    return CaptionTask(Captioner(sizes, tokenizer, (2, 2)), data, TrainCaptioner(tmp_path, **settings))


CAPTIONS = [
    [" ".join(f"w{i}x{j}" for _ in range(1 + (i + 3 * j) % 5)) for j in range(1 + i % 4)] for i in range(11)
]


@pytest.mark.parametrize("batch_size", [1, 3, 4, 11, 50])
def test_every_caption_comes_exactly_once_an_epoch(tmp_path, batch_size):
    """Images have 1 to 4 captions, and the last batch is smaller."""
    task = captioned(tmp_path, CAPTIONS, batch_size=batch_size)
    assert task.steps_per_epoch == math.ceil(11 / batch_size)
    decode = task.captioner.tokenizer.decode
    orders = []
    for epoch in range(3):
        found = []
        for index in range(task.steps_per_epoch):
            batch = task.batch(epoch, index)
            assert len(batch.grid) == min(batch_size, 11 - index * batch_size)
            assert task.loss(epoch, index)[1] == int((batch.lengths > 0).sum())
            for image, caption in batch.lengths.nonzero().tolist():
                ids = batch.token_ids[image, caption].tolist()
                length = int(batch.lengths[image, caption])
                assert ids[0] == task.captioner.tokenizer.bos_id
                assert ids[length] == task.captioner.tokenizer.eos_id
                assert set(ids[length + 1 :]) <= {task.captioner.tokenizer.pad_id}
                found.append(decode(ids[1:]))
        assert sorted(found) == sorted(caption for own in CAPTIONS for caption in own)
        orders.append(found)
    if batch_size < 11:
        assert orders[0] != orders[1] != orders[2]


def test_a_caption_stays_with_its_image(tmp_path):
    task = captioned(tmp_path, CAPTIONS)
    grids = {
        caption: task.data.features.grid([image])[0]
        for image in task.data.train
        for caption in image.captions
    }
    for index in range(task.steps_per_epoch):
        batch = task.batch(0, index)
        for image, caption in batch.lengths.nonzero().tolist():
            text = task.captioner.tokenizer.decode(batch.token_ids[image, caption, 1:].tolist())
            assert np.array_equal(batch.grid[image].numpy(), grids[text])


def test_a_batch_comes_sorted_so_that_nothing_is_computed_for_padding(tmp_path):
    task = captioned(tmp_path, CAPTIONS, batch_size=6)
    for index in range(2):
        lengths = task.batch(0, index).lengths
        assert lengths[:, 0].tolist() == sorted(lengths[:, 0].tolist(), reverse=True)
        assert torch.equal(lengths, lengths.sort(dim=1, descending=True).values)


def test_a_batch_is_a_function_of_seed_epoch_and_index_alone(tmp_path):
    task = captioned(tmp_path / "1", CAPTIONS)
    first = {(e, i): task.batch(e, i) for e in range(3) for i in range(4)}
    other = captioned(tmp_path / "2", CAPTIONS)
    for place in [(2, 1), (0, 3), (2, 0), (1, 2), (0, 0)]:
        torch.rand(3)
        np.random.rand()
        again = other.batch(*place)
        for name in ("grid", "token_ids", "lengths"):
            assert torch.equal(getattr(first[place], name), getattr(again, name))
    reseeded = captioned(tmp_path / "3", CAPTIONS, seed=1)
    assert any(not torch.equal(reseeded.batch(0, i).grid, first[0, i].grid) for i in range(3))


def test_a_long_caption_is_cut_without_an_end(tmp_path):
    words = [f"w{i}" for i in range(USUAL_LENGTH + 5)]
    task = captioned(tmp_path, [[" ".join(words[:n])] for n in (USUAL_LENGTH, len(words))])
    batch = task.batch(0, 0)
    tokenizer = task.captioner.tokenizer
    rows = sorted(zip(batch.lengths[:, 0].tolist(), batch.token_ids[:, 0].tolist()), key=lambda row: row[0])
    (cut_length, cut), (whole_length, whole) = rows
    assert (cut_length, whole_length) == (USUAL_LENGTH, USUAL_LENGTH + 1)
    assert tokenizer.eos_id not in cut
    assert whole[-1] == tokenizer.eos_id
    assert cut[1 : USUAL_LENGTH + 1] == whole[1 : USUAL_LENGTH + 1]
    assert task.loss(0, 0)[0].isfinite()


def test_a_caption_without_known_words_is_just_its_end(tmp_path):
    task = captioned(tmp_path, [["cat", "?!"], ["dog"]])
    assert 1 in task.batch(0, 0).lengths.flatten().tolist()
    assert task.loss(0, 0)[0].isfinite()


def test_training_needs_images_on_both_sides(tmp_path):
    task = captioned(tmp_path, CAPTIONS)
    data = task.data
    for train, validation in (([], data.train), (data.train, [])):
        with pytest.raises(DataError, match=re.escape(f"{len(train)} images to train on")):
            CaptionData(data.features, train, validation)


def test_a_task_leaves_its_captioner_as_it_is_and_counts_what_is_learnt(tmp_path):
    task = captioned(tmp_path, [["a b b", "a"], ["c"]])
    assert not task.captioner.decoder.output_bias.any()
    tokenizer, counts = task.captioner.tokenizer, task.token_counts()
    assert len(counts) == tokenizer.vocab_size
    assert counts[tokenizer.encode("a b c")].tolist() == [2, 2, 1]
    assert counts[tokenizer.eos_id] == 3
    assert counts.sum() == 8


def test_validation_leaves_the_random_state_alone(tmp_path):
    task = captioned(tmp_path, CAPTIONS)
    task.network.eval()
    before = torch.get_rng_state()
    assert task.validate().keys() == {"score", "cider_d", "loss"}
    assert torch.equal(torch.get_rng_state(), before)


def test_the_validation_loss_is_the_surprise_at_the_next_word(tmp_path):
    task = captioned(tmp_path, CAPTIONS)
    task.network.eval()
    references = {image.name: image.captions for image in task.data.validation}
    captioner, extraction, validation = task.captioner, task.data.features, task.data.validation
    grids = partial(read_grids, captioner, extraction)
    perplexity = teacher_forced(captioner, grids, validation, references).perplexity
    assert math.exp(caption_surprise(captioner, extraction, validation)) == pytest.approx(
        perplexity, rel=1e-5
    )
    assert task.validate()["loss"] == pytest.approx(math.log(perplexity), rel=1e-5)


@pytest.mark.parametrize(
    ("best", "epoch", "refused"),
    [(0.0, 3, True), (0.5, 3, True), (9.0, 3, False), (0.0, 2, False), (0.0, 4, False)],
)
def test_reward_waits_for_a_model_that_has_learnt(tmp_path, best, epoch, refused):
    """One caption of the first image for both scores something, since one of them has it as a reference."""
    captions = [["a dog runs on grass"], ["two cats sleep at home"], ["children play"]]
    task = captioned(tmp_path, captions, epochs=3)
    why = task.why_stop(Progress(epoch=epoch, best={"score": best}))
    assert bool(why) is refused
    assert not refused or f"validation reached {best:.3f}" in why
    plain = captioned(tmp_path / "plain", captions)
    assert plain.why_stop(Progress(epoch=epoch, best={"score": best})) == ""


@pytest.mark.parametrize("cell", ["lstm", "gru", "transformer"])
def test_eight_drawn_images_are_learnt_by_heart(tmp_path, cell):
    scenes = write_captions_dataset(tmp_path, language="ko", count=10, seed=1)
    table = json.loads((tmp_path / "captions.json").read_text("utf-8"))
    images = [
        AnnotatedImage(
            image["filename"], tmp_path / "images" / image["filename"], (image["sentences"][0]["raw"],)
        )
        for image in table["images"][:8]
    ]
    assert len(scenes) == 10
    assert len({image.captions for image in images}) > 4
    backbone = load_backbone("test_resnet", "random", image_size=64)
    extraction = extract_features(images, backbone, FeatureStore(tmp_path / "store"))
    torch.manual_seed(0)
    tokenizer = CaptionTokenizer.train([p.captions[0] for p in images], min_count=1)
    description = backbone.description
    sizes = DecoderConfig(
        tokenizer.vocab_size,
        description.grid_shape[1],
        hidden_dim=48,
        embed_dim=48,
        attention_dim=24,
        kind=cell,
        dropout=0.0,
    )
    captioner = Captioner(sizes, tokenizer, description.grid_size)
    captioner.decoder.fit_feature_scale(torch.from_numpy(extraction.grid(images)))
    data = CaptionData(extraction, 5 * images, images)
    task = CaptionTask(captioner, data, TrainCaptioner(tmp_path, batch_size=2, beam_size=1))
    run(task, tmp_path / "run", epochs=7, learning_rate=1e-2, patience=7, ema=0.9)
    found = generate_captions(captioner, extraction, images, beam_size=3)
    for image in images:
        assert found[image.name] == tokenizer.decode(tokenizer.encode(image.captions[0]))


def test_grids_that_do_not_fit_into_memory_are_read_in_windows_of_the_file(tmp_path, monkeypatch):
    task = captioned(tmp_path, CAPTIONS)
    said = []
    console = Console(quiet=True)
    monkeypatch.setattr(console, "say", said.append)
    monkeypatch.setattr(reading, "_WINDOW_BYTES", 6 * task.features.space.record_bytes)
    monkeypatch.setattr(reading, "_BLOCK_BYTES", 2 * task.features.space.record_bytes)
    size = reading.grid_bytes(task.data)
    monkeypatch.setattr(reading, "available_memory", lambda: size)
    assert reading.window_for(task.settings, task.data, {}, console) is None
    assert not said
    monkeypatch.setattr(reading, "available_memory", lambda: size - 1)
    window = reading.window_for(task.settings, task.data, {}, console)
    assert window == Window(steps=2, block=2)
    assert "6 images are shuffled together" in said[0]
    monkeypatch.setattr(reading, "available_memory", lambda: size)
    resumed = reading.window_for(task.settings, task.data, {"reading.window": 6}, console)
    assert resumed == window, "a resume reads as it was begun, whatever memory there is now"

    windowed = CaptionTask(task.captioner, task.data, task.settings, window=window)
    assert windowed.order.record() == {"window": 6, "block": 2}
    for epoch in range(2):
        seen = []
        for index in range(windowed.steps_per_epoch):
            chosen = windowed.order.images(epoch, index)
            plain = read_grids(task.captioner, task.features, [task.data.train[i] for i in chosen])
            assert torch.equal(windowed._grids(epoch, index), plain)
            seen += chosen
        assert sorted(seen) == list(range(11))
