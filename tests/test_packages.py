"""What people install: the wheel, made from the sdist, holds all that the package reads, and works."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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
