# %% [markdown]
# # 6. Attention in sixty lines
#
# How does a captioner know *where* to look before it says a word? It has two parts: the backbone, which turns
# an image into features, and the *decoder*, which turns those into a sentence, word by word. You write the
# decoder of Xu et al. (2015), "Show, Attend and Tell", by hand, with the shape of every line. You train it on
# drawn scenes and see its maps. Then showtell's own decoder computes the same numbers from your weights.
#
# 캡션 모델은 단어를 말하기 전에 *어디를* 볼지 어떻게 알까요? 캡션 모델은 두 부분입니다. 백본은 이미지를
# 특징으로 바꾸고, *디코더*(decoder)는 특징을 문장으로, 한 단어씩 바꿉니다. Xu 등(2015)의 "Show, Attend and
# Tell" 디코더를 직접 쓰고, 줄마다 모양(shape)을 적습니다. 그린 그림으로 학습시켜 어텐션 지도를 봅니다.
# 그다음 학습한 가중치를 showtell의 디코더에 넣으면 똑같은 숫자가 나옵니다.

# %%
from importlib import resources

import numpy as np
import torch
from torch import nn

from showtell.backbones.weights import load_backbone
from showtell.lessons.figures import panels, picture, show
from showtell.lessons.questions import check
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.report.overlay import overlay
from showtell.samples import draw_scene, is_right, make_scenes, write_captions
from showtell.text.tokenizer import CaptionTokenizer

# %% [markdown]
# ## Grids of features
#
# The backbone turns an image into a grid: 8 x 8 = 64 cells, each with 80 numbers that say what is there. It
# is frozen, so each image is encoded once. Three in ten of the drawn scenes show two groups of things.
#
# Letters of the shapes: **N** images in all, **B** of a batch, **L** = 64 cells, **D** = 80 numbers of a
# cell, **T** words of a caption, **V** words of the vocabulary. **H**, **E** and **A** are sizes that you
# choose: of the decoder's state, of a word, and of what the attention compares.
#
# ## 특징의 격자
#
# 백본은 사진을 격자로 바꿉니다. 8 x 8 = 64칸이고, 칸마다 그곳에 무엇이 있는지 말하는 숫자가 80개 있습니다.
# 백본은 고정되어 있으므로 사진마다 한 번만 인코딩합니다. 그린 그림 열에 셋에는 물건이 두 무리 있습니다.
#
# 모양의 글자는 이렇습니다. **N** 전체 사진 수, **B** 배치의 사진 수, **L** = 64칸, **D** = 한 칸의 숫자 80개,
# **T** 캡션의 단어 수, **V** 단어장의 단어 수. **H**, **E**, **A**는 디코더의 상태, 단어, 어텐션이 견주는
# 것의 크기이며, 직접 정합니다.

# %%
with resources.as_file(resources.files("showtell") / "backbones" / "small_backbone") as folder:
    backbone = load_backbone(None, str(folder))


def encode(scenes):
    pixels = torch.stack([backbone.pixels(draw_scene(scene, 128)) for scene in scenes])  # (N, 3, 128, 128)
    return torch.cat([backbone(part)[0].float() for part in pixels.split(100)]).clone()  # (N, L, D)


scenes = make_scenes(0, 1000, "train", related_share=0.3)
unseen = make_scenes(0, 100, "test", related_share=0.3)  # compositions that training never shows
grids, unseen_grids = encode(scenes), encode(unseen)
captions = [write_captions(scene, "en")[0] for scene in scenes]
tokenizer = CaptionTokenizer.train(captions, min_count=1)
print(f"{len(captions)} captions, such as: {captions[0]}; {tokenizer.vocab_size} tokens in the vocabulary")
print(f"grids: {tuple(grids.shape)}")

# %% [markdown]
# ## The decoder
#
# - **Memory.** An *LSTM* (eq. 1-3 of the paper) goes from word to word and remembers what was said so far.
#   Its *state* is two vectors: `cell`, what it keeps, and `hidden`, what it shows of that. At each word it
#   computes three *gates*, numbers between 0 and 1: how much of `cell` to keep (`f`, forget), how much of
#   the new content (`g`) to add (`i`, input), and how much to show (`o`, output). A word enters as its
#   *embedding*, a vector of E learnt numbers.
# - **Attention.** Before each word, the state asks a question, the vector *query*; every cell has a *key*.
#   Where query and key fit together, the score is high (eq. 4). A softmax turns the scores into shares that
#   sum to 1 (eq. 5). The sum of the cells' *values*, each times its share, is one vector, the *context*
#   (eq. 6). That is all of attention.
# - **Output** (eq. 7). From word, state and context comes a logit for each word of the vocabulary.
#
# ## 디코더
#
# - **기억.** *LSTM*(논문의 식 1-3)은 캡션을 한 단어씩 따라가며 지금까지 한 말을 기억합니다. *상태*(state)는
#   벡터 둘입니다. `cell`은 간직하는 것, `hidden`은 그 가운데 보여 주는 것입니다. 단어마다 0과 1 사이의
#   숫자인 *게이트*(gate) 셋을 계산합니다. `cell`을 얼마나 남길지(`f`, forget), 새것(`g`)을 얼마나
#   더할지(`i`, input), 얼마나 보여 줄지(`o`, output)입니다. 단어는 *임베딩*(embedding), 곧 배운 숫자 E개의
#   벡터로 들어갑니다.
# - **어텐션.** 단어를 말하기 전에 상태가 질문 벡터(*query*)를 던지고, 칸마다 열쇠(*key*)가 있습니다. 질문과
#   열쇠가 맞으면 점수가 높습니다(식 4). 소프트맥스가 점수를 합이 1인 몫으로 바꿉니다(식 5). 칸마다
#   값(*value*)에 몫을 곱해 더하면 벡터 하나, *문맥*(context)이 됩니다(식 6). 어텐션은 이것이 전부입니다.
# - **출력**(식 7). 단어와 상태와 문맥에서 단어장의 단어마다 로짓이 하나 나옵니다.


# %%
class ShowAttendTell(nn.Module):
    def __init__(self, D, H, E, A, V):
        super().__init__()
        self.register_buffer("feature_mean", torch.zeros(D))  # set from the data below, not learnt
        self.register_buffer("feature_scale", torch.ones(()))
        self.value = nn.Linear(D, H)
        self.value_norm = nn.LayerNorm(H)  # brings each cell's numbers to mean 0 and variance 1
        self.key = nn.Linear(H, A)
        self.score = nn.Linear(A, 1, bias=False)
        self.initial = nn.Linear(H, 2 * H)
        self.embed = nn.Embedding(V, E)  # a table: a vector for each word
        self.from_input = nn.Linear(E + H, 4 * H)
        self.sizes = [A, H, 4 * H]  # three things from one multiplication: query, image gate, LSTM gates
        self.from_hidden = nn.Linear(H, sum(self.sizes))
        self.output_hidden = nn.Linear(H, E)
        self.output_context = nn.Linear(H, E, bias=False)
        self.output_bias = nn.Parameter(torch.zeros(V))
        nn.init.normal_(self.embed.weight, std=E**-0.5)

    def start(self, grid):
        cells = (grid - self.feature_mean) / self.feature_scale  # (B, L, D)
        values = self.value_norm(torch.relu(self.value(cells)))  # (B, L, H)
        keys = self.key(values)  # (B, L, A)
        mean = values.mean(1)  # (B, H): the state begins from the whole image
        hidden, cell = torch.tanh(self.initial(mean)).chunk(2, -1)  # (B, H), (B, H)
        return values, keys, hidden, cell

    def attend(self, values, keys, query):
        energy = torch.tanh(keys + query.unsqueeze(1))  # (B, L, A)
        scores = self.score(energy).squeeze(-1)  # (B, L)       eq. 4: how well does each cell fit?
        weights = scores.softmax(-1)  # (B, L)                  eq. 5: shares that sum to 1
        context = (weights.unsqueeze(1) @ values).squeeze(1)  # (B, H)   eq. 6, 13: values times their shares
        return context, weights

    def step(self, values, keys, hidden, cell, word_ids):
        word = self.embed(word_ids)  # (B, E)
        query, gate, gates = self.from_hidden(hidden).split(self.sizes, -1)  # (B, A), (B, H), (B, 4 H)
        context, weights = self.attend(values, keys, query)  # (B, H), (B, L)
        context = torch.sigmoid(gate) * context  # (B, H)       how much does the image matter now?
        gates = gates + self.from_input(torch.cat([word, context], -1))  # (B, 4 H)   eq. 1
        i, f, o, g = gates.chunk(4, -1)  # (B, H) each; f + 1 below: an untrained LSTM keeps most of its cell
        cell = torch.sigmoid(f + 1) * cell + torch.sigmoid(i) * torch.tanh(g)  # (B, H)   eq. 2
        hidden = torch.sigmoid(o) * torch.tanh(cell)  # (B, H)  eq. 3
        deep = torch.tanh(word + self.output_hidden(hidden) + self.output_context(context))  # (B, E)   eq. 7
        logits = deep @ self.embed.weight.T + self.output_bias  # (B, V): which word's embedding fits?
        return logits, hidden, cell, weights


torch.manual_seed(0)
model = ShowAttendTell(D=80, H=128, E=96, A=64, V=tokenizer.vocab_size)
model.feature_mean.copy_(grids.flatten(0, 1).mean(0))
model.feature_scale.copy_((grids - model.feature_mean).std())

# %% [markdown]
# Look at the shapes of one step, for two images. An untrained model does not know where to look: the shares
# of the 64 cells are not far from 1/64 = 0.0156.
#
# 사진 두 장으로 한 걸음의 모양을 보세요. 학습하기 전이라 64칸의 몫이 모두 1/64 = 0.0156에서 멀지 않습니다.

# %%
values, keys, hidden, cell = model.start(grids[:2])
logits, _, _, weights = model.step(values, keys, hidden, cell, torch.full((2,), tokenizer.bos_id))
print(f"values {tuple(values.shape)}, keys {tuple(keys.shape)}, hidden {tuple(hidden.shape)}")
print(f"weights {tuple(weights.shape)}, they sum to {weights.sum(1).tolist()}; largest {weights.max():.4f}")
print(f"logits {tuple(logits.shape)}")

# %% [markdown]
# ## Training
#
# *Teacher forcing*: at each place the model is given the true words so far, and learns to predict the next.
# As in lesson 5, padding does not count.
#
# ## 학습
#
# *교사 강요*(teacher forcing): 자리마다 지금까지의 옳은 단어를 주고 다음 단어를 예측하게 합니다.
# 5강에서처럼 채운 자리는 세지 않습니다.

# %%
rows = [[tokenizer.bos_id, *tokenizer.encode(caption), tokenizer.eos_id] for caption in captions]
token_ids = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)  # (N, T + 1)
EPOCHS, BATCH = 12, 50
optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3, weight_decay=0.01)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=EPOCHS * len(rows) // BATCH)
for epoch in range(EPOCHS):
    losses = []
    for chosen in torch.randperm(len(rows)).split(BATCH):
        words = token_ids[chosen]  # (B, T + 1)
        values, keys, hidden, cell = model.start(grids[chosen])
        steps = []
        for t in range(words.shape[1] - 1):
            logits, hidden, cell, _ = model.step(values, keys, hidden, cell, words[:, t])
            steps.append(logits)
        logits = torch.stack(steps, 1)  # (B, T, V)
        real = words[:, 1:] != tokenizer.pad_id  # (B, T)
        loss = nn.functional.cross_entropy(logits[real], words[:, 1:][real])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)  # shortens a gradient longer than 5
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    print(f"epoch {epoch + 1:>2}: loss {np.mean(losses):.3f}")

# %% [markdown]
# ## Captions of scenes that were never shown
#
# Now nobody tells it the true words. The model reads the word that it said itself, and always takes the
# likeliest next one (*greedy*), until that is `<eos>`.
#
# ## 본 적 없는 그림의 캡션
#
# 이제 옳은 단어를 알려 주는 사람이 없습니다. 모델은 자기가 말한 단어를 읽고, 언제나 가장 그럴듯한 다음 단어를
# 고릅니다(*greedy*). `<eos>`가 나오면 끝납니다.


# %%
@torch.inference_mode()
def describe(grid, most=16):
    """Return the caption of one grid (L, D), and the shares behind each word (T, L)."""
    values, keys, hidden, cell = model.start(grid.unsqueeze(0))
    word, said, maps = torch.tensor([tokenizer.bos_id]), [], []
    for _ in range(most):
        logits, hidden, cell, weights = model.step(values, keys, hidden, cell, word)
        word = logits.argmax(-1)  # (1,)
        if word.item() == tokenizer.eos_id:
            break
        said.append(word.item())
        maps.append(weights[0])
    return tokenizer.decode(said), torch.stack(maps)


model.eval()
by_hand = [describe(grid)[0] for grid in unseen_grids]
right_by_hand = sum(is_right(text, scene, "en") for text, scene in zip(by_hand, unseen))
print(f"by hand, greedy: {right_by_hand} of {len(unseen)} are exactly right, such as: {by_hand[0]}")

# %% [markdown]
# ## The same in showtell
#
# showtell's decoder has the same equations and the same names for its weights, so yours fit. The numbers are
# equal; showtell computes them faster. Its *beam search* also extends several captions side by side and takes
# the one that is likeliest as a whole, which taking the likeliest word each time may miss.
#
# ## showtell에서 똑같이
#
# showtell의 디코더는 식이 같고 가중치의 이름도 같아서, 여러분의 가중치가 그대로 들어갑니다. 숫자는 똑같고
# 계산은 더 빠릅니다. *빔 탐색*(beam search)은 여러 문장을 나란히 이어 가며 전체로 가장 그럴듯한 문장을
# 고릅니다. 매번 가장 그럴듯한 단어만 고르면 그런 문장을 놓칠 수 있습니다.

# %%
config = DecoderConfig(tokenizer.vocab_size, feature_dim=80, hidden_dim=128, embed_dim=96, attention_dim=64)
captioner = Captioner(config, tokenizer, backbone.description.grid_size).eval()
captioner.decoder.load_state_dict(model.state_dict())

with torch.inference_mode():
    word_ids = torch.full((8,), tokenizer.bos_id)
    values, keys, hidden, cell = model.start(unseen_grids[:8])
    logits, _, _, mine = model.step(values, keys, hidden, cell, word_ids)
    memory = captioner.decoder.encode_grid(unseen_grids[:8])
    theirs = captioner.decoder.step(memory, captioner.decoder.start(memory), word_ids.unsqueeze(1))
print(f"largest difference of the attention: {(theirs.attention[:, 0] - mine).abs().max():.1e}")
print(f"largest difference of the words: {(theirs.log_probs[:, 0] - logits.log_softmax(-1)).abs().max():.1e}")
assert torch.allclose(theirs.attention[:, 0], mine, atol=1e-5)
assert torch.allclose(theirs.log_probs[:, 0], logits.log_softmax(-1), atol=1e-4)
assert list(captioner.texts(unseen_grids[:20], beam_size=1)) == by_hand[:20]

results = [best for best, *others in captioner.describe(unseen_grids, beam_size=3)]
right_by_beam = sum(is_right(result.text, scene, "en") for result, scene in zip(results, unseen))
print(f"showtell, beam of 3: {right_by_beam} of {len(unseen)} are exactly right")

# %% [markdown]
# ## The picture
#
# One unseen scene, and where the model looked at each word: the brighter, the larger the share; grey is
# almost none. The number is the share of the brightest cell. Be careful: a map shows where the weights lay,
# not *why* the word was said. `showtell report` tests that, too, by taking cells away.
#
# ## 그림
#
# 본 적 없는 그림 하나와, 단어마다 모델이 본 곳입니다. 밝을수록 몫이 크고, 회색은 거의 0입니다. 숫자는 가장
# 밝은 칸의 몫입니다. 조심하세요. 지도는 가중치가 어디 있었는지 말할 뿐, 그 단어를 *왜* 말했는지 말하지
# 않습니다. `showtell report`는 칸을 빼 보며 그것도 시험합니다.

# %%
chosen = next(  # the first long caption that is right
    place
    for place, (result, scene) in enumerate(zip(results, unseen))
    if scene.relation and is_right(result.text, scene, "en") and len(result.words) >= 9
)
image, result = draw_scene(unseen[chosen], 240), results[chosen]
peaks = [float(word.attention.max()) for word in result.words]
columns = (len(result.words) + 2) // 2  # the scene and its words, in two rows
figure, axes = panels(columns, 2, width=1.75, height=2.0)
picture(axes[0], image, "the scene")
for place, one in enumerate(axes[1:]):
    if place < len(result.words):
        word = result.words[place]
        heat = overlay(image, word.attention, backbone.preprocessing, peak=max(peaks))
        picture(one, heat, f"{word.text}  {peaks[place]:.1%}")
    else:
        one.set_axis_off()
figure.suptitle(result.text, fontsize=12, fontweight="bold")
show(figure)

# %% [markdown]
# ## A question
#
# **At which word did the model look most sharply**, that is, with the largest share in one cell?
#
# ## 질문
#
# **모델이 가장 뚜렷하게 한곳을 본 단어는 무엇입니까?** 한 칸의 몫이 가장 큰 단어입니다.

# %%
answer = None  # a word of the caption

sharpest = result.words[int(np.argmax(peaks))].text
print(
    check(
        answer,
        sharpest,
        why=f"{max(peaks):.1%} of the attention lay in one cell; spread evenly it would be {1 / 64:.1%}. "
        f"고르게 퍼지면 한 칸에 {1 / 64:.1%}입니다.",
    )
)
assert right_by_hand >= 40 and right_by_beam >= 40
