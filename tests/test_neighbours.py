"""The one nearest-image search: what it finds is what sorting every cosine finds."""

from pathlib import Path

import numpy as np
import pytest

from showtell.data import neighbours
from showtell.data.near_duplicates import leaking_pairs, near_duplicate_groups
from showtell.data.neighbours import Nearest, unit_vectors
from showtell.data.records import AnnotatedImage


def features(count, dim=16, seed=0):
    return np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)


def by_sorting(known, asked, k):
    cosines = unit_vectors(asked) @ unit_vectors(known).T
    places = np.argsort(-cosines, 1, kind="stable")[:, :k]
    return places, np.take_along_axis(cosines, places, 1)


@pytest.mark.parametrize("k", [1, 7, 50])
def test_an_exact_search_finds_what_sorting_finds(k, monkeypatch):
    monkeypatch.setattr(neighbours, "_ROWS", 13)
    monkeypatch.setattr(neighbours, "_COLUMNS", 29)
    known, asked = features(300), features(40, seed=1)
    places, cosines = Nearest(known * 5).search(asked / 3, k)
    expected, similar = by_sorting(known, asked, k)
    assert places.tolist() == expected.tolist()
    np.testing.assert_allclose(cosines, similar, atol=1e-6)


def test_of_equally_near_images_the_first_are_found(monkeypatch):
    monkeypatch.setattr(neighbours, "_COLUMNS", 4)
    known = np.repeat(np.eye(2, dtype=np.float32), 9, axis=0)
    places, cosines = Nearest(known).search(known[[0, 17]], 5)
    assert places.tolist() == [[0, 1, 2, 3, 4], [9, 10, 11, 12, 13]]
    assert (cosines == 1).all()


def test_vectors_that_say_nothing_are_like_no_other():
    known = features(20)
    known[3], known[4] = 0, np.inf
    asked = features(2, seed=1)
    asked[1] = np.nan
    places, cosines = Nearest(known).search(asked, 20)
    assert np.isfinite(cosines).all()
    assert cosines[0, places[0].tolist().index(4)] == 0
    assert (cosines[1] == 0).all()


def test_few_images_are_found_as_far_as_they_go():
    assert Nearest(features(3)).search(features(2), 30)[0].shape == (2, 3)
    assert Nearest(features(0)).search(features(2), 3)[0].shape == (2, 0)
    assert Nearest(features(5)).search(features(0), 3)[1].shape == (0, 3)


def test_half_precision_is_found_as_float32_finds_it():
    known, asked = features(200).astype(np.float16), features(9, seed=1).astype(np.float16)
    assert Nearest(known).search(asked, 4)[0].tolist() == by_sorting(known, asked, 4)[0].tolist()


def test_a_graph_finds_nearly_all_and_ranks_them_exactly(monkeypatch):
    monkeypatch.setattr(neighbours, "EXACT", 1000)
    known = features(3000)
    nearest = Nearest(known)
    places, cosines = nearest.search(known, 5)
    assert nearest._graph is not None, "both sides are large"
    expected, similar = by_sorting(known, known, 5)
    recall = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(places.tolist(), expected.tolist())])
    assert recall > 0.97
    right = places[:, 0] == expected[:, 0]
    np.testing.assert_allclose(cosines[right, 0], similar[right, 0], atol=1e-6)
    assert (np.diff(cosines, axis=1) <= 0).all()


def test_few_are_asked_about_exactly_among_many(monkeypatch):
    monkeypatch.setattr(neighbours, "EXACT", 1000)
    known = features(3000)
    nearest = Nearest(known)
    assert nearest.search(known[:1000], 5)[0].tolist() == by_sorting(known, known[:1000], 5)[0].tolist()
    assert nearest._graph is None


def with_copies(count):
    """Return vectors in groups: a tenth are near-duplicates of another, and one image stands 60 times."""
    known = features(count, dim=32)
    known[count // 10 : count // 5] = known[: count // 10] + 0.01 * features(count // 10, 32, seed=2)
    known[-60:] = known[-60]
    return known


def test_near_duplicates_by_a_graph_are_those_by_comparing_all(monkeypatch):
    known = with_copies(2500)
    names = [str(number) for number in range(len(known))]
    splits = [("train", "val")[number >= 250] for number in range(len(known))]
    images = [AnnotatedImage(name, Path(name), split=split) for name, split in zip(names, splits)]
    groups = near_duplicate_groups(names, known, threshold=0.95)
    leaks = leaking_pairs(images[:2400], known[:2400], threshold=0.95)
    assert len(groups) == 251
    assert len(leaks) == 250
    assert len(groups[-1]) == 60
    monkeypatch.setattr(neighbours, "EXACT", 1000)
    assert near_duplicate_groups(names, known, threshold=0.95) == groups
    by_graph = leaking_pairs(images[:2400], known[:2400], threshold=0.95)
    assert {(one.first, one.second) for one in by_graph} == {(one.first, one.second) for one in leaks}


def test_groups_that_are_linked_by_chains_become_one():
    angles = np.linspace(0, np.pi / 2, 60)
    chain = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    order = np.random.default_rng(0).permutation(60)
    names = [str(place) for place in order]
    assert near_duplicate_groups(names, chain[order], threshold=0.999) == [names]
