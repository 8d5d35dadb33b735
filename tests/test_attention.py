"""Decoders read a caption the same in whatever batch; the recurrent ones compute Xu et al.'s equations."""

import itertools
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.captioner.task import caption_loss
from showtell.models import batch, kernels
from showtell.models.attention import AttentionDecoder
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.models.decoding import select_rows
from showtell.text.tokenizer import CaptionTokenizer

LABEL_SMOOTHING = TrainCaptioner.label_smoothing
ATTENTION_REGULARISATION = TrainCaptioner.attention_regularization

CELLS = ["lstm", "gru"]
DECODERS = [*CELLS, "transformer"]
WORDS = CaptionTokenizer.train(["one two three four five six seven"], min_count=1)
PAD, BOS, EOS = WORDS.pad_id, WORDS.bos_id, WORDS.eos_id
L, D = 6, 5


class Batch(NamedTuple):
    """What the loss reads of a batch; here in any order."""

    grid: torch.Tensor
    token_ids: torch.Tensor
    lengths: torch.Tensor

    targets = batch.Batch.targets
    whole, word_share, caption_share = None, 1.0, 1.0


def build(cell: str, seed: int = 0, dropout: float = 0.5) -> Captioner:
    """Build a small captioner whose every parameter and statistic is far from its start."""
    torch.manual_seed(seed)
    width, spread = (128, 0.2) if cell == "transformer" else (7, 0.7)  # two heads
    sizes = DecoderConfig(
        WORDS.vocab_size, D, hidden_dim=width, embed_dim=4, attention_dim=3, kind=cell, dropout=dropout
    )
    captioner = Captioner(sizes, WORDS, (2, 3)).double().eval()
    for parameter in captioner.parameters():
        torch.nn.init.normal_(parameter, std=spread)
    captioner.decoder.feature_mean.normal_()
    captioner.decoder.feature_scale.fill_(1.7)
    return captioner


def images(captions: list[list[int]], seed: int = 0, extra_words: int = 0, extra_columns: int = 0) -> Batch:
    """Make a batch with as many captions an image, and of such lengths, as the lists say."""
    random = torch.Generator().manual_seed(seed)
    longest = max(itertools.chain(*captions)) + 1 + extra_words
    columns = max(map(len, captions)) + extra_columns
    token_ids = torch.full((len(captions), columns, longest), PAD)
    lengths = torch.zeros(len(captions), columns, dtype=torch.long)
    for row, column in ((r, c) for r in range(len(captions)) for c in range(len(captions[r]))):
        length = captions[row][column]
        if length == 0:
            continue
        words = torch.randint(4, WORDS.vocab_size, (length - 1,), generator=random).tolist()
        token_ids[row, column, : length + 1] = torch.tensor([BOS, *words, EOS])
        lengths[row, column] = length
    grid = torch.randn(len(captions), L, D, generator=random, dtype=torch.float64)
    return Batch(grid, token_ids, lengths)


def alone(batch: Batch, image: int, caption: int) -> Batch:
    length = int(batch.lengths[image, caption])
    return Batch(
        batch.grid[image : image + 1],
        batch.token_ids[image : image + 1, caption : caption + 1, : length + 1],
        batch.lengths[image : image + 1, caption : caption + 1],
    )


def read(captioner: Captioner, batch: Batch) -> dict[tuple[int, int, int], tuple[torch.Tensor, torch.Tensor]]:
    """Return the logits and the attention at each place, whatever their order."""
    logits, attention, position = captioner.decoder.teacher_forced(*batch)
    return {tuple(place): (logits[i], attention[i]) for i, place in enumerate(position.tolist())}


def assert_same(found, expected) -> None:
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


LENGTHS = st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=3), min_size=1, max_size=4)


@pytest.mark.parametrize("cell", DECODERS)
@settings(max_examples=25, deadline=None)
@given(lengths=LENGTHS, extra_words=st.integers(0, 2), extra_columns=st.integers(0, 2))
def test_a_caption_is_read_the_same_alone_and_in_any_batch(cell, lengths, extra_words, extra_columns):
    """Any number of captions of any lengths in any order, with padding and empty columns beyond need."""
    captioner = build(cell)
    batch = images(lengths, extra_words=extra_words, extra_columns=extra_columns)
    found = read(captioner, batch)
    expected_places = {
        (p, c, t) for p in range(len(lengths)) for c in range(len(lengths[p])) for t in range(lengths[p][c])
    }
    assert found.keys() == expected_places
    for image, caption in {(p, c) for p, c, _ in expected_places}:
        for (_, _, time), expected in read(captioner, alone(batch, image, caption)).items():
            assert_same(found[image, caption, time], expected)


@pytest.mark.parametrize("cell", DECODERS)
def test_what_lies_in_the_padding_does_not_matter(cell):
    captioner = build(cell)
    batch = images([[5, 2], [3]], extra_words=1, extra_columns=1)
    changed = batch.token_ids.clone()
    for image, caption in itertools.product(range(2), range(3)):
        length = int(batch.lengths[image, caption])
        changed[image, caption, length + 1 if length else 0 :] = 6
    other = Batch(batch.grid, changed, batch.lengths)
    assert not torch.equal(changed, batch.token_ids)
    assert caption_loss(captioner, other).item() == caption_loss(captioner, batch).item()


@pytest.mark.parametrize("cell", DECODERS)
def test_the_order_of_images_and_captions_does_not_matter(cell):
    captioner = build(cell)
    batch = images([[5, 4, 1], [4], [2, 2], [2]])
    loss = caption_loss(captioner, batch).item()
    for order in ([3, 2, 1, 0], [1, 3, 0, 2]):
        shuffled = Batch(batch.grid[order], batch.token_ids[order], batch.lengths[order])
        assert caption_loss(captioner, shuffled).item() == pytest.approx(loss, rel=1e-6)
    turned = Batch(batch.grid, batch.token_ids.flip(1), batch.lengths.flip(1))
    assert caption_loss(captioner, turned).item() == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("cell", DECODERS)
def test_the_loss_of_a_batch_is_made_of_its_captions_losses(cell):
    """Cross-entropy is a mean over words, the doubly stochastic term a mean over captions."""
    captioner = build(cell)
    batch = images([[5, 3], [4], [1, 1]])
    likelihood = words = stochastic = 0.0
    places = batch.lengths.nonzero().tolist()
    for image, caption in places:
        one = alone(batch, image, caption)
        together, deviation = caption_loss(captioner, one).item(), attention_deviation(captioner, one)
        length = int(one.lengths)
        likelihood += (together - ATTENTION_REGULARISATION * deviation) * length
        words += length
        stochastic += deviation
    expected = likelihood / words + ATTENTION_REGULARISATION * stochastic / len(places)
    assert caption_loss(captioner, batch).item() == pytest.approx(expected, rel=1e-6)


def attention_deviation(captioner: Captioner, batch: Batch) -> float:
    looked = torch.stack([attention for _, attention in read(captioner, batch).values()]).sum(0)
    return ((1 - looked) ** 2).mean().item()


@pytest.mark.parametrize("cell", DECODERS)
def test_teacher_forcing_equals_word_by_word(cell):
    captioner = build(cell)
    batch = images([[5, 4], [3, 2]])
    decoder, found = captioner.decoder, read(captioner, batch)
    memory = decoder.encode_grid(batch.grid)
    state = select_rows(decoder.start(memory), torch.zeros(2, 2, dtype=torch.long))
    for time in range(5):
        log_probs, state, attention = decoder.step(memory, state, batch.token_ids[..., time])
        for image, caption in (batch.lengths > time).nonzero().tolist():
            logits, expected = found[image, caption, time]
            assert_same([attention[image, caption]], [expected])
            assert torch.allclose(log_probs[image, caption], F.log_softmax(logits.float(), -1), atol=1e-5)


@pytest.mark.parametrize("cell", DECODERS)
def test_attention_is_a_distribution_over_the_cells(cell):
    captioner = build(cell)
    packed = captioner.decoder.teacher_forced(*images([[5, 4], [3]]))
    assert packed.attention.shape == (12, L)
    assert bool((packed.attention >= 0).all())
    assert torch.allclose(packed.attention.sum(-1), torch.ones(12), atol=1e-6)
    assert packed.attention.std() > 0.01  # it is not simply uniform
    assert packed.position[:, 2].tolist() == sorted(packed.position[:, 2].tolist())


@pytest.mark.parametrize("cell", CELLS)
@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=1, max_size=4))
def test_the_packed_path_equals_the_plain_equations(cell, lengths):
    """Values and all gradients, with captions of any lengths in any order, and some that are missing."""
    assume(any(map(any, lengths)))
    captioner = build(cell)
    batch = images(lengths)
    found = outcome(captioner.decoder, batch, kernels.packed_forward)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "are_faster_on", lambda device: False)
        expected = outcome(captioner.decoder, batch, AttentionDecoder.teacher_forced)
    assert found[0].keys() == expected[0].keys()
    for position, values in expected[0].items():
        assert_same(found[0][position], values)
    for name, gradient in expected[1].items():
        assert torch.allclose(found[1][name], gradient, rtol=1e-5, atol=1e-6), name
        assert gradient.abs().max() > 0, name


def outcome(decoder: AttentionDecoder, batch: Batch, forward):
    """Return logits and attention by position, and the gradient of each parameter of a function of them."""
    logits, attention, position = forward(decoder, *batch)
    order = [p * 100 + k * 10 + t for p, k, t in position.tolist()]
    weights = torch.tensor(order, dtype=logits.dtype).cos().unsqueeze(1)  # every position counts differently
    loss = (weights * logits.square()).sum() + (weights * attention.square()).sum()
    names, parameters = zip(*decoder.named_parameters())
    gradients = dict(zip(names, torch.autograd.grad(loss, parameters)))
    return {tuple(p): values for p, *values in zip(position.tolist(), logits, attention)}, gradients


def test_the_plain_equations_run_where_a_graph_is_compiled_or_there_is_no_cpu(monkeypatch):
    assert kernels.are_faster_on(torch.device("cpu"))
    assert not kernels.are_faster_on(torch.device("cuda"))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert not kernels.are_faster_on(torch.device("cpu"))


@pytest.mark.parametrize("cell", CELLS)
def test_plain_and_packed_training_have_one_loss(cell, monkeypatch):
    captioner, batch = build(cell), images([[4, 2], [3, 5], [1]])
    packed = caption_loss(captioner, batch).item()
    monkeypatch.setattr(kernels, "are_faster_on", lambda device: False)
    assert caption_loss(captioner, batch).item() == pytest.approx(packed, rel=1e-6)


def xu_loss(decoder: AttentionDecoder, batch: Batch) -> torch.Tensor:
    """Compute the loss as the paper states it: one image, one caption, one word, one cell at a time."""
    p = dict(decoder.named_parameters())
    lstm = decoder.config.kind == "lstm"
    hidden_dim, attention_dim = decoder.config.hidden_dim, decoder.config.attention_dim
    cross_entropies, deviations = [], []
    for image, caption in batch.lengths.nonzero().tolist():
        cells = []
        for cell in batch.grid[image]:
            raw = p["value.weight"] @ ((cell - decoder.feature_mean) / decoder.feature_scale)
            raw = (raw + p["value.bias"]).clamp_min(0)
            mean, variance = raw.mean(), raw.var(unbiased=False)
            norm = (raw - mean) / (variance + 1e-5).sqrt()
            cells.append(norm * p["value_norm.weight"] + p["value_norm.bias"])  # a_i
        start = torch.tanh(p["initial.weight"] @ (sum(cells) / len(cells)) + p["initial.bias"])
        h, c = start[:hidden_dim], start[hidden_dim:]
        looked = torch.zeros(len(cells), dtype=h.dtype)
        for time in range(int(batch.lengths[image, caption])):
            word = p["embed.weight"][batch.token_ids[image, caption, time]]  # E y_{t-1}
            parts = p["from_hidden.weight"] @ h + p["from_hidden.bias"]
            query, beta = parts[:attention_dim], torch.sigmoid(parts[attention_dim:][:hidden_dim])
            gates = parts[attention_dim + hidden_dim :]
            energies = [  # e_ti, eq. 4
                p["score.weight"][0] @ torch.tanh(p["key.weight"] @ a + p["key.bias"] + query) for a in cells
            ]
            exponentials = [energy.exp() for energy in energies]
            alphas = [value / sum(exponentials) for value in exponentials]  # eq. 5
            looked = looked + torch.stack(alphas)
            z = beta * sum(alpha * a for alpha, a in zip(alphas, cells))  # eq. 13 and section 4.2.1
            inputs = p["from_input.weight"] @ torch.cat([word, z]) + p["from_input.bias"]
            if lstm:  # eq. 1-3
                i, f, o, g = (inputs + gates).split(hidden_dim)
                c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
            else:  # Cho et al. 2014
                (ir, iz, inew), (hr, hz, hnew) = inputs.split(hidden_dim), gates.split(hidden_dim)
                update = torch.sigmoid(iz + hz)
                h = update * h + (1 - update) * torch.tanh(inew + torch.sigmoid(ir + hr) * hnew)
            deep = word + p["output_hidden.weight"] @ h + p["output_hidden.bias"]
            deep = torch.tanh(deep + p["output_context.weight"] @ z)
            logits = p["embed.weight"] @ deep + p["output_bias"]  # eq. 7
            log_p = logits - logits.exp().sum().log()
            target = batch.token_ids[image, caption, time + 1]
            smoothed = (1 - LABEL_SMOOTHING) * log_p[target] + LABEL_SMOOTHING * log_p.mean()
            cross_entropies.append(-smoothed)
        deviations.append(((1 - looked) ** 2).mean())
    likelihood = sum(cross_entropies) / len(cross_entropies)
    return likelihood + ATTENTION_REGULARISATION * sum(deviations) / len(deviations)  # eq. 14


@pytest.mark.parametrize("cell", CELLS)
def test_loss_and_gradients_equal_the_paper_s_equations(cell):
    captioner = build(cell)
    batch = images([[4, 2], [3], [1]], seed=3)
    names, parameters = zip(*captioner.decoder.named_parameters())
    expected = xu_loss(captioner.decoder, batch)
    found = caption_loss(captioner, batch)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, one, other in zip(
        names, torch.autograd.grad(found, parameters), torch.autograd.grad(expected, parameters)
    ):
        assert other.abs().max() > 1e-6, name
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6), name


def test_the_doubly_stochastic_term_of_a_case_done_by_hand():
    """Equal scores look at each of 6 cells by 1/6 a word: after 3 words (1 - 3/6)^2, after 6 words 0."""
    captioner = build("lstm")
    torch.nn.init.zeros_(captioner.decoder.score.weight)
    torch.nn.init.zeros_(captioner.decoder.embed.weight)
    torch.nn.init.zeros_(captioner.decoder.output_bias)
    entropy = torch.tensor(float(WORDS.vocab_size)).log().item()  # every word equally likely
    for lengths, deviation in (([[3]], 0.25), ([[6]], 0.0), ([[3, 6], [3]], 0.5 / 3)):
        loss = caption_loss(captioner, images(lengths)).item()
        assert loss == pytest.approx(entropy + ATTENTION_REGULARISATION * deviation, rel=1e-5)


def test_a_gru_s_state_is_one_and_an_lstm_s_are_two():
    for cell in CELLS:
        decoder = build(cell).decoder
        memory = decoder.encode_grid(images([[2], [2]]).grid)
        state = decoder.start(memory)
        assert state._fields == (("hidden", "cell") if cell == "lstm" else ("hidden",))
        assert {part.shape for part in state} == {(2, 1, 7)}


@pytest.fixture(params=["packed", "plain"])
def path(request, monkeypatch):
    """Both ways of teacher forcing."""
    monkeypatch.setattr(kernels, "are_faster_on", lambda device: request.param == "packed")


@pytest.mark.parametrize("cell", ["lstm", "transformer"])
def test_dropout_acts_in_training_only(cell, path):
    captioner, batch = build(cell), images([[4, 3], [2]])
    assert caption_loss(captioner, batch).item() == caption_loss(captioner, batch).item()
    captioner.train()
    assert caption_loss(captioner, batch).item() != caption_loss(captioner, batch).item()


def test_in_training_a_word_s_dropped_units_are_the_same_wherever_it_occurs(path):
    """Equal captions of an image look alike; their outputs are dropped each by itself."""
    captioner, one = build("lstm").train(), images([[5, 5]])
    batch = one._replace(token_ids=one.token_ids[:, :1].expand(-1, 2, -1))
    packed = captioner.decoder.teacher_forced(*batch)
    first, second = (packed.position[:, 1] == caption for caption in (0, 1))
    assert torch.allclose(packed.attention[first], packed.attention[second])
    assert not torch.allclose(packed.logits[first], packed.logits[second])
    other = captioner.decoder.teacher_forced(*batch)
    assert not torch.allclose(packed.attention, other.attention)


@pytest.mark.parametrize("cell", ["lstm", "transformer"])
def test_features_are_centred_and_scaled_by_the_training_split(cell):
    decoder = build(cell).decoder.float()
    grid = (torch.randn(50, L, D) * 3 + torch.arange(D) * 10).half()
    decoder.fit_feature_scale(grid)
    flat = grid.float().flatten(0, 1)
    assert torch.allclose(decoder.feature_mean, flat.mean(0))
    assert decoder.feature_scale.item() == pytest.approx(flat.std().item())
    # Half-precision grids of the store and their float32 copies give the same memory.
    for one, other in zip(decoder.encode_grid(grid), decoder.encode_grid(grid.float())):
        assert torch.equal(one, other)


@pytest.mark.parametrize("cell", ["lstm", "transformer"])
def test_constant_features_are_no_division_by_zero(cell):
    decoder = build(cell).decoder.float()
    decoder.fit_feature_scale(torch.full((3, L, D), 2.0))
    for part in decoder.encode_grid(torch.full((1, L, D), 2.0)):
        assert bool(part.isfinite().all())


@pytest.mark.parametrize("cell", ["lstm", "transformer"])
def test_training_begins_with_how_often_words_occur(cell):
    decoder = build(cell).decoder.float()
    counts = torch.arange(WORDS.vocab_size) * 10
    decoder.fit_word_bias(counts)
    share = decoder.output_bias.softmax(0)
    assert torch.allclose(share, (counts + 1) / (counts.sum() + len(counts)), atol=1e-6)
