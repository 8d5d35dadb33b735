# %% [markdown]
# # 3. Features once: why showtell is fast
#
# A *cache* keeps what was computed, so that it need not be computed again. showtell grew out of study notes
# in which a model was trained on 82 images a second without a cache, on 912 with features from files, and
# on 3,445 with features from memory. The model was the same; only *where the features came from* differed.
# Here you repeat the experiment on your machine.
#
# *캐시*(cache)는 계산한 것을 보관해서 다시 계산하지 않게 합니다. showtell의 바탕이 된 공부 노트에서는 캐시
# 없이 1초에 82장, 특징을 파일에서 읽어 912장, 메모리에서 읽어 3,445장을 학습했습니다. 모델은 똑같았습니다.
# 다른 것은 *특징을 어디서 가져오는가*뿐이었습니다. 그 실험을 여러분의 컴퓨터에서 다시 해 봅니다.

# %%
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

import showtell
from showtell.backbones.weights import load_backbone
from showtell.lessons.figures import name, panels, show
from showtell.lessons.questions import check
from showtell.samples import write_classes_dataset

# %% [markdown]
# ## The data and the network
#
# 160 drawn images in class folders, and as backbone MobileNetV2 with *random* weights: this lesson is about
# time, and a network that knows nothing takes just as long as one that knows ImageNet.
#
# ## 데이터와 신경망
#
# 그린 사진 160장이 클래스 폴더에 있고, 백본은 가중치가 *무작위*인 MobileNetV2입니다. 이 강의는 시간에 대한
# 것이고, 아무것도 모르는 신경망도 ImageNet을 아는 신경망과 똑같이 시간이 걸립니다.

# %%
desk = Path(tempfile.mkdtemp())  # a folder that is removed at the end
scenes = write_classes_dataset(desk / "photos", count=160, seed=0)  # what each file shows
names = sorted(scenes)  # files, such as train/star/00000.png
shape_of = {one: scenes[one].groups[0].shape for one in names}
shapes = sorted(set(shape_of.values()))  # the classes
labels = torch.tensor([shapes.index(shape_of[one]) for one in names])  # (160,)
backbone = load_backbone("mobilenetv2_100", "random")
print(f"{len(names)} images of {', '.join(shapes)}")

# %% [markdown]
# ## A step of training
#
# The backbone describes an image by a *grid* of 7 x 7 cells with 1280 numbers each; their mean is the
# *pooled* feature, 1280 numbers for the whole image. The head is a linear model that learns from batches of
# B images, (B, 1280). A step is the same wherever the features come from: `features_of` is a function that
# brings them.
#
# ## 학습의 한 걸음
#
# 백본은 사진을 7 x 7칸의 *격자*(grid)로 나타내고, 칸마다 숫자가 1280개 있습니다. 그 평균이 *pooled* 특징,
# 곧 사진 전체를 나타내는 숫자 1280개입니다. 헤드는 선형 모델이고, 사진 B장의 배치 (B, 1280)에서 배웁니다.
# 특징을 어디서 가져오든 걸음은 똑같습니다. 특징을 가져오는 함수가 `features_of`입니다.


# %%
BATCH = 16


def train_epoch(features_of):
    """Train an epoch, with the features of a batch of names from a function; return images per second."""
    head = nn.Linear(1280, len(shapes))
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
    started = time.perf_counter()
    for first in range(0, len(names), BATCH):
        rows = slice(first, first + BATCH)
        loss = nn.functional.cross_entropy(head(features_of(names[rows])), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return len(names) / (time.perf_counter() - started)


# %% [markdown]
# ## Without a cache
#
# Every epoch decodes every image (turns its file into pixels) and runs the backbone on it, although both give
# the same numbers each time.
#
# ## 캐시 없이
#
# 에포크마다 모든 사진을 디코딩하고(파일을 픽셀로 바꾸고) 백본을 실행합니다. 매번 똑같은 숫자가 나오는데도
# 그렇게 합니다.


# %%
def encode(batch):
    pixels = torch.stack([backbone.pixels(desk / "photos" / one) for one in batch])  # (B, 3, 224, 224), uint8
    _, pooled = backbone(pixels)  # the grid, (B, 49, 1280), and its mean, (B, 1280)
    return pooled.float().clone()  # a copy, since the backbone's own output cannot be trained on


speeds = {"no cache": train_epoch(encode)}
print(f"no cache: {speeds['no cache']:,.0f} images/s")

# %% [markdown]
# ## From files
#
# showtell *encodes* each image once, that is, runs the backbone on it, and keeps the features in its
# *store*, a folder on the disk. Whenever they are needed again, in this training or the next, they are read
# from there.
#
# ## 파일에서
#
# showtell은 사진을 한 번만 *인코딩*하고(백본을 실행하고) 특징을 디스크의 폴더, *저장소*(store)에 둡니다. 이번
# 학습이든 다음 학습이든, 다시 필요하면 거기서 읽습니다.

# %%
settings = {"backbone": "mobilenetv2_100", "weights": "random", "store": desk / "store"}
first = showtell.features(desk / "photos", **settings)
print(f"first time:  {first.computed} images encoded in {first.seconds:.1f} s")
second = showtell.features(desk / "photos", **settings)
print(f"second time: {second.computed} images encoded")
assert (first.computed, second.computed) == (len(names), 0)


def read(batch):
    return torch.from_numpy(second.pooled(batch).astype(np.float32))  # kept as float16, two bytes a number


speeds["file"] = max(train_epoch(read) for _ in range(5))  # the fastest of five
print(f"file: {speeds['file']:,.0f} images/s")

# %% [markdown]
# ## From memory
#
# If all features fit into memory, read them once. A grid of MobileNetV2 is 49 x 1280 numbers of two bytes:
# 125 kB an image, so 8,000 images are 1 GB. Pooled features are 2.5 kB.
#
# ## 메모리에서
#
# 특징이 모두 메모리에 들어가면 한 번만 읽으면 됩니다. MobileNetV2의 격자는 2바이트 숫자 49 x 1280개로 한
# 장에 125 kB이고, 8,000장이면 1 GB입니다. pooled 특징은 2.5 kB입니다.

# %%
place = {one: row for row, one in enumerate(names)}
kept = torch.from_numpy(second.pooled(names).astype(np.float32))  # (160, 1280)


def recall(batch):
    return kept[[place[one] for one in batch]]


speeds["memory"] = max(train_epoch(recall) for _ in range(5))
print(f"memory: {speeds['memory']:,.0f} images/s")
# The same features, up to the rounding to float16:
assert torch.allclose(encode(names[:4]), recall(names[:4]), atol=1e-2, rtol=1e-2)

# %% [markdown]
# ## What a cache must never do
#
# It must never give you the features of another image, or features that were made in another way. So
# showtell's store does not go by names: it finds features by the *content* of an image and by everything
# that shapes them (weights, layer, preprocessing). Rename the images, and nothing is encoded again. Change
# the size of the input, and everything is.
#
# ## 캐시가 절대로 하면 안 되는 것
#
# 다른 사진의 특징이나 다른 방법으로 만든 특징을 내주는 일은 절대로 없어야 합니다. 그래서 showtell의 저장소는
# 이름을 보지 않고, 사진의 *내용*과 특징을 결정하는 모든 것(가중치, 층, 전처리)으로 특징을 찾습니다. 사진의
# 이름을 바꾸면 아무것도 다시 인코딩하지 않습니다. 입력 크기를 바꾸면 모두 다시 인코딩합니다.

# %%
shutil.copytree(desk / "photos", desk / "renamed")
for number, path in enumerate(sorted((desk / "renamed").rglob("*.png"))):
    path.rename(path.with_name(f"holiday-{number}.png"))
renamed = showtell.features(desk / "renamed", **settings)
smaller = showtell.features(desk / "photos", **settings, image_size=96)
print(f"all renamed: {renamed.computed} encoded; 96 instead of 224 pixels: {smaller.computed} encoded")
assert (renamed.computed, smaller.computed) == (0, len(names))

# %% [markdown]
# ## The picture
#
# On the log scale each grid line is ten times the one below. The figures on the right are those of your
# machine; compare their order with the notes, not their size. Files are fast here, since 160 small features
# stay in the memory of the operating system.
#
# ## 그림
#
# 로그 눈금이라 가로선 하나를 올라갈 때마다 10배입니다. 오른쪽은 여러분의 컴퓨터에서 잰 숫자입니다. 노트와
# 견줄 것은 크기가 아니라 순서입니다. 작은 특징 160개는 운영 체제의 메모리에 남아 있으므로 여기서는 파일도
# 빠릅니다.

# %%
NOTES = {"no cache": 82, "file": 912, "memory": 3445}
figure, (left, right) = panels(2, width=4.4)
for axes, title, numbers in ((left, "In the notes", NOTES), (right, "Measured here, now", speeds)):
    for row, (what, speed) in enumerate(numbers.items()):
        axes.bar(row, speed, color="#c2540a" if what == "no cache" else "#d8d0c3", width=0.6)
        axes.text(row, speed * 1.15, f"{speed:,.0f}", ha="center", fontsize=10.5)
    axes.set_yscale("log")
    axes.set_ylim(1, 20 * max(*speeds.values(), 3445))
    axes.set_xticks(range(3), list(numbers))
    name(axes, title, up="images a second (log scale)")
show(figure)
shutil.rmtree(desk)

# %% [markdown]
# ## A question
#
# Take the numbers of the notes, 8,000 images and 20 epochs. Without a cache, that is 20 times 8,000 images at
# 82 a second. With files, it is 8,000 images once at 82 a second, and then 20 times 8,000 at 912. **How many
# times as long does the training without a cache take?**
#
# ## 질문
#
# 노트의 숫자로 계산해 봅시다. 사진 8,000장, 20에포크입니다. 캐시가 없으면 1초에 82장씩 8,000장을 20번
# 합니다. 파일이 있으면 1초에 82장씩 8,000장을 한 번, 그다음 912장씩 8,000장을 20번 합니다. **캐시 없는
# 학습이 몇 배 오래 걸립니까?**

# %%
answer = None  # a number

without = 20 * 8000 / NOTES["no cache"]
cached = 8000 / NOTES["no cache"] + 20 * 8000 / NOTES["file"]
print(
    check(
        answer,
        round(without / cached, 1),
        within=0.2,
        why=f"{without / 60:.0f} minutes against {cached / 60:.1f}. The next training on these images "
        "encodes nothing at all. 다음 학습부터는 인코딩이 아예 없습니다.",
        hints={
            11.1: "That is 912 / 82, but the first pass is still slow. 첫 번째 한 번은 여전히 느립니다.",
            20.0: "Reading features takes time, too. 특징을 읽는 데도 시간이 걸립니다.",
        },
    )
)
assert speeds["memory"] > speeds["file"] > 3 * speeds["no cache"]
