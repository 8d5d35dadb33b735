"""Images of several requests that share a look: of one kind, in order, and nobody waits in vain."""

import threading
from concurrent.futures import CancelledError

import pytest
import torch

from serving import wait_until
from showtell.errors import ImageError
from showtell.serving.served import Batcher


def gate() -> tuple[Batcher, threading.Event, list[tuple[int, object]]]:
    """Return a batcher of numbers that waits for the event before each batch, and what it computed."""
    go, seen = threading.Event(), []

    def compute(pixels: torch.Tensor, kind: object) -> list[int]:
        seen.append((len(pixels), kind))
        assert go.wait(10)
        if kind == "bad":
            raise OSError("no memory")
        return [int(value) for value in pixels]

    return Batcher(compute, 4, lambda size: None, (1, 1)), go, seen


def test_a_batch_holds_one_kind_of_question_and_keeps_the_order():
    batcher, go, seen = gate()
    first = batcher.ask(torch.tensor(0))
    wait_until(lambda: seen)
    kinds = [3, 1, 3, 3, 1, 3, 3]
    asked = [batcher.ask(torch.tensor(n), kind) for n, kind in enumerate(kinds)]
    go.set()
    assert first.result(10) == 0
    assert [future.result(10) for future in asked] == list(range(7))
    assert seen == [(1, None), (4, 3), (2, 1), (1, 3)]
    batcher.close()


def test_what_nobody_waits_for_is_not_computed_and_a_fault_is_everybodys():
    batcher, go, seen = gate()
    batcher.ask(torch.tensor(0))
    wait_until(lambda: seen)
    left = batcher.ask(torch.tensor(1))
    bad = [batcher.ask(torch.tensor(2), "bad") for _ in range(2)]
    last = batcher.ask(torch.tensor(3))
    assert left.cancel()
    go.set()
    for future in bad:
        with pytest.raises(OSError, match="no memory"):
            future.result(10)
    batcher.close()  # answers what waits
    assert last.result(0) == 3
    assert seen == [(1, None), (1, None), (2, "bad")] or seen == [(1, None), (2, "bad"), (1, None)]
    with pytest.raises(CancelledError):
        left.result(0)
    with pytest.raises(RuntimeError, match="closed"):
        batcher.ask(torch.tensor(4))


def test_a_model_that_answers_too_few_images_is_heard_of_by_all_who_wait():
    batcher = Batcher(lambda pixels, kind: pixels.tolist()[1:], 4, lambda size: None, (1, 1))
    for _ in range(2):  # and its thread works on
        with pytest.raises(ValueError, match="shorter"):
            batcher.ask(torch.tensor(1)).result(5)
    batcher.close()


def test_images_that_are_being_read_share_a_look_but_are_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr("showtell.serving.served._MAX_WAIT", 20)
    sizes: list[int] = []
    batcher = Batcher(lambda pixels, kind: pixels.tolist(), 4, sizes.append, (1, 1))
    with batcher.expecting():
        with batcher.expecting():
            first = batcher.ask(torch.tensor(1))
        second = batcher.ask(torch.tensor(2))
    assert [first.result(5), second.result(5)] == [1, 2]
    assert sizes == [2]
    with pytest.raises(ImageError), batcher.expecting():
        raise ImageError("cannot be read")
    assert batcher.ask(torch.tensor(3)).result(5) == 3  # the unreadable one is not waited for
    monkeypatch.setattr("showtell.serving.served._MAX_WAIT", 0.01)
    with batcher.expecting():
        assert batcher.ask(torch.tensor(4)).result(5) == 4
    batcher.close()


def test_idle_threads_share_what_waits(monkeypatch):
    monkeypatch.setattr("showtell.serving.served._MAX_WAIT", 0.05)
    together = threading.Barrier(2)  # passed only if both look at the same time

    def compute(pixels: torch.Tensor, kind: object) -> list[int]:
        together.wait(10)
        return pixels.tolist()

    batcher = Batcher(compute, 4, lambda size: None, (2, 1))
    with batcher.expecting():
        asked = [batcher.ask(torch.tensor(n)) for n in range(4)]
        assert [future.result(10) for future in asked] == [0, 1, 2, 3]
    batcher.close()


def test_an_idle_thread_leaves_a_busy_one_its_share(monkeypatch):
    monkeypatch.setattr("showtell.serving.served._MAX_WAIT", 20)
    go, sizes = threading.Event(), []

    def compute(pixels: torch.Tensor, kind: object) -> list[int]:
        assert go.wait(10)
        return pixels.tolist()

    batcher = Batcher(compute, 8, sizes.append, (2, 1))
    asked = [batcher.ask(torch.tensor(0))]
    wait_until(lambda: sizes)
    with batcher.expecting():
        asked += [batcher.ask(torch.tensor(n)) for n in range(1, 6)]
    wait_until(lambda: len(sizes) == 2)
    go.set()
    assert [future.result(10) for future in asked] == list(range(6))
    assert sizes[:2] == [1, 3]  # of six, one of them looked at already
    batcher.close()
