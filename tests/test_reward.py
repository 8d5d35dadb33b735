"""Training by reward: captions keep their order, the baseline is fair, rewarded captions grow likelier."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from showtell.evaluation.cider import CiderD
from showtell.kinds.captioner.scst import USUAL_SAMPLING, advantages, draw_captions, scst_loss
from showtell.models.batch import assemble
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.text.tokenizer import CaptionTokenizer

CAPTIONS = {
    "a": ["a red circle on the left", "one red circle"],
    "b": ["two green stars in a row", "a pair of green stars"],
    "c": ["a blue square below a heart", "one heart above a blue square"],
}


def captioner(seed: int = 0) -> Captioner:
    torch.manual_seed(seed)
    tokenizer = CaptionTokenizer.train([c for captions in CAPTIONS.values() for c in captions], min_count=1)
    sizes = DecoderConfig(tokenizer.vocab_size, 8, 24, 24, 16, dropout=0.0)
    return Captioner(sizes, tokenizer, (2, 2))


ids = st.lists(st.integers(3, 9), min_size=1, max_size=6)
images = st.lists(st.lists(ids, min_size=1, max_size=4), min_size=1, max_size=5)


@given(images)
@settings(deadline=None)
def test_assembling_sorts_and_forgets_nothing(given_captions):
    grid = torch.arange(len(given_captions)).float().view(-1, 1, 1)
    framed = [[[1, *caption, 2] for caption in rows] for rows in given_captions]
    batch = assemble(grid, framed, pad_id=0)
    rows, columns = batch.order
    found = []
    for r in range(len(framed)):
        i = int(rows[r, 0])
        assert float(batch.grid[r]) == i
        for c in range(len(framed[i])):
            k, length = int(columns[r, c]), int(batch.lengths[r, c]) + 1
            assert batch.token_ids[r, c, :length].tolist() == framed[i][k]
            found.append((i, k))
        assert batch.lengths[r].tolist() == sorted(batch.lengths[r].tolist(), reverse=True)
        assert batch.lengths[r, len(framed[i]) :].eq(0).all()
    assert sorted(found) == [(i, k) for i, rows_ in enumerate(framed) for k in range(len(rows_))]
    assert batch.lengths[:, 0].tolist() == sorted(batch.lengths[:, 0].tolist(), reverse=True)


def test_the_baseline_of_a_caption_is_the_mean_of_the_others():
    model = captioner()
    names = list(CAPTIONS)
    encode = model.tokenizer.encode
    bos, eos = model.tokenizer.bos_id, model.tokenizer.eos_id
    right, wrong = encode(CAPTIONS["a"][0]), encode(CAPTIONS["b"][0])
    drawn = [[[bos, *right, eos], [bos, *wrong, eos], [bos, *wrong, eos]] for _ in names]
    gains = advantages(model, CiderD(CAPTIONS), names, drawn)
    assert gains.shape == (3, 3)
    np.testing.assert_allclose(gains.sum(1), 0, atol=1e-12)
    assert gains[0, 0] > 0 > gains[0, 1]
    assert gains[1, 0] < 0 < gains[1, 1]
    np.testing.assert_allclose(gains[0, 1], gains[0, 2])


def test_training_by_reward_earns_more():
    model, references, names = captioner(), CiderD(CAPTIONS), list(CAPTIONS)
    grid = torch.randn(3, 4, 8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

    def mean_reward() -> float:
        torch.manual_seed(1)
        drawn = [rows for _ in range(20) for rows in draw_captions(model, grid)]
        texts = [model.tokenizer.decode(caption) for rows in drawn for caption in rows]
        of = [name for _ in range(20) for name in names for _ in range(USUAL_SAMPLING.samples)]
        return float(np.mean([references.score({name: text})[0] for name, text in zip(of, texts)]))

    before = mean_reward()
    for step in range(150):
        torch.manual_seed(step)
        drawn = draw_captions(model, grid)
        gains = torch.from_numpy(advantages(model, references, names, drawn))
        batch = assemble(grid, drawn, model.tokenizer.pad_id)
        loss = scst_loss(model, batch, gains[batch.order])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert mean_reward() > 3 * before + 0.5


def test_drawing_leaves_the_network_in_training():
    model = captioner()
    model.decoder.train()
    drawn = draw_captions(model, torch.randn(2, 4, 8))
    assert model.decoder.training
    assert [len(rows) for rows in drawn] == [USUAL_SAMPLING.samples] * 2
    eos = model.tokenizer.eos_id
    assert all(caption.count(eos) <= 1 and eos not in caption[:-1] for rows in drawn for caption in rows)
