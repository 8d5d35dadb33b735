"""What CPUs compute in ways of their own equals what torch and autograd give."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from showtell.models import attention
from showtell.models.kernels.operations import (
    FusedLinear,
    additive_score,
    drop,
    gather_repeated,
    index_select_unique,
    linear,
    smoothed_cross_entropy,
)


def leaf(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, requires_grad=True)


def assert_close(found, expected, **tolerance) -> None:
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, **tolerance)


def test_the_score_s_gradient_is_right_by_finite_differences():
    torch.manual_seed(1)
    assert torch.autograd.gradcheck(additive_score, (leaf(2, 4, 3), leaf(2, 2, 3), leaf(3)))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.integers(1, 6), st.integers(0, 999))
def test_the_score_equals_autograd_s(images, captions, cells, width, seed):
    torch.manual_seed(seed)
    inputs = keys, query, weight = leaf(images, cells, width), leaf(images, captions, width), leaf(width)
    outer = torch.randn(images, captions, cells, dtype=torch.float64)
    found = additive_score(*inputs)
    expected = attention.additive_score(keys, query, weight)
    assert torch.allclose(found, expected)
    assert_close(torch.autograd.grad(found, inputs, outer), torch.autograd.grad(expected, inputs, outer))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.booleans(), st.integers(0, 999))
def test_a_product_with_the_weight_on_the_left_is_the_linear_map(rows, with_bias, seed):
    torch.manual_seed(seed)
    x, weights, bias = leaf(*rows, 4), leaf(5, 7), leaf(5) if with_bias else None
    found, expected = linear(x, weights[:, :4], bias), F.linear(x, weights[:, :4], bias)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected)
    assert found.is_contiguous()  # what reads its rows is slow where they lie apart
    outer = torch.randn(expected.shape, dtype=torch.float64)
    inputs = [x, weights] + ([bias] if with_bias else [])
    assert_close(torch.autograd.grad(found, inputs, outer), torch.autograd.grad(expected, inputs, outer))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.booleans(), st.integers(0, 999))
def test_a_fused_linear_map_equals_autograd_s_over_all_words(rows, with_bias, seed):
    """Each word's state comes from the word before, and not every word counts in the loss."""
    torch.manual_seed(seed)
    weight, bias, start = leaf(3, 3), leaf(3) if with_bias else None, leaf(2, max(rows), 3)
    parameters = [weight, start] + ([bias] if with_bias else [])

    def loss(linear) -> torch.Tensor:
        state, total = start, torch.zeros((), dtype=torch.float64)
        for number, count in enumerate(sorted(rows, reverse=True)):
            state = torch.tanh(linear(state[:, :count]))
            total = total + (state.square().sum() if number % 2 == 0 else 0)
        return total

    found, expected = loss(FusedLinear(weight, bias)), loss(lambda x: F.linear(x, weight, bias))
    assert torch.allclose(found, expected)
    assert_close(torch.autograd.grad(found, parameters), torch.autograd.grad(expected, parameters))


def test_a_fused_linear_map_that_nobody_applied_has_no_gradient():
    weight = leaf(3, 3)
    FusedLinear(weight)
    (weight.sum() * 2).backward()
    assert torch.equal(weight.grad, torch.full((3, 3), 2.0, dtype=torch.float64))


def test_a_fused_linear_map_computes_in_the_precision_that_is_asked_for():
    weight, values = leaf(8, 4, dtype=torch.float32), torch.randn(5, 4)
    with torch.autocast("cpu", torch.bfloat16):
        found = FusedLinear(weight)(values)
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), values @ weight.T, atol=0.05)
    found.sum().backward()
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32
    assert torch.allclose(weight.grad, values.sum(0).expand(8, 4), atol=0.05)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(0, 99))
def test_repeated_rows_equal_autograd_s(dtype, occurrences, seed):
    torch.manual_seed(seed)
    occurrences = torch.tensor(occurrences).unique(return_inverse=True)[1]  # every row is used
    rows = leaf(int(occurrences.max()) + 1, 3, dtype=dtype)
    outer = torch.randn(len(occurrences), 3, dtype=dtype)
    found, expected = gather_repeated(rows, occurrences), rows[occurrences]
    assert torch.equal(found, expected)
    (gradient,) = torch.autograd.grad(found, rows, outer)
    exact = torch.zeros(rows.shape, dtype=torch.float64).index_add(0, occurrences, outer.double())
    # Added up in float32 at least, and rounded once: 30 terms of bfloat16 would lose more than the last bit.
    assert torch.allclose(gradient.double(), exact, rtol=torch.finfo(dtype).eps, atol=1e-5)


@settings(deadline=None)
@given(st.permutations(range(6)), st.integers(1, 6))
def test_taken_rows_equal_autograd_s(order, count):
    values, places = leaf(6, 3), torch.tensor(order[:count])
    outer = torch.randn(count, 3, dtype=torch.float64)
    found, expected = index_select_unique(values, places), values[places]
    assert torch.equal(found, expected)
    assert_close(torch.autograd.grad(found, values, outer), torch.autograd.grad(expected, values, outer))


@pytest.mark.parametrize("words", [1, 63, 64, 65, 200])  # rows are computed 64 at a time
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_smoothed_cross_entropy_equals_torch_s(words, smoothing):
    torch.manual_seed(words)
    logits, targets = leaf(words, 17, dtype=torch.float32), torch.randint(17, (words,))
    given = logits.detach().clone()
    for factor in (1.0, 3.0):
        found = smoothed_cross_entropy(logits, targets, smoothing)
        expected = F.cross_entropy(logits, targets, label_smoothing=smoothing)
        assert found.item() == pytest.approx(expected.item(), rel=1e-6)
        (gradient,) = torch.autograd.grad(factor * found, logits, retain_graph=True)
        assert_close([gradient], torch.autograd.grad(factor * expected, logits), atol=1e-7)
    assert torch.equal(logits, given)
    with pytest.raises(RuntimeError, match="modified"):  # the one gradient there is has been given away
        torch.autograd.grad(found, logits)


def test_smoothed_cross_entropy_bears_logits_that_exp_cannot():
    logits = torch.tensor([[1000.0, 0.0], [0.0, -1000.0]], requires_grad=True)
    loss = smoothed_cross_entropy(logits, torch.tensor([0, 1]), 0.0)
    loss.backward()
    assert loss.item() == pytest.approx(500)
    assert torch.allclose(logits.grad, torch.tensor([[0.0, 0.0], [0.5, -0.5]]))


@pytest.mark.parametrize("share", [0.2, 0.3, 0.5, 0.9])
def test_dropout_leaves_out_its_share_and_keeps_the_mean(share):
    torch.manual_seed(0)
    values = torch.ones(1001, 999)
    found = drop(values, share)
    assert (found == 0).float().mean().item() == pytest.approx(share, abs=0.004)
    assert found.mean().item() == pytest.approx(1, abs=0.02)
    assert len(found.unique()) == 2
    # No row, no column and no place within the eight that are drawn together is favoured.
    kept = (found > 0).float()
    for part in (kept.mean(0), kept.mean(1), kept.flatten()[: 8 * 124_999].view(-1, 8).mean(0)):
        assert (part - (1 - share)).abs().max() < 0.09


def test_dropout_of_nothing_changes_nothing_and_a_seed_repeats_it():
    values = torch.randn(5, 7)
    assert torch.equal(drop(values, 0.0), values)
    torch.manual_seed(3)
    once = drop(values, 0.5)
    torch.manual_seed(3)
    assert torch.equal(drop(values, 0.5), once)
    assert not torch.equal(drop(values, 0.5), once)
