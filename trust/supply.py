"""What the product is made of: licences, a bill of materials, the same wheel twice, no network at test time.

python trust/supply.py --rounds 1
python trust/supply.py --minutes 30 --only network
"""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import write_licences
from campaign import Attempt, Figures, Finding, Line, NotHere, run
from offline import namespace

ROOT = Path(__file__).parents[1]
BILL = "showtell.cdx.json"
PINS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if "==" in line
)


@contextmanager
def licences(_: Path) -> Iterator[Attempt]:
    """Read the licence of every package; what is copyleft, proprietary or unknown must be explained."""

    def attempt(_: random.Random) -> Figures:
        by_role = write_licences.roles()
        everything = {name: one for some in by_role.values() for name, one in some.items()}
        told = write_licences.flagged(everything)
        if silent := [name for name, why in told.items() if not why]:
            raise Finding(
                f"the licences of {', '.join(silent)} are not permissive, and nothing explains them"
            )
        return {"packages": len(everything), "explained": len(told)}

    yield attempt


@contextmanager
def pins(_: Path) -> Iterator[Attempt]:
    """Compare what is installed with constraints.txt, which says what the tests passed with."""

    def attempt(_: random.Random) -> Figures:
        other = {}
        for name, pinned in PINS.items():
            try:
                found = version(name)
            except PackageNotFoundError:
                continue  # of another platform, or an extra that is not installed
            if found != pinned:
                other[name] = f"{found}, not {pinned}"
        if other:
            raise Finding(f"installed in other versions than constraints.txt has: {other}")
        return {"packages": len(PINS)}

    yield attempt


@contextmanager
def known_faults(folder: Path) -> Iterator[Attempt]:
    """Let pip-audit look the pinned versions up, where it is installed and its data can be had."""

    def attempt(_: random.Random) -> Figures:
        if shutil.which("pip-audit") is None:
            raise NotHere("pip-audit is not on PATH")
        asked = ["pip-audit", "--no-deps", "--disable-pip", "--progress-spinner", "off", "-r"]
        done = subprocess.run(
            [*asked, str(ROOT / "constraints.txt")], capture_output=True, text=True, cwd=folder, check=False
        )
        told = done.stdout + done.stderr
        if "could not be audited" in told or "ConnectionError" in told:
            raise NotHere("the data of pip-audit cannot be had on this machine")
        if done.returncode:
            raise Finding(told[-2000:])
        return {"packages": len(PINS)}

    yield attempt


def build(source: Path, out: Path, **environment: str) -> Path:
    """Build the wheel of a source folder, without an index; return it."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    if done.returncode:
        raise Finding(f"the wheel cannot be built: {done.stderr[-500:]}")
    return next(out.glob("*.whl"))


def copy_source(to: Path) -> Path:
    """Copy what the wheel is built from, as files of another day and with other rights."""
    for name in ("src", "pyproject.toml", "README.md", "LICENSE", BILL):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, to / name)
    for path in to.rglob("*"):
        os.utime(path, (10**9, 10**9))
        if path.is_file():
            path.chmod(0o600)
    return to


@contextmanager
def wheels(folder: Path) -> Iterator[Attempt]:
    """Build the wheel in two folders, on two days, in two time zones: one hash, and the bill is in it."""

    def attempt(chance: random.Random) -> Figures:
        place = folder / str(chance.getrandbits(64))
        day = {"SOURCE_DATE_EPOCH": "1764374400"}
        first = build(ROOT, place / "a", TZ="UTC", **day)
        again = build(copy_source(place / "사본"), place / "b", TZ="Asia/Seoul", PYTHONHASHSEED="7", **day)
        one, other = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (first, again))
        if one != other:
            raise Finding(f"two builds differ: {one[:12]}, {other[:12]}")
        with zipfile.ZipFile(first) as archive:
            if not any(name.endswith(f".dist-info/sboms/{BILL}") for name in archive.namelist()):
                raise Finding("the wheel has no bill of materials")
        return {"builds": 2}

    yield attempt


@contextmanager
def no_network(folder: Path) -> Iterator[Attempt]:
    """Run the tests, a file a round, where only the loopback is up: they pass as they do elsewhere."""
    before = namespace()
    if before is None:
        raise NotHere("nobody may have a network namespace of their own here")
    files = sorted((ROOT / "tests").glob("test_*.py"))

    def attempt(chance: random.Random) -> Figures:
        file = chance.choice(files)
        command = [*before, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        if done.returncode not in (0, 5):
            raise Finding(f"{file.name} does not pass without a network: {done.stdout[-1500:]}")
        return {"files": 1}

    yield attempt


LINES = (
    Line("licences of all dependencies", licences, most=1),
    Line("versions as they are pinned", pins, most=1),
    Line("known vulnerabilities", known_faults, most=1),
    Line("the same wheel twice", wheels, most=2),
    Line("tests without a network", no_network, share=20, short=0),
)

if __name__ == "__main__":
    sys.exit(run("supply", __doc__, LINES))
