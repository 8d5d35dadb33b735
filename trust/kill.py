"""Kill -9 at random moments: nothing finished is lost, nothing half-written is served, a rerun ends equal.

    python trust/kill.py --rounds 200
    python trust/kill.py --minutes 30 --only threads

A round starts from nothing, is killed one to three times, and then runs to its end. Half of the moments are
drawn from the time that the command takes, half from its writes: just before a file is opened to be written,
renamed, removed or linked, and on both sides of a commit.
"""

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import killing
import models
from campaign import Attempt, Figures, Finding, NotHere, line, run
from extracting import IMAGES, draw_images, extraction, records_of
from kill_training import captioner, export, fine_tuning
from killing import Undisturbed, command, digests, emptied, finish, forked, killed


def _extraction(kind: str, folder: Path) -> Iterator[Attempt]:
    from showtell.extraction import processes

    if kind == "ray":
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise NotHere(str(error)) from None
    if kind == "processes":
        # Workers begin as forks, too: a server of their own would import torch in every round.
        processes.get_context = lambda method: multiprocessing.get_context("fork")  # type: ignore[attr-defined]
    forked(partial(draw_images, folder / "data"), folder / "log")
    who = [] if kind == "threads" else ["--executor", kind, "--workers", "2" if kind == "processes" else "1"]

    extract = extraction(folder, *who)
    how_long = Undisturbed(extract(folder / "whole"), folder / "log")
    whole = records_of(folder / "whole", folder)
    if len(whole) != IMAGES:
        raise RuntimeError(f"{len(whole)} records of {IMAGES}")

    def attempt(chance: random.Random) -> Figures:
        store, log, kills, kept = emptied(folder / "round") / "store", folder / "round.log", 0, 0
        log.unlink(missing_ok=True)
        for _ in range(chance.randint(1, 3)):
            kills += killed(extract(store), log, how_long, chance)
            found = records_of(store, folder)
            if found.items() - whole.items():
                raise Finding("a record is served that is not what was computed")
            if len(found) < kept:
                raise Finding(f"{kept - len(found)} finished records are lost")
            kept = len(found)
        finish(extract(store), log, "extract")
        if records_of(store, folder) != whole:
            raise Finding("the next run does not end equal")
        left = [
            path.name for path in store.rglob("*") if ".partial" in path.name or path.parent.name == "jobs"
        ]
        return {"kills": kills, "records kept by kills": kept, "left-overs": len(left)}

    yield attempt


def _answer(path: Path, told: Path, column: str, number: int) -> int:
    """Write answers down without end; tell of each that is confirmed."""
    from showtell.data.answers import Answer, AnswerTable

    table, descriptor = AnswerTable(path, column), os.open(told, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    while True:
        table.add([Answer(f"{number}.jpg", f"강아지 {number}")])
        os.write(descriptor, f"{number}\n".encode())
        if number % 7 == 3:  # the one before is changed, which writes the whole table anew
            old = next(one for one in table.read() if one.image == f"{number - 1}.jpg")
            table.change(old, Answer(f"{number - 1}.jpg", f"강아지 {number - 1}", "accepted"))
        number += 1


def _answers(folder: Path) -> Iterator[Attempt]:
    """Kill who writes down what people answer in teach; each answer that was confirmed is in the table."""
    path, told, log = folder / "captions.csv", folder / "told", folder / "log"
    told.touch()

    def attempt(chance: random.Random) -> Figures:
        from showtell.data.answers import AnswerTable

        if len(told.read_text().splitlines()) > 400:
            path.unlink()
            told.write_text("")
        first = int((["-2", *told.read_text().split()])[-1]) + 2
        work = partial(_answer, path, told, "caption", first)
        if chance.random() < 0.5:
            forked(work, log, kill_at_write=chance.randint(1, 60))
        else:
            forked(work, log, kill_after=chance.uniform(0, 0.2))
        kept = {one.image: one.text for one in AnswerTable(path, "caption").read()}
        said = [int(line) for line in told.read_text().split()]
        lost = [number for number in said if kept.get(f"{number}.jpg") != f"강아지 {number}"]
        if lost:
            raise Finding(f"{len(lost)} confirmed answers are lost, such as {lost[0]}")
        return {"kills": 1, "highest answers": len(kept)}

    yield attempt


def _merge(folder: Path) -> Iterator[Attempt]:
    from showtell.store import adopt

    adopt._BATCH_BYTES = 2000
    forked(partial(models.store, folder / "other", 200), folder / "log")
    forked(partial(models.store, folder / "mine", 30), folder / "log")
    union = records_of(folder / "other", folder)
    mine = folder / "mine"

    def merge(store: Path) -> Callable[[], int]:
        return command(["store", "--store", str(store), "--merge", str(folder / "other")])

    import shutil

    shutil.copytree(mine, folder / "whole")
    how_long = Undisturbed(merge(folder / "whole"), folder / "log")

    def attempt(chance: random.Random) -> Figures:
        store, log, kills, kept = folder / "round", folder / "round.log", 0, 30
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(mine, store)
        for _ in range(chance.randint(1, 3)):
            kills += killed(merge(store), log, how_long, chance)
            found = records_of(store, folder)
            if found.items() - union.items() or len(found) < kept:
                raise Finding("after a kill there are other records, or fewer")
            kept = len(found)
        finish(merge(store), log, "the merge")
        if records_of(store, folder) != union or records_of(folder / "other", folder) != union:
            raise Finding("the next merge does not end equal")
        return {"kills": kills}

    yield attempt


def _remove(folder: Path) -> Iterator[Attempt]:
    import shutil

    forked(partial(models.store, folder / "mine", 200), folder / "log")
    whole = records_of(folder / "mine", folder)
    space = next(iter(whole)).split()[0]

    def remove(store: Path) -> Callable[[], int]:
        return command(["store", "--store", str(store), "--remove", space])

    shutil.copytree(folder / "mine", folder / "whole")
    how_long = Undisturbed(remove(folder / "whole"), folder / "log")

    def attempt(chance: random.Random) -> Figures:
        store, log, kills = folder / "round", folder / "round.log", 0
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(folder / "mine", store)
        kills += killed(remove(store), log, how_long, chance)
        if (found := records_of(store, folder)) not in ({}, whole):
            raise Finding(f"{len(found)} of {len(whole)} records are left of a space that was being removed")
        if found:
            finish(remove(store), log, "the removal")
        forked(partial(models.store, store, 200), log)
        if records_of(store, folder) != whole:
            raise Finding("what is written after a removal is not what is read")
        finish(remove(store), log, "the removal")
        if left := [
            path.name for path in store.iterdir() if path.is_dir() and path.name.startswith(".removed")
        ]:
            raise Finding(f"{left[0]} is left for good")
        return {"kills": kills}

    yield attempt


def _serve_hub(tell: int) -> None:
    """Be a stand-in for the Hub until the parent ends."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from hub_stand_in import hub

    with hub() as server:
        os.write(tell, server.endpoint.encode() + b"\n")
        while os.getppid() != 1:
            time.sleep(0.5)


def _push(folder: Path) -> Iterator[Attempt]:
    from huggingface_hub import constants

    os.environ |= {"HF_TOKEN": "hf_right", "HF_HOME": str(folder / "hf")}
    constants.HF_HUB_DISABLE_XET = True  # the stand-in takes large files in the older way
    forked(partial(models.classifier, folder / "run" / "model"), folder / "log")
    hear, tell = os.pipe()
    server = os.fork()
    if server == 0:
        try:
            _serve_hub(tell)
        finally:
            os._exit(0)
    endpoint = ["--endpoint", os.read(hear, 200).decode().strip()]

    def push(name: str) -> Callable[[], int]:
        return command(["push", str(folder / "run"), name, *endpoint])

    def pull(name: str, out: Path) -> Callable[[], int]:
        return command(["pull", f"sunja/{name}", str(out), *endpoint])

    how_long = Undisturbed(push("whole"), folder / "log")
    Undisturbed(pull("whole", folder / "whole"), folder / "log")
    names = ("model.safetensors", "config.json")
    whole = digests(folder / "whole", names)
    if whole != digests(folder / "run" / "model", names):
        raise RuntimeError("what was pulled is not what was pushed")
    numbers = iter(range(10**9))

    def attempt(chance: random.Random) -> Figures:
        name, log, kills = f"model{next(numbers)}", folder / "round.log", 0
        place = emptied(folder / "round")
        log.unlink(missing_ok=True)
        for number in range(chance.randint(1, 2)):
            kills += killed(push(name), log, how_long, chance)
            out = place / f"served{number}"
            if forked(pull(name, out), log) == 0 and digests(out, names) != whole:
                raise Finding("a model can be pulled that was pushed by halves")
        finish(push(name), log, "push")
        for _ in range(chance.randint(1, 2)):
            kills += killed(pull(name, place / "out"), log, how_long, chance)
            if (place / "out" / "config.json").exists() and digests(place / "out", names) != whole:
                raise Finding("a half-fetched model is served")
        if not (place / "out" / "config.json").exists():
            finish(pull(name, place / "out"), log, "pull")
        if digests(place / "out", names) != whole:
            raise Finding("what is pulled after kills is not what was pushed")
        return {"kills": kills}

    try:
        yield attempt
    finally:
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)


LINES = (
    line("extraction by threads", _extraction, "threads", short=2),
    line("extraction by processes", _extraction, "processes", share=2),
    line("extraction by Ray", _extraction, "ray", share=1, short=0),
    line("training of a captioner", captioner, share=2),
    line("fine-tuning of a classifier", fine_tuning, share=2, short=0),
    line("export", export, share=2, short=0),
    line("answers of teach", _answers, short=5),
    line("store: merge", _merge, short=2),
    line("store: removal", _remove, short=2),
    line("push and pull", _push, short=1),
)

if __name__ == "__main__":
    killing.warm()
    sys.exit(run("kill", __doc__, LINES))
