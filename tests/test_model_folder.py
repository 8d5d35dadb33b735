"""A model folder comes back as it was saved, and a damaged or mixed one is refused in words."""

import json
import re
import shutil
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from showtell.backbones.weights import load_backbone
from showtell.errors import ModelError
from showtell.kinds.captioner.model import CaptionerModel, CaptionerProvenance
from showtell.kinds.model_folder import FORMAT, find_model, load_model, save_model
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.text.tokenizer import CaptionTokenizer

CAPTIONS = ["a red circle above two small stars", "빨간 동그라미 위에 작은 별 두 개", "three hearts"]
OTHER_CAPTIONS = [caption[::-1] for caption in CAPTIONS]  # as many words, all different


def build(cell: str = "lstm", kind: str = "word") -> tuple:
    backbone = load_backbone("test_resnet", "random", image_size=64)
    tokenizer = CaptionTokenizer.train(CAPTIONS, kind=kind, vocab_size=300, min_count=1)
    torch.manual_seed(0)
    sizes = DecoderConfig(tokenizer.vocab_size, backbone.description.grid_shape[1], 16, 16, 8, kind=cell)
    captioner = Captioner(sizes, tokenizer, backbone.description.grid_size).eval()
    torch.nn.init.normal_(captioner.decoder.embed.weight, std=2.0)  # words that differ: no empty captions
    captioner.decoder.fit_feature_scale(torch.rand(4, *backbone.description.grid_shape))
    return backbone, captioner


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("실행")
    provenance = CaptionerProvenance(train_images=3, data="우리 것")
    save_model(run / "model", CaptionerModel.of(*build(), beam_size=4, provenance=provenance))
    return run


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(saved / "model", tmp_path / "model"))


def refused(folder: Path, pattern: str) -> ModelError:
    with pytest.raises(ModelError, match=pattern) as caught:
        load_model(folder)
    assert "\n" not in caught.value.what
    return caught.value


@pytest.mark.parametrize(("cell", "kind"), [("lstm", "word"), ("gru", "bpe"), ("transformer", "word")])
def test_a_loaded_model_says_the_same_of_the_same_pixels(tmp_path, cell, kind):
    backbone, captioner = build(cell, kind)
    provenance = CaptionerProvenance(data="그대로")
    save_model(tmp_path, CaptionerModel.of(backbone, captioner, beam_size=4, provenance=provenance))
    model = load_model(tmp_path)
    assert (model.config.beam_size, model.config.provenance) == (4, provenance)
    assert model.config.captioner == captioner.decoder.config
    assert model.backbone.description == backbone.description
    pixels = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8)
    grid, pooled = backbone(pixels)
    for one, other in zip((grid, pooled), model.backbone(pixels)):
        assert torch.equal(one, other)
    before, after = captioner.describe(grid, beam_size=3), model.captioner.describe(grid, beam_size=3)
    assert [[c.text for c in found] for found in after] == [[c.text for c in found] for found in before]
    assert any(found[0].text for found in before)
    for one, other in zip((c for found in before for c in found), (c for found in after for c in found)):
        assert one.log_probability == other.log_probability
        for word, again in zip(one.words, other.words, strict=True):
            assert (word.text, word.probability) == (again.text, again.probability)
            assert torch.equal(word.attention, again.attention)
    assert not model.captioner.training


def test_a_model_is_four_plain_files_without_a_pickle(saved):
    files = sorted(path.name for path in (saved / "model").iterdir())
    assert files == ["README.md", "config.json", "model.safetensors", "tokenizer.json"]
    for path in (saved / "model").iterdir():
        content = path.read_bytes()
        assert content[:1] != b"\x80" and content[:2] != b"PK", path
        if path.suffix != ".safetensors":
            content.decode("utf-8")
    assert "우리 것" in (saved / "model" / "config.json").read_text("utf-8")
    assert (saved / "model" / "model.safetensors").stat().st_mode & 0o044  # others may read it


def test_a_model_loads_where_there_is_no_network(saved, monkeypatch):
    def no_network(*_, **__):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    assert load_model(saved).captioner.tokenizer.vocab_size > 10


def test_a_run_and_its_model_folder_are_both_taken(saved):
    assert find_model(saved) == find_model(saved / "model") == saved / "model"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_an_incomplete_folder_is_no_model(folder, name):
    (folder / name).unlink()
    assert "train-captioner" in refused(folder, re.escape(f"no model in {folder}")).run


def test_a_missing_tokenizer_is_named(folder):
    (folder / "tokenizer.json").unlink()
    refused(folder, r"tokenizer\.json cannot be read")


def test_an_unfinished_training_says_how_to_go_on(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    assert "--resume" in refused(tmp_path, "is not finished").hint


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_weights_file_is_named(folder, share):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused(folder, r"model\.safetensors cannot be read")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_damaged_json_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    refused(folder, re.escape(name))


def change_config(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | changes), "utf-8")


def test_a_later_format_asks_for_a_later_program(folder):
    change_config(folder, format=FORMAT + 1, kind="something new", unheard_of={})
    error = refused(folder, f"format {FORMAT + 1}; this showtell reads up to {FORMAT}")
    assert "upgrade" in error.run


def test_an_unknown_kind_is_named(folder):
    change_config(folder, kind="poet")
    refused(folder, "kind .poet. is not known")


def test_a_setting_of_the_wrong_type_is_named(folder):
    change_config(folder, beam_size="many")
    refused(folder, r"config\.json.*beam_size")


@pytest.mark.parametrize("changes", [{"\ud800": 1}, {"beam_size": "\ud800"}])
def test_half_a_character_in_the_settings_is_refused(folder, changes):
    change_config(folder, **changes)
    refused(folder, r"config\.json")


def change_weights(folder: Path, prefix: str) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if name.startswith(prefix) and name.endswith("weight"))
    tensors[name] = tensors[name].clone()
    tensors[name].flatten()[0] += 0.01
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("prefix", "pattern"),
    [("backbone.", "backbone has the weights"), ("network.", "network of .* SHA-256")],
)
def test_one_changed_weight_is_noticed(folder, prefix, pattern):
    change_weights(folder, prefix)
    assert "changed after training" in refused(folder, pattern).hint


def test_other_words_of_the_same_number_are_noticed(folder):
    other = CaptionTokenizer.train(OTHER_CAPTIONS, min_count=1)
    assert other.vocab_size == CaptionTokenizer.load(folder / "tokenizer.json").vocab_size
    other.save(folder / "tokenizer.json")
    assert "changed after training" in refused(folder, r"tokenizer\.json of").hint


def test_a_tokenizer_of_another_size_is_noticed(folder):
    CaptionTokenizer.train(["just three words"], min_count=1).save(folder / "tokenizer.json")
    refused(folder, r"tokenizer\.json has 7 tokens; the model was trained with \d+")


def test_other_line_ends_are_no_change(folder):
    path = folder / "tokenizer.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    load_model(folder)


def test_weights_that_do_not_fit_are_named(folder):
    path = folder / "model.safetensors"
    tensors = {
        name: value for name, value in load_file(path).items() if name != "network.decoder.embed.weight"
    }
    save_file(tensors, path)
    refused(folder, r"does not fit together.*embed\.weight")


def test_a_captioner_that_is_not_known_to_have_learnt_says_so_in_its_card(tmp_path):
    fault = "its captions of validation score less than the most frequent caption"
    for known in (fault, ""):
        model = CaptionerModel.of(*build(), beam_size=3, provenance=CaptionerProvenance(fault=known))
        save_model(tmp_path, model)
        said = f"It is not known to have learnt anything: {fault}." in (tmp_path / "README.md").read_text(
            "utf-8"
        )
        assert said == bool(known)


def test_a_card_that_somebody_has_made_their_own_stays(folder):
    model = load_model(folder)
    for own in (False, True):
        text = "---\nlicense: mit\n---\nmine" if own else "of an earlier model"
        (folder / "README.md").write_text(text, "utf-8")
        save_model(folder, model)
        assert ((folder / "README.md").read_text("utf-8") == text) == own


def test_saving_again_replaces_the_model(tmp_path):
    backbone, captioner = build()
    save_model(tmp_path, CaptionerModel.of(backbone, captioner, beam_size=4))
    torch.nn.init.normal_(captioner.decoder.output_bias)
    save_model(tmp_path, CaptionerModel.of(backbone, captioner, beam_size=2))
    model = load_model(tmp_path)
    assert model.config.beam_size == 2
    assert torch.equal(model.captioner.decoder.output_bias, captioner.decoder.output_bias)
    assert len(list(tmp_path.iterdir())) == 4
