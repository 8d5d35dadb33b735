# %% [markdown]
# # 6. Attention in sixty lines
#
# How does a captioner know *where* to look before it says a word? You write the decoder of Xu et al.
# (2015), "Show, Attend and Tell", by hand, with the shape of every line, train it on drawn scenes, and see
# its maps. Then you put the trained weights into showtell's own decoder: every number is the same.
#
# 캡션 모델은 단어를 말하기 전에 *어디를* 볼지 어떻게 알까요? Xu 등(2015)의 "Show, Attend and Tell" 디코더를
# 직접 쓰고, 줄마다 모양(shape)을 적고, 그린 그림으로 학습시켜 어텐션 지도를 봅니다. 그다음 학습한 가중치를
# showtell의 디코더에 넣습니다. 모든 숫자가 똑같습니다.

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

torch.manual_seed(0)

# %% [markdown]
# ## Grids of features
#
# The backbone turns an image into a grid: 8 x 8 = 64 cells, each with 80 numbers that say what is there. It
# is frozen, so each image is encoded once. Letters from here on: **B** images, **L** = 64 cells, **D** = 80
# numbers of a cell, **H** width of the state, **E** width of a word, **A** width of the attention, **V**
# words.
#
# ## 특징의 격자
#
# 신경망은 사진을 격자로 바꿉니다. 8 x 8 = 64칸이고, 칸마다 그곳에 무엇이 있는지 말하는 숫자가 80개
# 있습니다. 이 신경망은 고정되어 있으므로 사진마다 한 번만 인코딩합니다. 지금부터 글자의 뜻은 이렇습니다.
# **B** 사진 수, **L** = 64칸, **D** = 한 칸의 숫자 80개, **H** 상태의 너비, **E** 단어의 너비, **A**
# 어텐션의 너비, **V** 단어 수.

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
print(f"{len(captions)} captions of {tokenizer.vocab_size} words, such as: {captions[0]}")
print(f"grids: {tuple(grids.shape)}")

# %% [markdown]
# ## The decoder
#
# Before each word the state asks a question (the *query*), and every cell has a *key*. Where query and key
# fit together, the score is high (eq. 4); a softmax turns scores into shares that sum to 1 (eq. 5); and the
# cells, weighed by their shares, become one vector, the *context* (eq. 6). That is all of attention. The
# rest is an LSTM (eq. 1-3), which remembers in its state what was said so far, and an output layer (eq. 7).
#
# ## 디코더
#
# 단어를 말하기 전에 상태가 질문(*query*)을 던지고, 칸마다 열쇠(*key*)가 있습니다. 질문과 열쇠가 맞으면
# 점수가 높습니다(식 4). 소프트맥스가 점수를 합이 1인 몫으로 바꿉니다(식 5). 칸들을 그 몫만큼 더하면 벡터
# 하나, *문맥*(context)이 됩니다(식 6). 어텐션은 이것이 전부입니다. 나머지는 지금까지 한 말을 상태에
# 기억하는 LSTM(식 1-3)과 출력층(식 7)입니다.


# %%
class ShowAttendTell(nn.Module):
    def __init__(self, D, H, E, A, V):
        super().__init__()
        self.sizes = [A, H, 4 * H]
        self.register_buffer("feature_mean", torch.zeros(D))
        self.register_buffer("feature_scale", torch.ones(()))
        self.value = nn.Linear(D, H)
        self.value_norm = nn.LayerNorm(H)
        self.key = nn.Linear(H, A)
        self.score = nn.Linear(A, 1, bias=False)
        self.initial = nn.Linear(H, 2 * H)
        self.embed = nn.Embedding(V, E)
        self.from_input = nn.Linear(E + H, 4 * H)
        self.from_hidden = nn.Linear(H, A + H + 4 * H)
        self.output_hidden = nn.Linear(H, E)
        self.output_context = nn.Linear(H, E, bias=False)
        self.output_bias = nn.Parameter(torch.zeros(V))
        nn.init.normal_(self.embed.weight, std=E**-0.5)

    def start(self, grid):
        cells = (grid - self.feature_mean) / self.feature_scale  # (B, L, D)
        values = self.value_norm(torch.relu(self.value(cells)))  # (B, L, H)
        keys = self.key(values)  # (B, L, A)
        mean = values.mean(1)  # (B, H)
        hidden, cell = torch.tanh(self.initial(mean)).chunk(2, -1)  # (B, H), (B, H)
        return values, keys, hidden, cell

    def attend(self, values, keys, query):
        energy = torch.tanh(keys + query.unsqueeze(1))  # (B, L, A)
        scores = self.score(energy).squeeze(-1)  # (B, L)       eq. 4: how well does each cell fit?
        weights = scores.softmax(-1)  # (B, L)                  eq. 5: shares that sum to 1
        context = (weights.unsqueeze(1) @ values).squeeze(
            1
        )  # (B, H)   eq. 6 and 13: the cells by their shares
        return context, weights

    def step(self, values, keys, hidden, cell, word_ids):
        word = self.embed(word_ids)  # (B, E)
        query, gate, gates = self.from_hidden(hidden).split(self.sizes, -1)  # (B, A), (B, H), (B, 4 H)
        context, weights = self.attend(values, keys, query)  # (B, H), (B, L)
        context = torch.sigmoid(gate) * context  # (B, H)       how much does the image matter now?
        gates = gates + self.from_input(torch.cat([word, context], -1))  # (B, 4 H)
        i, f, o, g = gates.chunk(4, -1)  # (B, H) each
        cell = torch.sigmoid(f + 1) * cell + torch.sigmoid(i) * torch.tanh(g)  # (B, H)   eq. 2
        hidden = torch.sigmoid(o) * torch.tanh(cell)  # (B, H)  eq. 3
        deep = torch.tanh(word + self.output_hidden(hidden) + self.output_context(context))  # (B, E)   eq. 7
        logits = deep @ self.embed.weight.T + self.output_bias  # (B, V)
        return logits, hidden, cell, weights


torch.manual_seed(0)
model = ShowAttendTell(D=80, H=128, E=96, A=64, V=tokenizer.vocab_size)
model.feature_mean.copy_(grids.flatten(0, 1).mean(0))
model.feature_scale.copy_((grids - model.feature_mean).std())

# %% [markdown]
# Look at the shapes of one step, for two images and an untrained model: shares of 64 cells, about 1/64
# each.
#
# 사진 두 장과 학습하지 않은 모델로 한 걸음의 모양을 보세요. 64칸의 몫은 저마다 약 1/64입니다.

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
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    print(f"epoch {epoch + 1:>2}: loss {np.mean(losses):.3f}")

# %% [markdown]
# ## Captions of scenes that were never shown
#
# Now nobody tells the true words: the model reads what it said itself, and always takes the likeliest word
# (*greedy*).
#
# ## 본 적 없는 그림의 캡션
#
# 이제 옳은 단어를 알려 주는 사람이 없습니다. 모델은 자기가 한 말을 읽고, 언제나 가장 그럴듯한 단어를
# 고릅니다 (*greedy*).


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
# showtell's decoder has the same equations, so its weights have the same names: yours fit in. It computes
# faster, and its search keeps several captions side by side (*beam search*); the numbers are equal.
#
# ## showtell에서 똑같이
#
# showtell의 디코더는 식이 같고 가중치의 이름도 같아서, 여러분의 가중치가 그대로 들어갑니다. 계산은 더
# 빠르고, 탐색은 여러 문장을 나란히 놓고 고릅니다(*beam search*). 숫자는 똑같습니다.

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
# One unseen scene, and where the model looked at each word; the number is the share of the hottest cell. Be
# careful: a map says where the weights lay, not *why* the word was said. `showtell report` checks that,
# too, by taking cells away.
#
# ## 그림
#
# 본 적 없는 그림 하나와, 단어마다 모델이 본 곳입니다. 숫자는 가장 뜨거운 칸의 몫입니다. 조심하세요. 지도는
# 가중치가 어디 있었는지 말할 뿐, 그 단어를 *왜* 말했는지 말하지 않습니다. `showtell report`는 칸을 가려
# 보며 그것도 확인합니다.

# %%
chosen = next(
    place
    for place, (result, scene) in enumerate(zip(results, unseen))
    if scene.relation and is_right(result.text, scene, "en") and len(result.words) >= 9
)
image, result = draw_scene(unseen[chosen], 240), results[chosen]
peaks = [float(word.attention.max()) for word in result.words]
columns = -(-(len(result.words) + 1) // 2)
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
# **At which word did the model look most sharply**, with the largest share in one cell?
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
        hints={
            result.words[
                0
            ].text: "The first word is decided by the whole image. 첫 단어는 그림 전체를 봅니다."
        },
    )
)
assert right_by_hand >= 40 and right_by_beam >= 40
