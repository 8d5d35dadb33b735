"""What people install: the wheel, made from the sdist, holds all that the package reads, and works."""

import json
import os
import re
import subprocess
import sys
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
