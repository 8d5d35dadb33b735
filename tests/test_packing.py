"""Captions become rows, and each row finds its place beside the other captions of its image."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from showtell.models.batch import assemble
from showtell.models.kernels.packing import pack

LENGTHS = st.integers(1, 4).flatmap(
    lambda captions: st.lists(
        st.lists(st.integers(0, 6), min_size=captions, max_size=captions), min_size=1, max_size=5
    ).filter(lambda rows: any(map(any, rows)))
)


@given(LENGTHS)
def test_every_word_has_one_position_and_a_place_in_the_rectangle(lengths):
    packing = pack(torch.tensor(lengths), torch.device("cpu"))
    words = [
        (p, k, t) for p, row in enumerate(lengths) for k, length in enumerate(row) for t in range(length)
    ]
    places = [tuple(place) for place in packing.position.tolist()]
    assert sorted(places) == words
    assert [t for *_, t in places] == sorted(t for *_, t in places)
    first = places[: packing.time_steps[0].rows]
    assert packing.image.tolist() == [image for image, _, _ in first]
    for time, step in enumerate(packing.time_steps):
        active = [(p, k) for p, k, t in places if t == time]
        assert active == [(p, k) for p, k, _ in first[: step.rows]]  # the first rows, in the same order
        assert [
            (index // step.captions, index % step.captions) for index in step.flat_index.tolist()
        ] == active
        assert step.images == 1 + max(p for p, _ in active)
        assert step.captions == 1 + max(k for _, k in active)


def test_few_places_stay_empty_in_a_sorted_batch():
    random = torch.Generator().manual_seed(0)
    captions = [
        [[1] * int(length) for length in torch.randint(7, 20, (5,), generator=random)] for _ in range(32)
    ]
    steps = pack(assemble(torch.zeros(32, 1, 1), captions, 0).lengths, torch.device("cpu")).time_steps
    words = sum(step.rows for step in steps)
    assert words == sum(len(ids) - 1 for rows in captions for ids in rows)
    assert sum(step.images * step.captions for step in steps) < 1.3 * words
