"""The transformer sees the words before and no later one, and its cache is only a faster way to do so."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import ENDED, settings_file
from showtell import cli
from showtell.models import transformer
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.models.decoding import Beam, SpecialTokens, StepOutput, beam_search, select_rows
from showtell.models.transformer import LAYERS, State, TransformerDecoder, attend
from showtell.samples import write_captions_dataset
from showtell.text.tokenizer import CaptionTokenizer

V, D, L, HEADS = 9, 5, 6, 3
BOS, EOS = 0, 1


@pytest.fixture(autouse=True)
def narrow_heads(monkeypatch):
    """Several heads in a decoder that is small enough for finite differences."""
    monkeypatch.setattr(transformer, "HEAD_WIDTH", 2)


def build(max_length: int = 12, seed: int = 0) -> TransformerDecoder:
    """Build a small decoder whose every parameter and statistic is far from its start."""
    torch.manual_seed(seed)
    sizes = DecoderConfig(V, D, hidden_dim=2 * HEADS, kind="transformer", max_length=max_length)
    decoder = TransformerDecoder(sizes).double().eval()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    decoder.feature_mean.normal_()
    return decoder


def grids(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, L, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scores(decoder: TransformerDecoder, grid: torch.Tensor, ids: list[int]) -> torch.Tensor:
    """Return the log-probabilities of what follows each of a caption's words, (T, V)."""
    packed = decoder.teacher_forced(grid, torch.tensor([[ids]]), torch.tensor([[len(ids)]]))
    return packed.logits.log_softmax(-1)


def test_it_has_several_heads_wherever_its_width_allows(monkeypatch):
    assert build().heads == HEADS
    monkeypatch.setattr(transformer, "HEAD_WIDTH", 64)
    for width, heads in ((16, 1), (7, 1), (128, 2), (300, 4), (512, 8)):
        assert TransformerDecoder(DecoderConfig(V, D, width, kind="transformer")).heads == heads


def test_attention_of_a_case_done_by_hand():
    """Keys that differ by log 3 times the root of the width are attended to by 1 to 3."""
    keys = torch.tensor([[0.0, 0, 0, 0], [2 * torch.tensor(3.0).log(), 0, 0, 0], [99, 0, 0, 0]])
    seen = torch.tensor([[True, True, False]])
    context, weights = attend(torch.tensor([[1.0, 5, 5, 5]]), keys, torch.eye(3), seen)
    torch.testing.assert_close(weights, torch.tensor([[0.25, 0.75, 0.0]]))
    torch.testing.assert_close(context, weights)


def test_attention_is_the_mean_over_the_heads_of_the_last_layer(monkeypatch):
    """Recomputed head by head from what the last layer asks."""
    decoder, asked = build(), []
    decoder.layers[-1].query.register_forward_hook(lambda module, given, query: asked.append(query))
    memory = decoder.encode_grid(grids(2))
    output = decoder.step(memory, decoder.start(memory), torch.tensor([[3], [4]]))
    for image in range(2):
        heads = []
        for head, query in enumerate(asked[0][image, 0].split(2)):
            energies = memory.grid_keys[image, -1, head] @ query / 2**0.5
            heads.append(energies.softmax(0))
        assert torch.stack(heads).std(0).max() > 0.01  # they differ
        assert torch.allclose(output.attention[image, 0].double(), torch.stack(heads).mean(0), atol=1e-6)


@pytest.mark.parametrize("place", range(1, 7))
def test_a_later_word_never_changes_an_earlier_score(place):
    decoder, grid, ids = build(), grids(1), [BOS, 3, 4, 5, 6, 7, 8]
    changed = [*ids[:place], 2, *ids[place + 1 :]]
    found, other = scores(decoder, grid, ids), scores(decoder, grid, changed)
    assert torch.equal(found[:place], other[:place])
    assert ((found[place:] - other[place:]).abs().amax(1) > 1e-6).all()


def test_the_order_of_the_words_matters():
    decoder, grid = build(), grids(1)
    one, other = scores(decoder, grid, [BOS, 3, 4, 5]), scores(decoder, grid, [BOS, 4, 3, 5])
    assert (one[-1] - other[-1]).abs().max() > 1e-3


@settings(max_examples=15, deadline=None)
@given(
    rows=st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), min_size=1, max_size=3),
    max_length=st.integers(2, 12),
    seed=st.integers(0, 99),
)
def test_the_cache_gives_what_reading_whole_captions_gives(rows, max_length, seed):
    """Also of captions longer than the cache, which then holds the latest words."""
    lengths = torch.tensor(rows) + 1
    decoder, grid, steps = build(max_length, seed), grids(len(rows), seed), int(lengths.max())
    ids = torch.randint(V, (*lengths.shape, steps), generator=torch.Generator().manual_seed(seed))
    packed = decoder.teacher_forced(grid, ids, lengths)
    memory = decoder.encode_grid(grid)
    state = select_rows(decoder.start(memory), torch.zeros(len(rows), 2, dtype=torch.long))
    outputs = []
    for time in range(steps):
        outputs.append(decoder.step(memory, state, ids[..., time]))
        assert [part.shape for part in outputs[-1].state] == [part.shape for part in state]
        state = outputs[-1].state
    assert len(packed.position) == int(lengths.sum())
    assert packed.position[:, 2].tolist() == sorted(packed.position[:, 2].tolist())
    for logits, attention, (image, caption, time) in zip(
        packed.logits, packed.attention, packed.position.tolist()
    ):
        log_probs = outputs[time].log_probs[image, caption]
        assert torch.allclose(log_probs, logits.log_softmax(-1).float(), atol=1e-5)
        assert torch.allclose(outputs[time].attention[image, caption], attention, atol=1e-6)


def test_a_word_is_forgotten_only_by_a_caption_longer_than_max_length():
    grid, ids = grids(1), [BOS, 3, 4, 5, 6, 7]
    changed = [BOS, 8, *ids[2:]]
    for max_length, remembers in ((5, True), (4, True), (3, False)):  # from the last word back to word 1
        decoder = build(max_length)
        # Of one layer: the first word's neighbours would tell the second layer of it.
        decoder.layers[1].recall_output.weight.data.zero_()
        one, other = scores(decoder, grid, ids)[-1], scores(decoder, grid, changed)[-1]
        assert ((one - other).abs().max() > 1e-6) == remembers


@torch.no_grad()
def test_a_search_with_the_cache_finds_what_one_finds_that_reads_all_again():
    """Beams change their places at nearly every word, and the cache with them."""
    decoder, grid = build(seed=3), grids(3, seed=3)
    memory, special = decoder.encode_grid(grid), SpecialTokens(BOS, EOS, (BOS,))
    moved = False

    def with_cache(state: State, token_ids: torch.Tensor) -> StepOutput:
        return decoder.step(memory, state, token_ids)

    def anew(state: tuple[torch.Tensor, ...], token_ids: torch.Tensor) -> StepOutput:
        nonlocal moved
        words = torch.cat([state[0], token_ids.unsqueeze(-1)], -1)  # (B, K, T)
        lengths = torch.full(token_ids.shape, words.shape[-1])
        packed = decoder.teacher_forced(grid, words, lengths)
        last = packed.position[:, 2] == words.shape[-1] - 1
        log_probs = packed.logits[last].log_softmax(-1).float().unflatten(0, token_ids.shape)
        moved |= words.shape[1] > 1 and bool((words[:, 0, 1] != words[:, 1, 1]).any())
        return StepOutput(log_probs, Words(words), packed.attention[last].unflatten(0, token_ids.shape))

    beam = Beam(4, 9, 0.7)
    found = beam_search(with_cache, decoder.start(memory), special, beam)
    expected = beam_search(anew, Words(torch.zeros(3, 1, 0, dtype=torch.long)), special, beam)
    assert moved
    for one, other in zip(itertools.chain(*found), itertools.chain(*expected), strict=True):
        assert one.token_ids == other.token_ids
        assert one.token_log_probabilities == pytest.approx(other.token_log_probabilities, abs=1e-5)
        assert torch.allclose(one.attention, other.attention, atol=1e-6)


class Words(tuple):
    """A state of one tensor: all words so far."""

    def __new__(cls, words: torch.Tensor) -> "Words":
        return super().__new__(cls, (words,))


def test_gradients_are_right_by_finite_differences(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # attention, too
    decoder = build()
    ids, lengths = torch.tensor([[[BOS, 3, 4], [BOS, 5, 5]], [[BOS, 6, 2], [0, 0, 0]]]), [[3, 2], [2, 0]]
    names, parameters = zip(*decoder.named_parameters())

    def loss(*values: torch.Tensor) -> torch.Tensor:
        named = dict(zip(names, values, strict=True))
        inputs = grids(2), ids, torch.tensor(lengths)
        packed = torch.func.functional_call(decoder, named, inputs)
        return packed.logits.square().sum()

    decoder.forward = decoder.teacher_forced
    found = torch.autograd.grad(loss(*parameters), parameters)
    for name, parameter, gradient in zip(names, parameters, found):
        assert gradient.abs().max() > 1e-6 or "bias" in name, name
        direction = torch.randn_like(parameter)
        with torch.no_grad():
            shifted = [
                loss(*(p + step * direction if p is parameter else p for p in parameters))
                for step in (1e-5, -1e-5)
            ]
        slope = (shifted[0] - shifted[1]) / 2e-5
        assert slope.item() == pytest.approx((gradient * direction).sum().item(), rel=1e-5, abs=1e-5), name


def test_no_caption_is_longer_than_max_length():
    tokenizer = CaptionTokenizer.train(["one two three four five"], min_count=1)
    torch.manual_seed(0)
    sizes = DecoderConfig(tokenizer.vocab_size, D, hidden_dim=8, kind="transformer", max_length=5)
    captioner = Captioner(sizes, tokenizer, (2, 3)).eval()
    captioner.decoder.output_bias.data[tokenizer.eos_id] = -100.0
    for found in captioner.search(grids(2), beam_size=3):
        assert {len(hypothesis.token_ids) for hypothesis in found} == {5}
    memory = captioner.decoder.encode_grid(grids(2))
    state = captioner.decoder.start(memory)
    assert state.word_keys.shape == state.word_values.shape == (2, 1, LAYERS, 6, 2)


def test_it_trains_by_likelihood_and_reward_and_is_described_drawn_and_exported(tmp_path, capsys):
    """Nothing but the setting names it: every command takes it as it takes the others."""
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    write_captions_dataset(tmp_path / "data", language="en", count=40, seed=0)
    run = tmp_path / "run"
    options = f"--store {tmp_path / 'store'} --backbone test_resnet --weights random --epochs 12"
    rare = settings_file(
        image_size=64, hidden_dim=32, decoder="transformer", scst_epochs=1, learning_rate=3e-3
    )
    command = f"train-captioner {tmp_path / 'data'} --out {run} {options}"
    assert cli.run([*command.split(), *rare]) in ENDED
    assert "transformer with attention over a" in (run / "model" / "README.md").read_text("utf-8")
    assert (run / "report.html").exists()
    image = next((tmp_path / "data" / "images").iterdir())
    for command in (f"predict {run} {image}", f"evaluate {run}", f"export {run} --out {tmp_path / 'onnx'}"):
        assert cli.run(command.split()) == 0, capsys.readouterr()
