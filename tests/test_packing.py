"""Captions become rows, and each row finds its seat beside the other captions of its picture."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from showtell.kinds.captioner.batch import assemble
from showtell.models.packing import pack

LENGTHS = st.integers(1, 4).flatmap(
    lambda captions: st.lists(
        st.lists(st.integers(0, 6), min_size=captions, max_size=captions), min_size=1, max_size=5
    ).filter(lambda rows: any(map(any, rows)))
)


@given(LENGTHS)
def test_every_word_has_one_place_and_a_seat_of_its_own(lengths):
    packing = pack(torch.tensor(lengths), torch.device("cpu"))
    words = [
        (p, k, t) for p, row in enumerate(lengths) for k, length in enumerate(row) for t in range(length)
    ]
    places = [tuple(place) for place in packing.place.tolist()]
    assert sorted(places) == words
    assert [t for *_, t in places] == sorted(t for *_, t in places)
    first = places[: packing.moments[0].rows]
    assert packing.picture.tolist() == [picture for picture, _, _ in first]
    for time, moment in enumerate(packing.moments):
        alive = [(p, k) for p, k, t in places if t == time]
        assert alive == [(p, k) for p, k, _ in first[: moment.rows]]  # the first rows, in the same order
        assert [(seat // moment.captions, seat % moment.captions) for seat in moment.seats.tolist()] == alive
        assert moment.pictures == 1 + max(p for p, _ in alive)
        assert moment.captions == 1 + max(k for _, k in alive)


def test_few_seats_stay_empty_in_a_sorted_batch():
    random = torch.Generator().manual_seed(0)
    captions = [
        [[1] * int(length) for length in torch.randint(7, 20, (5,), generator=random)] for _ in range(32)
    ]
    moments = pack(assemble(torch.zeros(32, 1, 1), captions, 0).lengths, torch.device("cpu")).moments
    words = sum(moment.rows for moment in moments)
    assert words == sum(len(ids) - 1 for rows in captions for ids in rows)
    assert sum(moment.pictures * moment.captions for moment in moments) < 1.3 * words
