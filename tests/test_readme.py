"""Every `showtell` command of the READMEs is run, as it stands there, where its files exist."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from conftest import ENDED
from showtell.commands import COMMANDS
from showtell.samples import write_captions_dataset, write_classes_dataset

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.ko.md")
GUIDES = ("architecture", "data", "dependencies", "reference", "scale", "serving", "settings")
HELPS = ROOT / "tests" / "golden" / "help"
# `make test` runs this very file; `make quickstart` is what .ci/run ends with.
MADE = {"make quickstart", "make test"}


def commands(readme: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / readme).read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_desk(tmp_path_factory.mktemp("desk"))


def lay_desk(folder: Path) -> Path:
    """Lay out what a reader has: photos with a table, cats, and the backbone's weights in the hub's cache."""
    write_classes_dataset(folder / "cats", count=40, seed=0)
    write_captions_dataset(folder / "drawn", language="en", count=30, seed=0)
    photos = folder / "photos"
    photos.mkdir()
    rows = ["image,caption"]
    for entry in json.loads((folder / "drawn" / "captions.json").read_text(encoding="utf-8"))["images"]:
        shutil.copy(folder / "drawn" / "images" / entry["filename"], photos)
        rows += [f"{entry['filename']},{sentence['raw']}" for sentence in entry["sentences"]]
    (photos / "captions.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    shutil.copy(photos / entry["filename"], photos / "beach.png")
    name = timm.get_pretrained_cfg("mobilenetv2_100").hf_hub_id.replace("/", "--")
    snapshot = folder / "hub" / f"models--{name}" / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0")
    save_file(timm.create_model("mobilenetv2_100").state_dict(), snapshot / "model.safetensors")
    return folder


def environment(desk: Path) -> dict[str, str]:
    return os.environ | {
        "HF_HUB_CACHE": str(desk / "hub"),
        "HF_HUB_OFFLINE": "1",
        "SHOWTELL_STORE": str(desk / "store"),
        "OMP_NUM_THREADS": "1",
    }


@pytest.mark.timeout(240)
def test_commands_of_the_readme(desk: Path) -> None:
    for command in commands("README.md"):
        if command in MADE:
            continue
        program, *arguments = shlex.split(command)
        assert program == "showtell", command
        done = subprocess.run(
            [sys.executable, "-m", "showtell", *arguments],
            cwd=desk,
            env=environment(desk),
            capture_output=True,
            text=True,
        )
        ended = ENDED if arguments[0].startswith("train-") else (0,)  # random weights teach nothing
        assert done.returncode in ended, f"{command}\n{done.stderr}"
    assert (desk / "why.png").stat().st_size > 10_000


def test_both_readmes_teach_the_same_commands() -> None:
    assert commands(READMES[0]) == commands(READMES[1])


def test_the_readmes_are_read_in_one_sitting() -> None:
    assert all((ROOT / name).read_text(encoding="utf-8").count("\n") <= 120 for name in READMES)


def guides() -> list[Path]:
    """Return the documents that say how showtell is used now; the logs also tell how it was."""
    named = [ROOT / name for name in (*READMES, "CONTRIBUTING.md", "CHANGELOG.md")]
    return named + [ROOT / "docs" / f"{name}.md" for name in GUIDES]


def test_commands_and_flags_of_the_documents_exist() -> None:
    helps = {path.stem: path.read_text(encoding="utf-8") for path in HELPS.glob("*.txt")}
    flags = {flag for text in helps.values() for flag in re.findall(r"--[a-z][\w-]*", text)}
    for document in guides():
        text = document.read_text(encoding="utf-8")
        # Blocks without a language are drawings, which have arrows.
        text = re.sub(
            r"^```(\w*)\n.*?^```$", lambda m: m[0] * bool(m[1]), text, flags=re.DOTALL | re.MULTILINE
        )
        shell = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
        named = set(re.findall(r"^showtell ([a-z][a-z-]*)", shell, re.MULTILINE))
        named |= set(re.findall(r"`showtell ([a-z][a-z-]*)", text))
        assert named <= COMMANDS.keys(), document.name
        typed = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text))
        others = {"--data-binary", "--nproc-per-node", "--nnodes"}  # curl's and torchrun's
        others |= {"--rm", "--build-arg"}  # docker's
        assert typed <= flags | {"--debug", "--print-completion"} | others, document.name


def test_links_of_the_documents_lead_somewhere() -> None:
    documents = [ROOT / name for name in (*READMES, "CONTRIBUTING.md")] + sorted(ROOT.glob("docs/**/*.md"))
    for document in documents:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
