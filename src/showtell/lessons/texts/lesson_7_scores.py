# %% [markdown]
# # 7. Is it any good? Scores, and how they lie
#
# You compute BLEU and CIDEr-D by hand on three captions, to the last digit of showtell's. Then the question
# that matters more than any formula: somebody reports a BLEU-4 of 0.86. People who describe the same photo
# reach 0.21 against each other. Can 0.86 be true? You make such a score yourself, in two ways, with a model
# that has learnt nothing.
#
# BLEU와 CIDEr-D를 캡션 세 개로 직접 계산해 showtell의 값과 끝자리까지 맞춰 봅니다. 그다음은 어떤 공식보다
# 중요한 질문입니다. 누군가 BLEU-4가 0.86이라고 합니다. 같은 사진을 설명한 사람들끼리도 0.21입니다. 0.86이
# 참일 수 있을까요? 아무것도 배우지 않은 모델로 그런 점수를 두 가지 방법으로 직접 만들어 봅니다.

# %%
import math
import random
from collections import Counter
from importlib import resources

import numpy as np
import torch
from PIL import ImageEnhance

from showtell.backbones.weights import load_backbone
from showtell.data.near_duplicates import near_duplicate_groups
from showtell.evaluation.caption_scores import caption_scores
from showtell.lessons.figures import name, panels, show
from showtell.lessons.questions import check
from showtell.samples import draw_scene, make_scenes
from showtell.text.words import metric_tokens

# %% [markdown]
# ## Three captions
#
# Three photos, what people said of each (the *references*), and what a model says (the *hypothesis*).
#
# ## 캡션 세 개
#
# 사진 세 장과, 사람들이 쓴 캡션(*references*), 모델이 한 말(*hypothesis*)입니다.

# %%
references = {
    "beach.jpg": ["a dog runs on the beach", "a brown dog is running along the sea"],
    "park.jpg": ["two children play with a ball", "kids playing football in the park"],
    "snow.jpg": ["a man skis down a white mountain", "a skier in the snow"],
}
hypotheses = {
    "beach.jpg": "a dog runs on the sand",
    "park.jpg": "two children play with a ball in the park",
    "snow.jpg": "a man in the snow",
}

# %% [markdown]
# ## BLEU by hand
#
# How many runs of n words (*n-grams*) of the hypothesis does some reference have, too? That share is the
# precision for n = 1, 2, 3, 4; BLEU-4 is their geometric mean. A count is *clipped* by the reference that
# has the n-gram most, so that "the the the" earns nothing. And a hypothesis shorter than its reference pays
# the *brevity penalty*. Counts are summed over all images first.
#
# ## 직접 계산하는 BLEU
#
# 모델이 한 말의 이어진 단어 n개(*n-gram*) 가운데 사람의 캡션에도 있는 것이 얼마나 될까요? 그 비율이 n = 1,
# 2, 3, 4의 정밀도이고, BLEU-4는 그 기하 평균입니다. 개수는 그 n-gram이 가장 많은 캡션의 개수까지만 셉니다.
# 그래서 "the the the"라고 해도 얻는 것이 없습니다. 사람의 캡션보다 짧으면 벌점(*brevity penalty*)이
# 있습니다. 개수는 먼저 모든 사진에서 더합니다.


# %%
def ngrams(sentence, n):
    return Counter(tuple(sentence[i : i + n]) for i in range(len(sentence) - n + 1))


def bleu_by_hand(references, hypotheses, most=4):
    matched, possible, length, reference_length = [0] * most, [0] * most, 0, 0
    for image, text in hypotheses.items():
        said = metric_tokens(text)
        people = [metric_tokens(reference) for reference in references[image]]
        for n in range(1, most + 1):
            allowed = Counter()
            for sentence in people:
                allowed |= ngrams(sentence, n)  # the larger of the two counts
            matched[n - 1] += (ngrams(said, n) & allowed).total()  # the smaller of the two
            possible[n - 1] += ngrams(said, n).total()
        length += len(said)
        reference_length += min((abs(len(sentence) - len(said)), len(sentence)) for sentence in people)[1]
    brevity = min(1.0, math.exp(1 - reference_length / length))
    print("precisions:", *(f"{m}/{p}" for m, p in zip(matched, possible)), f"; brevity {brevity:.3f}")
    return brevity * math.prod(m / p for m, p in zip(matched, possible)) ** (1 / most)


mine = bleu_by_hand(references, hypotheses)
theirs = caption_scores(references, hypotheses)
print(f"BLEU-4 by hand {mine:.6f}, showtell {theirs.bleu4:.6f}")
assert math.isclose(mine, theirs.bleu4, rel_tol=1e-6)

# %% [markdown]
# ## CIDEr-D by hand
#
# "a" says nothing about a photo, "skis" says a lot. CIDEr weighs each n-gram by how few images have it in
# their references, writes hypothesis and reference as vectors of these weights, and takes the cosine. The D
# clips repetitions and prefers equal lengths. The score is the mean over n and references, times 10.
#
# ## 직접 계산하는 CIDEr-D
#
# "a"는 사진에 대해 말해 주는 것이 없지만 "skis"는 많은 것을 말해 줍니다. CIDEr는 n-gram을 가진 사진이
# 적을수록 무겁게 세고, 두 캡션을 그 무게의 벡터로 써서 코사인을 구합니다. D는 되풀이를 자르고 길이가 비슷한
# 것을 좋아합니다. 점수는 n과 캡션들에 걸친 평균에 10을 곱한 것입니다.


# %%
def cider_by_hand(references, image, text, most=4, sigma=6.0):
    def weigh(sentence, n, found_in):
        return {
            gram: count * math.log(len(references) / max(1, found_in[gram]))
            for gram, count in ngrams(sentence, n).items()
        }

    said, total = metric_tokens(text), 0.0
    for n in range(1, most + 1):
        found_in = Counter()  # in how many images does each n-gram occur?
        for captions in references.values():
            found_in.update(set().union(*(ngrams(metric_tokens(one), n) for one in captions)))
        ours = weigh(said, n, found_in)
        for reference in references[image]:
            person = metric_tokens(reference)
            theirs = weigh(person, n, found_in)
            both = ours.keys() & theirs.keys()
            product = sum(min(ours[gram], theirs[gram]) * theirs[gram] for gram in both)
            norms = math.hypot(*ours.values()) * math.hypot(*theirs.values())
            lengths = math.exp(-((len(said) - len(person)) ** 2) / (2 * sigma**2))
            total += lengths * product / norms if norms else 0.0
    return 10 * total / (most * len(references[image]))


by_hand = [cider_by_hand(references, image, text) for image, text in hypotheses.items()]
print("CIDEr-D by hand", np.round(by_hand, 6), "showtell", np.round(theirs.per_image["cider_d"], 6))
assert np.allclose(by_hand, theirs.per_image["cider_d"])

# %% [markdown]
# ## What a score can be
#
# On Flickr8k, five people described each photo. One of them scored against the other four reaches a BLEU-4
# of **0.212** (docs/log.md of showtell): people choose other words for the same thing. A good captioner
# reaches about the same. So 0.86 cannot come from a better model. It must come from the *data*.
#
# ## 점수는 얼마까지 될 수 있을까
#
# Flickr8k에서는 사진마다 다섯 사람이 캡션을 썼습니다. 한 사람을 나머지 네 사람으로 채점하면 BLEU-4가
# **0.212**입니다(showtell의 docs/log.md). 같은 것도 사람마다 다른 말로 쓰기 때문입니다. 좋은 캡션 모델도 그
# 정도입니다. 그러니 0.86은 더 좋은 모델에서 나올 수 없습니다. *데이터*에서 나온 것입니다.
#
# ## A model that learns nothing
#
# 60 drawn scenes, each photographed three times in a row with a little other light, as phones do, and each
# scene described by three people in their own way. The "model" says of a photo what somebody said of the
# most similar training photo. It can only repeat.
#
# ## 아무것도 배우지 않는 모델
#
# 그린 장면 60개를 저마다 세 번 연달아, 빛을 조금 바꾸어 찍었습니다. 휴대전화도 그렇게 합니다. 장면마다 세
# 사람이 자기 방식으로 설명했습니다. "모델"은 가장 비슷한 학습 사진에 대해 누군가 한 말을 그대로 합니다.
# 따라 할 줄만 압니다.

# %%
WAYS = (
    "{count} {size} {colour} {noun}",
    "{count} {size} {colour} {noun} on a light paper",
    "{colour} {noun} , {count} of them",
    "a drawing of {count} {size} {noun} in {colour}",
    "the picture shows {count} {colour} {noun}",
    "somebody drew {count} {size} {noun} with a {colour} pen",
)
WORDS = {"big": ("big", "large", "huge"), "small": ("small", "little", "tiny")}
chance = random.Random(0)
with resources.as_file(resources.files("showtell") / "backbones" / "small_backbone") as folder:
    backbone = load_backbone(None, str(folder))

photos, scene_of, said_of = [], {}, {}
for number, scene in enumerate(make_scenes(7, 60, None, related_share=0.0)):
    group = scene.groups[0]
    parts = {"count": group.count, "colour": group.colour}
    parts["noun"] = group.shape + ("s" if group.count > 1 else "")
    people = [way.format(**parts, size=chance.choice(WORDS[group.size])) for way in chance.sample(WAYS, 3)]
    for shot in range(3):
        photo = f"scene{number:02d}-{shot}.jpg"
        light = ImageEnhance.Brightness(draw_scene(scene, 128)).enhance(chance.uniform(0.94, 1.05))
        photos.append(backbone.pixels(light))
        scene_of[photo] = number
        said_of[photo] = people  # the same for the three shots, as people do with a burst
names = list(said_of)
grid, pooled = backbone(torch.stack(photos))
vectors = pooled.float().numpy() - pooled.float().numpy().mean(0)  # (180, 80)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
print(f"{len(names)} photos; of {names[0]} people say:", *said_of[names[0]], sep="\n  ")


def score_of_repeating(train_rows, test_photos):
    """Score what repeating the most similar training photo's caption reaches; rows are (photo, caption)."""
    known = np.array([names.index(photo) for photo, _ in train_rows])
    nearest = {photo: np.argmax(vectors[known] @ vectors[names.index(photo)]) for photo in test_photos}
    answers = {photo: train_rows[row][1] for photo, row in nearest.items()}
    return caption_scores({photo: said_of[photo] for photo in test_photos}, answers)


# %% [markdown]
# ## Three ways to split, one of them honest
#
# 1. **By row**, the mistake of the notes: the table has a row for each caption, and the rows are shuffled.
#    Of most test photos the model has seen *the same photo*, with another caption.
# 2. **By photo**: better, but two of three shots of a scene are in training, and are nearly the same photo.
# 3. **By scene**: all shots of a scene stay on one side. This is the honest one.
#
# ## 나누는 방법 셋, 그중 하나만 정직하다
#
# 1. **줄로 나누기**, 공부 노트의 실수입니다. 표에는 캡션마다 한 줄이 있고, 그 줄을 섞습니다. 시험 사진은
#    대부분 *같은 사진*이 다른 캡션과 함께 학습에 들어 있습니다.
# 2. **사진으로 나누기**: 낫지만, 한 장면의 세 장 가운데 두 장이 학습에 있고 거의 같은 사진입니다.
# 3. **장면으로 나누기**: 한 장면의 사진은 모두 한쪽에 있습니다. 이것이 정직합니다.

# %%
rows = [(photo, caption) for photo in names for caption in said_of[photo]]
chance.shuffle(rows)
cut = len(rows) * 3 // 4
test_photos = sorted({photo for photo, _ in rows[cut:]})[:60]
scores = {"split by row": score_of_repeating(rows[:cut], test_photos)}

last_shots = [photo for photo in names if photo.endswith("-2.jpg")]
scores["split by photo"] = score_of_repeating([row for row in rows if row[0] not in last_shots], last_shots)

held_out = [photo for photo in names if scene_of[photo] >= 40]
scores["split by scene"] = score_of_repeating([row for row in rows if row[0] not in held_out], held_out)
for what, score in scores.items():
    low, high = score.intervals["bleu4"]
    print(f"{what:<14} BLEU-4 {score.bleu4:.3f} (95%: {low:.3f} to {high:.3f}) of {score.count} photos")

# %% [markdown]
# The same model, which knows nothing: only the split differs. showtell splits by image, looks for
# near-duplicates by the features that it has anyway, and keeps each group on one side. What it cannot find,
# you tell it: a column of the table that says which photos belong together (`--group-column`).
#
# 아무것도 모르는 같은 모델인데, 나눈 방법만 다릅니다. showtell은 사진으로 나누고, 어차피 있는 특징으로 거의
# 같은 사진을 찾아, 그 무리를 한쪽에 둡니다. 찾지 못하는 것은 알려 주면 됩니다. 어떤 사진이 한 무리인지 적은
# 칸을 표에 두세요(`--group-column`).

# %%
groups = near_duplicate_groups(names, vectors, threshold=0.98)
found = sum(len({scene_of[one] for one in group}) == 1 and len(group) == 3 for group in groups)
print(f"near-duplicates: {len(groups)} groups; {found} of 60 scenes are found whole, with no other photo")

# %% [markdown]
# ## Intervals
#
# A score of 60 photos is a guess about all photos. Take other 60, and it is another number: the *interval*
# says how far it may go. Beware of a table without them, and of "0.02 better".
#
# ## 구간
#
# 사진 60장의 점수는 모든 사진에 대한 짐작입니다. 다른 60장으로 하면 다른 숫자가 나옵니다. *구간*은 그
# 숫자가 어디까지 갈 수 있는지 말해 줍니다. 구간이 없는 표와 "0.02만큼 좋아졌다"는 말을 조심하세요.

# %%
widths = {}
for count in (6, 12, 20, 30, 60):
    some = held_out[:: 60 // count]
    low, high = score_of_repeating([row for row in rows if row[0] not in held_out], some).intervals["bleu4"]
    widths[count] = (low, high)
    print(f"{count:>3} photos: {low:.3f} to {high:.3f}")

# %% [markdown]
# ## The picture · 그림

# %%
figure, (left, right) = panels(2, width=4.8, height=3.4)
for row, (what, score) in enumerate(scores.items()):
    low, high = score.intervals["bleu4"]
    colour = "#e9b48f" if low > 0.5 else "#9cc4ab"
    left.barh(row, score.bleu4, color=colour, height=0.6)
    left.plot([low, high], [row + 0.2, row + 0.2], color="#1d1b18", linewidth=2)
    left.text(0.015, row - 0.05, f"{what}  {score.bleu4:.2f}", va="center", fontsize=10)
left.axvline(0.212, color="#1d1b18", linestyle=(0, (4, 3)), linewidth=1, zorder=0)
left.text(0.222, 2.62, "people on Flickr8k: 0.212", fontsize=8, va="center")
left.set(yticks=[], xlim=(0, 1.02), ylim=(2.8, -0.5))
name(left, "One model that learns nothing", "BLEU-4, with its 95% interval")
for place, (low, high) in enumerate(widths.values()):
    right.plot([place, place], [low, high], color="#1d7a45", linewidth=6, solid_capstyle="round", alpha=0.6)
right.set_xticks(range(len(widths)), [str(count) for count in widths])
right.set_ylim(0, 1)
name(right, "What 95% means, by the number of photos", "photos scored", "BLEU-4")
show(figure)

# %% [markdown]
# ## A question
#
# A model says "a dog" of every photo of a dog, and the reference is "a dog runs on the beach". Both words
# are right, so the precision of BLEU-1 is 1. But the brevity penalty is `exp(1 - reference length /
# length)`. **What is BLEU-1?** Two digits suffice.
#
# ## 질문
#
# 어떤 모델이 개 사진이면 늘 "a dog"라고 하고, 사람의 캡션은 "a dog runs on the beach"입니다. 두 단어가 다
# 맞으니 BLEU-1의 정밀도는 1입니다. 하지만 벌점이 `exp(1 - 캡션의 길이 / 길이)`입니다. **BLEU-1은
# 얼마입니까?** 소수 둘째 자리까지면 됩니다.

# %%
answer = None  # a number

short = caption_scores({"photo": ["a dog runs on the beach"]}, {"photo": "a dog"}).bleu1
print(
    check(
        answer,
        round(short, 2),
        within=0.01,
        why="exp(1 - 6 / 2) = exp(-2). 짧게 말하면 안전하지만 점수가 낮습니다.",
        hints={1.0: "That is the precision alone. 그것은 정밀도뿐입니다."},
    )
)
assert scores["split by row"].bleu4 > 0.8 and scores["split by photo"].bleu4 > 0.8
assert scores["split by scene"].bleu4 < scores["split by photo"].bleu4 - 0.2
