"""The search finds what it says it finds: held against the enumeration of every caption there is."""

import itertools
import math
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from showtell.models.decoding import (
    Beam,
    Sampling,
    SpecialTokens,
    StepOutput,
    beam_search,
    sample,
    select_rows,
)
from showtell.models.likeliest import likeliest

BOS, EOS, PAD = 0, 1, 2
SPECIAL = SpecialTokens(BOS, EOS, (BOS, PAD))
SEEDS = st.integers(0, 10_000)


class Memory(NamedTuple):
    image: torch.Tensor
    hidden: torch.Tensor
    time: torch.Tensor


class TinyDecoder:
    """A random recurrent network: what comes next depends on the image and on all words before.

    Its attention says which step it belongs to, which word was read, and what the state was.
    """

    def __init__(self, seed: int, *, words: int = 3, images: int = 1, sharpness: float = 2.0):
        random = torch.Generator().manual_seed(seed)
        self.vocab_size = 3 + words

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=random, dtype=torch.float64)

        self.images = normal(images, 4)
        self.read, self.keep = normal(self.vocab_size, 4), normal(4, 4)
        self.write = sharpness * normal(4, self.vocab_size)
        self.steps = 0

    def start(self, images: list[int] | None = None) -> Memory:
        image = self.images if images is None else self.images[images]
        return Memory(image.unsqueeze(1), torch.zeros_like(image).unsqueeze(1), torch.zeros(len(image), 1))

    def __call__(self, state: Memory, token_ids: torch.Tensor) -> StepOutput:
        self.steps += 1
        hidden = torch.tanh(state.image + self.read[token_ids] + state.hidden @ self.keep)
        attention = torch.stack([state.time, token_ids.float(), hidden.sum(-1).float()], dim=-1)
        log_probs = torch.log_softmax(hidden @ self.write, dim=-1)
        return StepOutput(log_probs, Memory(state.image, hidden, state.time + 1), attention)

    def follow(self, ids: list[int], image: int = 0) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return the log-probabilities (V,) and the attention at each step of reading bos and ``ids``."""
        state, log_probs, attention = self.start([image]), [], []
        for token_id in [BOS, *ids]:
            output = self(state, torch.tensor([[token_id]]))
            log_probs.append(output.log_probs[0, 0])
            attention.append(output.attention[0, 0])
            state = output.state
        return log_probs, attention

    def scores(self, ids: list[int], image: int = 0) -> list[float]:
        """Return the log-probability of each word and of eos."""
        log_probs, _ = self.follow(ids, image)
        return [float(row[token_id]) for row, token_id in zip(log_probs, [*ids, EOS])]

    def best_by_enumeration(self, max_length: int, length_penalty: float) -> list[tuple[float, list[int]]]:
        """Rank every caption that ends within ``max_length`` steps."""
        words = range(3, self.vocab_size)
        captions = [
            list(ids) for length in range(max_length) for ids in itertools.product(words, repeat=length)
        ]
        return sorted(
            ((sum(self.scores(ids)) / (len(ids) + 1) ** length_penalty, ids) for ids in captions),
            reverse=True,
        )


def beam(beam_size: int = 3, **options) -> Beam:
    return Beam(beam_size, **options)


def patient(max_length: int) -> dict[str, int]:
    """Return what makes a search give nothing up that could still be one of the best."""
    return {"max_length": max_length, "ahead": max_length}


def search(decoder: TinyDecoder, images: list[int] | None = None, **options):
    return beam_search(decoder, decoder.start(images), SPECIAL, beam(**options))


@settings(max_examples=40, deadline=None)
@given(
    seed=SEEDS,
    words=st.integers(1, 3),
    max_length=st.integers(1, 4),
    length_penalty=st.sampled_from([0.0, 0.5, 1.0, 1.7, 3.0]),
)
def test_a_beam_of_everything_finds_the_best_of_all_captions(seed, words, max_length, length_penalty):
    decoder = TinyDecoder(seed, words=words)
    expected = decoder.best_by_enumeration(max_length, length_penalty)
    beam_size = sum(words**length for length in range(max_length + 1))
    found = search(decoder, beam_size=beam_size, length_penalty=length_penalty, **patient(max_length))[0]
    ended = [h for h in found if len(h.token_log_probabilities) == len(h.token_ids) + 1]
    assert [h.token_ids for h in ended] == [ids for _, ids in expected]
    for hypothesis, (score, _) in zip(ended, expected):
        length = len(hypothesis.token_ids) + 1
        assert hypothesis.log_probability / length**length_penalty == pytest.approx(score, rel=1e-5)
    # All that is left is cut at max_length, each caption once, the likeliest first.
    cut = [h for h in found if len(h.token_log_probabilities) == len(h.token_ids)]
    assert {len(h.token_ids) for h in cut} == {max_length}
    assert len({tuple(h.token_ids) for h in cut}) == len(cut) == words**max_length
    assert [h.log_probability for h in cut] == sorted((h.log_probability for h in cut), reverse=True)


@settings(max_examples=60, deadline=None)
@given(
    seed=SEEDS,
    beam_size=st.integers(1, 4),
    max_length=st.integers(1, 12),
    length_penalty=st.sampled_from([0.0, 0.5, 1.0, 1.7, 3.0]),
)
def test_a_patient_search_stops_early_and_that_changes_nothing(seed, beam_size, max_length, length_penalty):
    """A reference that never stops early, in plain Python, gives the same captions in the same order."""
    decoder = TinyDecoder(seed, words=5, sharpness=1.5)
    growing, finished = [(0.0, [])], []
    for time in range(max_length):
        nexts = [(total, ids, decoder.follow(ids)[0][-1]) for total, ids in growing]
        grown = [
            (total + float(row[word]), [*ids, word])
            for total, ids, row in nexts
            for word in range(3, decoder.vocab_size)
        ]
        grown = sorted(grown, reverse=True)[:beam_size]
        for total, ids, row in nexts:
            ending = total + float(row[EOS])
            if len(grown) < beam_size or ending >= grown[-1][0]:
                finished.append((ending / (time + 1) ** length_penalty, ids))
        finished = sorted(finished, reverse=True)[:beam_size]
        growing = grown
        if beam_size == 1 and finished:
            break
    expected = [ids for _, ids in finished] + [ids for _, ids in growing]
    found = search(decoder, beam_size=beam_size, length_penalty=length_penalty, **patient(max_length))[0]
    assert [h.token_ids for h in found] == expected[: len(found)]
    assert len(found) == min(beam_size, len(expected))


def test_the_search_stops_when_nothing_can_change_any_more():
    decoder = TinyDecoder(3)

    def ends_at_once(state, token_ids):
        output = decoder(state, token_ids)
        log_probs = torch.full_like(output.log_probs, -30.0)
        log_probs[..., EOS] = -1e-9
        return StepOutput(log_probs, output.state, output.attention)

    found = beam_search(ends_at_once, decoder.start(), SPECIAL, beam(beam_size=1, max_length=100))
    assert (found[0][0].token_ids, decoder.steps) == ([], 1)
    decoder.steps = 0
    beam_search(ends_at_once, decoder.start(), SPECIAL, beam(beam_size=2, max_length=100, length_penalty=0))
    assert decoder.steps <= 3


@pytest.mark.parametrize(
    ("ahead", "steps", "longest"),
    [(0, 2, 1), (2, 2, 1), (30, 16, 15)],
    ids=["at once", "by default", "patient"],
)
def test_a_caption_that_much_would_have_to_happen_for_is_given_up(ahead, steps, longest):
    """Of a word that nobody would say, fourteen certain ones would make a caption worth its place."""
    decoder, said = TinyDecoder(0), 0

    def step(state, token_ids):
        nonlocal said
        said += 1
        rows = torch.full((1, token_ids.shape[1], 5), -math.inf)
        for row, word in zip(rows[0], token_ids[0].tolist()):
            if word == BOS:
                row[EOS], row[3], row[4] = math.log(0.5), math.log(0.5), -11.0
            else:
                row[4 if word == 4 and said < 16 else EOS] = 0.0
        return StepOutput(rows, state, rows)

    found = beam_search(step, decoder.start(), SPECIAL, beam(beam_size=2, max_length=30, ahead=ahead))[0]
    assert (said, max(len(one.token_ids) for one in found)) == (steps, longest)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, max_length=st.integers(1, 12), length_penalty=st.sampled_from([0.0, 1.0, 2.0]))
def test_a_beam_of_one_takes_the_likeliest_word_at_each_step(seed, max_length, length_penalty):
    decoder = TinyDecoder(seed, words=4)
    expected: list[int] = []
    while len(expected) < max_length:
        row = decoder.follow(expected)[0][-1].clone()
        row[[BOS, PAD]] = -math.inf
        if int(row.argmax()) == EOS:
            break
        expected.append(int(row.argmax()))
    found = search(decoder, beam_size=1, max_length=max_length, length_penalty=length_penalty)[0]
    assert [h.token_ids for h in found] == [expected]


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, beam_size=st.integers(1, 5), length_penalty=st.sampled_from([0.0, 1.0, 1.5]))
def test_an_image_is_described_the_same_alone_and_in_any_company(seed, beam_size, length_penalty):
    decoder = TinyDecoder(seed, words=4, images=4)
    options = {"beam_size": beam_size, "max_length": 8, "length_penalty": length_penalty}
    together = search(decoder, [3, 0, 2, 1, 0], **options)
    for hypotheses, image in zip(together, [3, 0, 2, 1, 0]):
        alone = search(decoder, [image], **options)[0]
        assert [h.token_ids for h in hypotheses] == [h.token_ids for h in alone]
        for one, other in zip(hypotheses, alone):
            assert one.log_probability == pytest.approx(other.log_probability, abs=1e-9)
            assert torch.allclose(one.attention, other.attention)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, beam_size=st.integers(1, 6), max_length=st.integers(1, 7))
def test_scores_and_attention_belong_to_the_words(seed, beam_size, max_length):
    decoder = TinyDecoder(seed, words=3)
    for hypothesis in search(decoder, beam_size=beam_size, max_length=max_length)[0]:
        ids = hypothesis.token_ids
        ended = len(hypothesis.token_log_probabilities) == len(ids) + 1
        expected = decoder.scores(ids)[: len(ids) + ended]
        assert hypothesis.token_log_probabilities == pytest.approx(expected, abs=1e-5)
        assert hypothesis.log_probability == sum(hypothesis.token_log_probabilities)
        attention = torch.stack([*decoder.follow(ids)[1]])[: len(ids)]
        assert hypothesis.attention.shape == (len(ids), 3)
        assert torch.allclose(hypothesis.attention, attention, atol=1e-5)
        assert hypothesis.attention[:, 0].tolist() == list(range(len(ids)))
        assert hypothesis.attention[:, 1].tolist() == [BOS, *ids][: len(ids)]


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, beam_size=st.integers(1, 40), words=st.integers(0, 2))
def test_forbidden_words_never_come_however_likely_or_wide(seed, beam_size, words):
    decoder = TinyDecoder(seed, words=words)

    def tempting(state, token_ids):
        output = decoder(state, token_ids)
        log_probs = output.log_probs - 5
        log_probs[..., [BOS, PAD]] = -0.01
        return StepOutput(log_probs, output.state, output.attention)

    found = beam_search(tempting, decoder.start(), SPECIAL, beam(beam_size=beam_size, max_length=3))[0]
    assert found
    for hypothesis in found:
        assert not {BOS, PAD, EOS} & set(hypothesis.token_ids)
        assert math.isfinite(hypothesis.log_probability)
    assert len({(*h.token_ids, len(h.token_log_probabilities)) for h in found}) == len(found)
    drawn = sample(tempting, decoder.start(), SPECIAL, Sampling(200, max_tokens=3), generator=seeded(seed))
    assert not {BOS, PAD} & set(drawn.flatten().tolist())


def test_impossible_words_do_not_fill_up_the_beam():
    """Two possible captions and a beam of five: two come back, not five."""

    def step(state, token_ids):
        log_probs = torch.full((1, token_ids.shape[1], 5), -math.inf)
        log_probs[..., 3] = torch.where(token_ids == BOS, math.log(0.5), -math.inf)
        log_probs[..., EOS] = torch.where(token_ids == BOS, math.log(0.5), 0.0)
        return StepOutput(log_probs, state, torch.ones(1, token_ids.shape[1], 1))

    found = beam_search(step, TinyDecoder(0).start(), SPECIAL, beam(beam_size=5, max_length=4))[0]
    assert [h.token_ids for h in found] == [[3], []]  # half the log-probability a token, against all of it


def test_a_caption_without_words_is_a_caption():
    decoder = TinyDecoder(0)
    decoder.read.zero_()
    decoder.keep.zero_()
    decoder.images.fill_(3.0)
    decoder.write.fill_(0.0)
    decoder.write[:, EOS] = 5.0
    best = search(decoder, beam_size=3, max_length=5)[0][0]
    assert best.token_ids == []
    assert best.attention.shape == (0, 3)
    assert len(best.token_log_probabilities) == 1
    assert best.log_probability == pytest.approx(0.0, abs=1e-6)


def test_the_length_penalty_trades_sums_for_means():
    """One word at 0.6 a step or an end: sums favour the end, means the long caption."""

    def step(state, token_ids):
        log_probs = torch.full((1, token_ids.shape[1], 4), -math.inf)
        log_probs[..., 3], log_probs[..., EOS] = math.log(0.6), math.log(0.4)
        return StepOutput(log_probs, state, torch.ones(1, token_ids.shape[1], 1))

    def lengths(length_penalty):
        found = beam_search(
            step,
            TinyDecoder(0).start(),
            SPECIAL,
            Beam(4, 5, length_penalty),
        )[0]
        return [len(h.token_ids) for h in found]

    assert lengths(0.0) == [0, 1, 2, 3]
    assert lengths(1.0) == [4, 3, 2, 1]
    assert lengths(3.0) == [4, 3, 2, 1]


def test_captions_are_cut_at_the_longest_length_only_where_none_ended():
    def never_ends(state, token_ids):
        log_probs = torch.full((1, token_ids.shape[1], 5), -math.inf)
        log_probs[..., 3], log_probs[..., 4] = math.log(0.75), math.log(0.25)
        return StepOutput(log_probs, state, torch.ones(1, token_ids.shape[1], 1))

    found = beam_search(never_ends, TinyDecoder(0).start(), SPECIAL, beam(beam_size=2, max_length=6))[0]
    assert [len(h.token_ids) for h in found] == [6, 6]
    assert found[0].token_ids == [3] * 6
    assert found[0].log_probability == pytest.approx(6 * math.log(0.75))
    assert len(found[0].token_log_probabilities) == 6


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_samples_follow_the_model_s_own_distribution(temperature):
    decoder, count = TinyDecoder(11, words=2, sharpness=0.7), 20_000
    drawn = sample(
        decoder,
        decoder.start(),
        SPECIAL,
        Sampling(count, temperature, 3),
        generator=seeded(5),
    )[0]
    assert drawn.shape == (count, 3)
    observed = {}
    for ids in drawn.tolist():
        caption = tuple(ids[: ids.index(EOS) + 1] if EOS in ids else ids)
        observed[caption] = observed.get(caption, 0) + 1
    expected = {}
    for length in range(4):
        for ids in itertools.product([3, 4], repeat=length):
            caption = ids if length == 3 else (*ids, EOS)
            probability = 1.0
            for row, token_id in zip(decoder.follow(list(ids))[0], caption):
                allowed = row.clone()
                allowed[[BOS, PAD]] = -math.inf
                probability *= float(torch.softmax(allowed / temperature, dim=-1)[token_id])
            expected[caption] = probability * count
    assert sum(expected.values()) == pytest.approx(count)
    assert observed.keys() <= expected.keys()
    chi_square = sum((observed.get(c, 0) - value) ** 2 / value for c, value in expected.items())
    assert len(expected) == 15
    assert chi_square < 36.1  # 14 degrees of freedom, one in a thousand


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, max_length=st.integers(1, 10))
def test_after_the_end_of_a_sample_comes_nothing_else(seed, max_length):
    decoder = TinyDecoder(seed, words=2, images=3, sharpness=0.5)
    drawn = sample(
        decoder, decoder.start(), SPECIAL, Sampling(4, max_tokens=max_length), generator=seeded(seed)
    )
    assert drawn.shape[:2] == (3, 4)
    assert drawn.shape[2] <= max_length
    for ids in drawn.flatten(0, 1).tolist():
        if EOS in ids:
            assert set(ids[ids.index(EOS) :]) == {EOS}
    assert drawn.shape[2] == max_length or bool((drawn[..., -1] == EOS).all())
    again = sample(
        decoder, decoder.start(), SPECIAL, Sampling(4, max_tokens=max_length), generator=seeded(seed)
    )
    assert torch.equal(drawn, again)


def test_selecting_rows_keeps_every_image_s_own_and_the_kind_of_state():
    state = Memory(
        torch.arange(2 * 3 * 4).view(2, 3, 4),
        torch.arange(2 * 3 * 2 * 2).view(2, 3, 2, 2),
        torch.arange(6).view(2, 3),
    )
    rows = torch.tensor([[2, 2, 0, 1], [1, 0, 0, 0]])
    picked = select_rows(state, rows)
    assert isinstance(picked, Memory)
    for before, after in zip(state, picked):
        assert after.shape == (2, 4, *before.shape[2:])
        for image, column in itertools.product(range(2), range(4)):
            assert torch.equal(after[image, column], before[image, int(rows[image, column])])


@pytest.mark.parametrize("size", [3, 7, 30, 111, 5000])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_likeliest_words_are_those_of_topk(size, count):
    scores = torch.randn(4, 3, size).log_softmax(-1)
    scores[0, 0, ::2] = -torch.inf
    values, words = likeliest(scores, count)
    assert torch.equal(values, scores.topk(min(count, size), dim=-1)[0])
    assert torch.equal(scores.gather(-1, words), values)
    assert all(len(set(row)) == len(row) for row in words.flatten(0, 1).tolist())
