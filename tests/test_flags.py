"""What can be typed of each command, and what only a file or Python sets."""

import dataclasses
import re
from pathlib import Path

import pytest

from conftest import settings_file
from showtell import TrainCaptioner, TrainClassifier
from showtell.commands import COMMANDS, find
from showtell.errors import ConfigError
from showtell.flags import parse, read_settings, variants_of
from showtell.settings import rare_settings

SOURCE = ["DATA", "--images", "--format", "--image-column", "--text-column"]
GROUPED = [*SOURCE, "--group-column", "--encoding"]
NETWORK = ["--backbone", "--weights", "--image-size"]
TRAINING = [
    *SOURCE,
    "--group-column",
    *NETWORK[:2],
    "--store",
    "--out",
    "--val-size",
    "--test-size",
    "--seed",
]
TRAINING += ["--resume", "--find-lr", "--epochs"]
SERVER = ["RUN", "--host", "--port", "--token", "--trusted-host", "--root-path", "--device", "--max-body-mb"]
SERVER += ["--max-megapixels", "--max-images", "--max-in-flight", "--timeout", "--idle-timeout"]
EVALUATED = ["RUN", "[DATA]", "--images", "--split", "--store", "--device"]
ALLOWED = {
    "quickstart": ["--out", "--language", "--seed"],
    "lesson": ["[NUMBER]", "--json"],
    "inspect": [*GROUPED, "--out", "--vocab-size", "--backbone", "--map", "--store", "--json"],
    "preview augment": [
        *[*GROUPED, *NETWORK, "--seed", "--resize", "--show", "--count", "--augmentations", "--out"]
    ],
    "preview normalize": [*GROUPED, *NETWORK, "--seed", "--resize", "--image", "--sample", "--out"],
    "preview tokens": [
        *[*GROUPED, "--seed", "--show", "--count", "--tokenizer", "--vocab-size", "--min-count", "--out"]
    ],
    "teach": [
        *[*SOURCE, "--group-column", *NETWORK[:2], "--store"],
        *["--classes", "--run", "--vlm", "--host", "--port", "--token", "--open"],
    ],
    "extract": [
        *[*SOURCE, *NETWORK, "--resize", "--precision", "--engine", "--store", "--keep-images"],
        *["--device", "--json", "--executor", "--workers", "--ray-address", "--gpus-per-worker"],
    ],
    "train-captioner": [
        *[one for one in TRAINING if one != "--group-column"],
        *["--tokenizer", "--memory", "--fine-tune", "--from"],
    ],
    "train-classifier": [*TRAINING, "--head", "--fine-tune", "--from"],
    "compare": ["RUN", "--split", "--out", "--json"],
    "compare-backbones": [
        *[*GROUPED, "--backbones", "--weights", "--image-size", "--store", "--keep-images", "--out"],
        *["--steps", "--sample"],
        *["--seed", "--device", "--json"],
    ],
    "evaluate": [*EVALUATED, "--beam-size", "--out", "--export", "--json"],
    "report": EVALUATED,
    "predict": [
        *["RUN", "PICTURE", "--split", "--random", "--seed", "--out", "--overwrite", "--save-plot"],
        *["--beam-size", "--store", "--device", "--json"],
    ],
    "search": [
        *[*GROUPED, "--backbone", "--weights", "--store", "--device", "--like", "--text", "--run", "--count"],
        *["--out", "--json"],
    ],
    "demo": [*SERVER, "--open"],
    "serve": SERVER,
    "live": [
        *["RUN", "--source", "--record", "--headless", "--smooth", "--frames", "--beam-size", "--device"],
    ],
    "push": ["RUN", "NAME", "--license", "--public", "--dry-run", "--endpoint", "--json"],
    "pull": ["NAME", "OUT", "--revision", "--endpoint", "--json"],
    "export": ["RUN", "--out", "--int8", "--check", "--num-images", "--beam-size", "--json"],
    "store": [
        *["--store", "--remove", "--merge", "--verify", "--limit", "--export", "--format", "--space"],
        *["--data", "--images", "--json"],
    ],
}
"""Everything that can be typed of a command, but for --help and --config, which all have."""
MOST = 20


def shown(command: str, capsys) -> list[str]:
    """Return what the help lists, sorted, but for --help."""
    with pytest.raises(SystemExit):
        parse([*command.split(), "--help"])
    text = capsys.readouterr().out
    return sorted(
        found[1]
        for found in re.finditer(r"^[│| ] (--?[a-z0-9-]+|\[?[A-Z]+\]?)(?= |$)", text, re.M)
        if found[1] != "-h"
    )


@pytest.mark.parametrize("command", ALLOWED)
def test_each_command_has_the_flags_that_are_allowed_and_no_others(command, capsys):
    found = shown(command, capsys)
    assert found == sorted([*ALLOWED[command], "--config"])
    assert len(found) <= MOST


def test_every_command_is_in_the_list():
    below = {name: variants_of(find(command.settings)) for name, command in COMMANDS.items()}
    assert set(ALLOWED) == {f"{name} {one}".strip() for name in below for one in below[name] or [""]}


def test_a_file_sets_what_has_a_flag_and_what_has_none_and_flags_win(tmp_path):
    file = settings_file(data="photos", hidden_dim=64, epochs=5, dropout=0, store="s", resume=True)
    found = parse(["train-captioner", *file])
    assert found == TrainCaptioner(
        data=Path("photos"), hidden_dim=64, epochs=5, dropout=0.0, store=Path("s"), resume=True
    )
    assert type(found) is TrainCaptioner
    found = parse(["train-captioner", "other", *file, "--epochs", "7", "--no-resume"])
    assert (found.data, found.epochs, found.hidden_dim, found.resume) == (Path("other"), 7, 64, False)
    assert parse(["preview", "augment", *settings_file(data="x", count=2)]).what.count == 2
    lists = settings_file(data="x", l2_strengths=[1, 0.5], neighbours=[3])
    found = parse(["train-classifier", *lists])
    assert (found.l2_strengths, found.neighbours) == ((1.0, 0.5), (3,))


def test_the_home_of_a_user_is_found_where_no_shell_has_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "settings.toml").write_text('store = "~/features"', encoding="utf-8")
    found = parse(["train-captioner", "photos", "--out=~/runs/mine", "--config=~/settings.toml"])
    assert (found.out, found.store) == (tmp_path / "runs" / "mine", tmp_path / "features")


def test_a_file_may_be_of_a_windows_editor(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_bytes("\ufeffepochs = 5\r\nhidden_dim = 64\r\n".encode())
    assert read_settings(path, TrainCaptioner, "train-captioner") == {"epochs": 5, "hidden_dim": 64}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hiden_dim = 3", "sets hiden_dim, which train-captioner does not have.\nDid you mean hidden_dim?"),
        ("hidden-dim = 3", "Did you mean hidden_dim?"),
        ('hidden_dim = "wide"', "sets hidden_dim to 'wide'.\nExpected `int | null`, got `str`"),
        ("data = 3", "sets data to 3.\nExpected `str`, got `int`"),
        ("resume = 1", "sets resume to 1.\nExpected `bool`, got `int`"),
        ('decoder = "rnn"', "sets decoder to 'rnn'.\nInvalid enum value 'rnn'"),
        ("hidden_dim 3", "is not a TOML file"),
        ("hidden_dim = 3", "hidden_dim 3 is out of range.\nExpected a value of at least 16."),
        (
            'tokenizer = "bpe"\nvocab_size = 260',
            "vocab_size 260 is out of range.\nExpected a value of at least 261.",
        ),
        ("[training]\nepochs = 3", "sets training, which"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path, text, words):
    path = tmp_path / "설정.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        parse(["train-captioner", "photos", f"--config={path}"])
    assert words in str(caught.value)
    if "out of range" not in words:
        assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file"):
        read_settings(tmp_path / "none.toml", TrainCaptioner, "train-captioner")


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (["--hidden-dim", "16"], "hidden_dim = 16"),
        (["--decoder=gru"], 'decoder = "gru"'),
        (["--image-size", "64"], "image_size = 64"),
        (["--no-hflip"], "hflip = false"),
        (["--tensorboard", "--seed", "1"], "tensorboard = true"),
    ],
)
def test_a_rare_setting_that_is_typed_is_answered_with_how_it_is_set(typed, line):
    with pytest.raises(ConfigError) as caught:
        parse(["train-captioner", "photos", *typed])
    assert f"Write the line {line} into a file" in str(caught.value)
    assert "--config" in caught.value.run


def test_what_is_rare_is_documented():
    text = (Path(__file__).parents[1] / "docs" / "settings.md").read_text(encoding="utf-8")
    for kind in (TrainCaptioner, TrainClassifier):
        missing = [name for name in sorted(rare_settings(kind)) if f"`{name}`" not in text]
        assert missing == []


def test_numbers_of_a_training_are_settings_whose_defaults_are_in_range():
    for kind in (TrainCaptioner, TrainClassifier):
        names = {field.name for field in dataclasses.fields(kind)}
        assert {"weight_decay", "clip_norm", "ema_decay", "label_smoothing", "patience"} <= names
        for name in ("ema_decay", "label_smoothing"):
            with pytest.raises(ConfigError, match=name):
                kind(data="x", **{name: 1.0})
        for wrong in ({"learning_rate": 0}, {"clip_norm": 0}, {"final_rate": 2}, {"weight_decay": -1}):
            with pytest.raises(ConfigError, match=next(iter(wrong))):
                kind(data="x", **wrong)
