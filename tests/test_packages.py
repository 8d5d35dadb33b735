"""What people install: the wheel, made from the sdist, holds all that the package reads, and works."""

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import showtell
from showtell.flags import parse

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "showtell"


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    # The sdist is made from the source, the wheel from the sdist; without isolation no index is asked.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def test_the_wheel_holds_what_the_package_reads(packages):
    (wheel,) = packages.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    read = {
        str(path.relative_to(PACKAGE.parent))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert read <= held
    assert not {name for name in held - read if ".dist-info/" not in name}
    assert any(name.endswith("licenses/LICENSE") for name in held)
    assert any(name.endswith("sboms/showtell.cdx.json") for name in held)
    assert wheel.stat().st_size < 10 * 2**20 and next(packages.glob("*.tar.gz")).stat().st_size < 20 * 2**20


def test_the_wheel_works_from_a_folder_of_its_own(packages, tmp_path):
    (wheel,) = packages.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    script = "import showtell; print(showtell.__file__); from showtell.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "--print-completion", "bash"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout.splitlines()[0]
    assert "train-captioner" in done.stdout and "_showtell" in done.stdout


def test_the_same_source_is_the_same_wheel(packages, tmp_path):
    """Built again elsewhere, from files of another day: not a byte differs."""
    (sdist,) = packages.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    for path in source.rglob("*"):
        os.utime(path, (10**9, 10**9))
    out = tmp_path / "다시"
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"TZ": "Asia/Seoul"})
    assert done.returncode == 0, done.stderr
    first, again = (next(folder.glob("*.whl")).read_bytes() for folder in (packages, out))
    assert first == again


def test_the_bill_of_materials_is_of_what_is_pinned():
    """Written anew by scripts/write_licences.py whenever a dependency changes."""
    bill = json.loads((ROOT / "showtell.cdx.json").read_text(encoding="utf-8"))
    held = {one["name"]: one["version"] for one in bill["components"]}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {
        re.sub(r"[-_.]+", "-", name).lower(): pin for name, _, pin in (one.partition("==") for one in lines)
    }
    assert {name: version for name, version in held.items() if pins.get(name) != version} == {}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *(one for extra in extras if extra != "dev" for one in extras[extra])]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", one)[0]).lower() for one in asked}
    assert names - {"opencv-python"} <= held.keys()  # in dev the one without windows stands for it
    assert bill["metadata"]["component"]["version"] == showtell.__version__


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == showtell.__version__ and cited["license"] == "MIT"


def test_the_container_starts_the_server_for_all_addresses():
    """What is copied exists, nobody is root, and the arguments are those of the program."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    last = text.rpartition("\nFROM ")[2]
    entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", last, re.MULTILINE)[1])
    settings = parse([*entry[1:], "/run/cats"])
    assert (entry[0], settings.host, settings.port) == ("showtell", "0.0.0.0", 8000)
    assert (
        re.search(r"^USER (?!0\b|root)", last, re.MULTILINE) and "HEALTHCHECK" in last and "/healthz" in last
    )
    copied = re.search(r"^COPY (?!--from)(.*) \./$", text, re.MULTILINE)[1].split()
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    assert all((ROOT / name).exists() and f"!{name}" in allowed for name in [*copied, "src"])


def test_the_environment_of_conda_installs_extras_that_exist():
    wanted = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"][-1]["pip"]
    extras = re.search(r"\.\[(.*)\]", wanted[-1])[1].split(",")
    named = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(extras) <= set(named)
