"""A training's numbers are the same with any number of threads, which is chosen by measuring."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from showtell.models import kernels
from showtell.models.batch import assemble
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.models.norm import LayerNorm
from showtell.text.tokenizer import CaptionTokenizer
from showtell.training import threads
from showtell.training.gradient import compute_gradient
from showtell.training.processes import ALONE, Processes
from showtell.training.threads import ThreadChoice


@pytest.fixture
def two_threads():
    """Compute with two threads, whatever the machine has."""
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(usual)


class Clock:
    """Time that passes when a gradient is computed, by the number of threads."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.now, self.seconds, self.asked = 0.0, seconds, []

    def perf_counter(self) -> float:
        return self.now

    def gradient(self) -> float:
        count = torch.get_num_threads()
        self.asked.append(count)
        self.now += self.seconds[count]
        return 1.0


@pytest.fixture
def clock(monkeypatch):
    clock = Clock({2: 1.0, 1: 1.0})
    monkeypatch.setattr(threads, "time", clock)
    return clock


def gradients(kind: str, count: int) -> list[torch.Tensor]:
    """Return loss and gradients of three steps of a captioner in bfloat16, with so many threads."""
    torch.manual_seed(0)
    tokenizer = CaptionTokenizer.train([f"word{i}" for i in range(600)], min_count=1)
    config = DecoderConfig(tokenizer.vocab_size, 320, 256, 256, 128, kind=kind, dropout=0.5)
    captioner = Captioner(config, tokenizer, (7, 7)).train()
    draw = torch.Generator().manual_seed(1)
    optimizer, found = torch.optim.AdamW(captioner.parameters(), lr=1e-3, fused=True), []
    for _ in range(3):
        grid = torch.randn(16, 49, 320, generator=draw).relu().half()
        lengths = torch.randint(4, 24, (16, 5), generator=draw).tolist()
        ids = [
            [[1, *torch.randint(4, 600, (n,), generator=draw).tolist(), 2] for n in row] for row in lengths
        ]
        batch = assemble(grid, ids, tokenizer.pad_id)
        torch.set_num_threads(count)
        with torch.autocast("cpu", torch.bfloat16):
            packed = captioner.decoder.teacher_forced(batch.grid, batch.token_ids, batch.lengths)
            loss = kernels.smoothed_cross_entropy(packed.logits, batch.targets(packed.position), 0.1)
        loss.backward()
        torch.set_num_threads(1)
        found += [loss.detach(), *(value.grad.clone() for value in captioner.parameters())]
        optimizer.step()
        optimizer.zero_grad()
    return found


@pytest.mark.parametrize("kind", ["lstm", "gru", "transformer"])
def test_a_training_is_the_same_with_any_number_of_threads(kind):
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        pytest.skip("bfloat16 is not what this processor trains in")
    alone = gradients(kind, 1)
    for count in (2, 3):
        assert all(map(torch.equal, alone, gradients(kind, count)))


def test_a_layer_norm_is_torch_s_own_on_one_thread_and_the_same_on_two(two_threads):
    plain, ours = nn.LayerNorm(96), LayerNorm(96)
    x = torch.randn(500, 96)
    found = []
    for norm, count in ((plain, 1), (ours, 1), (ours, 2)):
        torch.set_num_threads(count)
        given = x.clone().requires_grad_()
        norm.zero_grad()
        norm(given).square().sum().backward()
        found.append((given.grad, norm.weight.grad.clone(), norm.bias.grad.clone()))
        assert torch.get_num_threads() == count
    for others in zip(*found):
        assert torch.equal(others[0], others[1])
        assert torch.equal(others[1], others[2])


def test_the_faster_number_of_threads_is_kept_and_tried_again(two_threads, clock):
    choice = ThreadChoice(nn.Linear(2, 2), 2)
    for _ in range(3):
        choice.compute(clock.gradient)
    assert clock.asked == [2, 2, 2]  # nothing is tried at first
    clock.now, clock.seconds = 10.0, {2: 3.0, 1: 1.0}  # another program holds a core
    while choice.count == 2:
        choice.compute(clock.gradient)
    trial = clock.asked[3:]
    assert sorted(trial) == [1] * 4 + [2] * 4
    for _ in range(5):
        choice.compute(clock.gradient)
    assert clock.asked[-5:] == [1] * 5
    assert torch.get_num_threads() == 2  # for everything else
    clock.now, clock.seconds = clock.now + 1000, {2: 0.6, 1: 1.0}  # it has ended
    for _ in range(5):
        choice.compute(clock.gradient)
    assert choice.count == 2


def test_trials_take_a_small_part_of_the_time(two_threads, clock):
    choice = ThreadChoice(nn.Linear(2, 2), 2)
    for _ in range(1000):
        choice.compute(clock.gradient)
    assert choice.count == 2  # as fast: no reason to change
    assert 1000 < len(clock.asked) < 1040


def test_numbers_that_depend_on_threads_keep_them(two_threads, clock):
    """In float32 a processor may add in another order; the last bit must not tell what else ran."""
    network = nn.Linear(4, 1)
    choice = ThreadChoice(network, 2)
    clock.now, clock.seconds = 10.0, {2: 3.0, 1: 1.0}

    def gradient() -> float:
        network.weight.grad = torch.full((1, 4), 1 + torch.get_num_threads() * 1e-7)
        return clock.gradient()

    choice.compute(gradient)
    assert torch.equal(network.weight.grad, torch.full((1, 4), 1 + 2e-7))
    clock.now = 1e6
    choice.compute(gradient)
    assert (choice.count, clock.asked) == (2, [1, 2, 2])


def test_both_of_a_trial_draw_the_same_and_leave_one_gradient(two_threads, clock):
    network = nn.Linear(8, 1)

    def loss(epoch: int, index: int) -> tuple[torch.Tensor, int]:
        clock.gradient()
        return network(nn.functional.dropout(torch.ones(16, 8), 0.5)).sum(), 16

    task = SimpleNamespace(network=network, processes=ALONE)
    torch.manual_seed(3)
    once = compute_gradient(task, loss, 0, 0, 5.0)
    expected, drawn = network.weight.grad.clone(), torch.rand(1)
    network.zero_grad()
    torch.manual_seed(3)
    clock.now, choice = 10.0, ThreadChoice(network, 2)
    clock.asked.clear()
    choice._next = 0.0
    assert compute_gradient(task, loss, 0, 0, 5.0, choice) == once
    assert clock.asked == [1, 2]
    assert torch.equal(network.weight.grad, expected)
    assert torch.equal(torch.rand(1), drawn)


def test_there_is_a_choice_only_where_nobody_has_made_it(two_threads, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    task = SimpleNamespace(network=nn.Linear(2, 2), processes=ALONE)
    assert ThreadChoice.of(task).count == 2
    several = SimpleNamespace(network=task.network, processes=Processes(0, 2))
    assert ThreadChoice.of(several) is None
    torch.set_num_threads(1)
    assert ThreadChoice.of(task) is None
    torch.set_num_threads(2)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert ThreadChoice.of(task) is None
