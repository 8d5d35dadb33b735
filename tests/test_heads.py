"""Heads: the linear one at the optimum, the MLP better where lines fail, neighbours by cosine."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from showtell.kinds.classifier.data import Examples, HeadData
from showtell.kinds.classifier.heads import (
    Candidate,
    best_of,
    candidates_table,
    choose_head,
    fit_linear,
    fit_logistic,
    fit_mlp,
    fit_neighbours,
    fit_temperature,
    score,
)
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.models.heads import HeadConfig, LinearHead, NeighbourHead, build_head


def clusters(count: int, classes: int, dim: int, spread: float, seed: int) -> Examples:
    """Noisy points around a centre a class; the same centres whatever the seed."""
    centres = torch.from_numpy(np.random.default_rng(99).normal(size=(classes, dim))).float()
    random = np.random.default_rng(seed)
    labels = torch.arange(count) % classes
    noise = torch.from_numpy(random.normal(size=(count, dim))).float()
    return Examples((centres[labels] + spread * noise + 3).half(), labels)


def logistic(examples: Examples, classes: int, l2: float) -> tuple[LinearHead, torch.Tensor]:
    head = LinearHead(HeadConfig("linear", examples.pooled.shape[1], classes))
    head.fit_scale(examples.pooled)
    standardised = head.standardise(examples.pooled)
    fit_logistic(standardised, examples.labels, head, l2)
    return head, standardised


@pytest.mark.parametrize("l2", [1.0, 0.01, 0.0003])
def test_logistic_regression_is_at_its_optimum(l2):
    """At the one optimum of a strictly convex cost the gradient is zero, which needs no other library."""
    head, standardised = logistic(clusters(200, 4, 30, 1.0, 0), 4, l2)
    weight, bias = (p.detach().double().requires_grad_() for p in (head.linear.weight, head.linear.bias))
    logits = standardised.double() @ weight.T + bias
    cost = F.cross_entropy(logits, clusters(200, 4, 30, 1.0, 0).labels) + l2 / 2 * weight.square().sum()
    for gradient in torch.autograd.grad(cost, (weight, bias)):
        assert gradient.abs().max() < 1e-4
    # Any step away costs more.
    for seed in range(5):
        step = 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
        moved = standardised.double() @ (weight + step).T + bias
        other = F.cross_entropy(moved, clusters(200, 4, 30, 1.0, 0).labels)
        assert other + l2 / 2 * (weight + step).square().sum() > cost


def test_logistic_regression_equals_scikit_learn():
    sklearn = pytest.importorskip("sklearn.linear_model")
    examples = clusters(150, 3, 20, 1.5, 1)
    head, standardised = logistic(examples, 3, 0.01)
    reference = sklearn.LogisticRegression(C=1 / (150 * 0.01), tol=1e-8, max_iter=5000)
    reference.fit(standardised.double().numpy(), examples.labels.numpy())  # its float32 is less exact
    weight = head.linear.weight.detach().numpy()
    np.testing.assert_allclose(weight, reference.coef_, atol=2e-4)


def test_standardised_features_have_mean_0_and_deviation_1_whatever_their_length():
    examples = clusters(300, 3, 40, 1.0, 2)
    head = build_head(HeadConfig("linear", 40, 3))
    head.fit_scale(examples.pooled)
    standardised = head.standardise(examples.pooled)
    assert standardised.mean(0).abs().max() < 1e-4
    assert (standardised.std(0, correction=0) - 1).abs().max() < 1e-3
    torch.testing.assert_close(head.standardise(examples.pooled.float() * 7), standardised)


def test_a_feature_that_never_varies_does_no_harm():
    examples = clusters(100, 2, 8, 0.5, 3)
    examples.pooled[:, 3] = 0
    candidate = fit_linear(HeadData(examples, clusters(50, 2, 8, 0.5, 4), 2))
    assert torch.isfinite(candidate.head(examples.pooled)).all()
    other = examples.pooled.clone()
    other[:, 3] = 5  # seen for the first time
    assert torch.isfinite(candidate.head(other)).all()


def test_the_penalty_is_chosen_by_validation():
    train, check = clusters(60, 3, 200, 3.0, 5), clusters(300, 3, 200, 3.0, 6)
    chosen = fit_linear(HeadData(train, check, 3))
    for l2 in (10.0, 1e-4):
        assert chosen.log_likelihood >= score(logistic(train, 3, l2)[0], check)[1] - 1e-3
    assert chosen.setting.startswith("L2 ")
    assert not any(p.requires_grad for p in chosen.head.parameters())


def ring(count: int, seed: int) -> Examples:
    """Two classes on alternating sectors, which no line parts."""
    random = np.random.default_rng(seed)
    angle = random.uniform(0, 2 * np.pi, count)
    points = np.stack([np.cos(angle), np.sin(angle)], 1) + 0.05 * random.normal(size=(count, 2))
    labels = (angle // (np.pi / 2)).astype(int) % 2
    return Examples(torch.from_numpy(points).half(), torch.from_numpy(labels))


def test_mlp_and_neighbours_learn_what_a_line_cannot(tmp_path):
    train, check = ring(400, 0), ring(200, 1)
    linear = fit_linear(HeadData(train, check, 2))
    mlp = fit_mlp(HeadData(train, check, 2), TrainClassifier(tmp_path), tmp_path)
    neighbours = fit_neighbours(HeadData(train, check, 2))
    assert linear.accuracy < 0.7
    assert mlp.accuracy > 0.9
    assert neighbours.accuracy > 0.9
    assert best_of([linear, mlp, neighbours]).kind != "linear"
    assert "<- chosen" in candidates_table([linear, mlp], mlp).splitlines()[2]


def test_an_mlp_is_the_same_for_the_same_seed(tmp_path):
    check = clusters(40, 3, 12, 1.0, 1)
    data = HeadData(clusters(80, 3, 12, 1.0, 0), check, 3)
    first, second, other = (
        fit_mlp(data, TrainClassifier(tmp_path, seed=seed), tmp_path / str(i)).head(check.pooled)
        for i, seed in enumerate((0, 0, 1))
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_neighbours_vote_by_cosine_and_leave_no_class_impossible():
    head = NeighbourHead(HeadConfig("knn", 2, 3, neighbours=3, remembered=4))
    head.remember(torch.tensor([[1.0, 0], [0.98, 0.2], [0, 1.0], [-1, 0]]), torch.tensor([0, 0, 1, 2]))
    shares = head(torch.tensor([[5.0, 0.3]])).exp()[0]
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    assert shares[0] > 0.9
    assert 0 < shares[2] < shares[0]


@pytest.mark.parametrize(
    ("linear", "neighbours", "images", "chosen"),
    [
        (0.96, 0.98, 50, "linear"),  # better by one image
        (0.90, 0.94, 50, "linear"),  # by less than a standard error, 0.042
        (0.90, 0.96, 50, "knn"),
        (0.98, 1.00, 50, "linear"),
        (0.90, 0.91, 10_000, "knn"),  # by three standard errors
        (0.90, 0.90, 10_000, "linear"),
        (0.00, 0.10, 10, "linear"),
    ],
)
def test_neighbours_must_be_clearly_better_to_be_chosen(linear, neighbours, images, chosen):
    heads = {
        kind: Candidate(build_head(HeadConfig(kind, 2, 2, remembered=1)), "", accuracy, -0.1, 0.0)
        for kind, accuracy in (("linear", linear), ("knn", neighbours))
    }
    assert choose_head(list(heads.values()), images) is heads[chosen]
    assert choose_head([heads["knn"]], images) is heads["knn"]


def test_equal_accuracies_are_decided_by_likelihood():
    head = build_head(HeadConfig("linear", 2, 2))
    one, two = Candidate(head, "a", 0.9, -0.5, 0.0), Candidate(head, "b", 0.9, -0.3, 0.0)
    assert best_of([one, two]) is two
    assert best_of([one, Candidate(head, "c", 0.8, -0.1, 0.0)]) is one


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(true):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20_000, 5, generator=generator)
    labels = torch.multinomial((logits / true).softmax(1), 1, generator=generator)[:, 0]
    assert fit_temperature(logits, labels) == pytest.approx(true, rel=0.05)


def test_a_few_faultless_predictions_do_not_make_it_certain_of_everything():
    logits = torch.eye(4).repeat(5, 1) * 3
    temperature = fit_temperature(logits, torch.arange(4).repeat(5))
    assert 0.3 < temperature < 1
    many = fit_temperature(logits.repeat(500, 1), torch.arange(4).repeat(2500))
    assert 0.05 <= many < temperature
