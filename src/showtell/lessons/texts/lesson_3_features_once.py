# %% [markdown]
# # 3. Features once: why showtell is fast
#
# The notes that showtell grew out of trained on 82 images a second without a cache, on 912 from files, and
# on 3,445 from memory. Nothing about the model differed: only *where the features came from*. You repeat
# the experiment here and measure it on this machine.
#
# showtell의 바탕이 된 공부 노트에서는 캐시 없이 1초에 82장, 파일에서 912장, 메모리에서 3,445장을
# 학습했습니다. 모델은 똑같았습니다. 다른 것은 *특징을 어디서 가져오는가*뿐이었습니다. 그 실험을 이
# 컴퓨터에서 다시 재어 봅니다.

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
# 160 drawn images in class folders, and MobileNetV2 with *random* weights: this lesson is about time, and a
# network that knows nothing takes just as long as one that knows ImageNet.
#
# ## 데이터와 신경망
#
# 그린 사진 160장이 클래스 폴더에 있고, 신경망은 가중치가 *무작위*인 MobileNetV2입니다. 이 강의는 시간에
# 대한 것이고, 아무것도 모르는 신경망도 ImageNet을 아는 신경망과 똑같이 시간이 걸립니다.

# %%
desk = Path(tempfile.mkdtemp())
scenes = write_classes_dataset(desk / "photos", count=160, seed=0)
names = sorted(scenes)
shapes = sorted({scene.groups[0].shape for scene in scenes.values()})
labels = torch.tensor([shapes.index(scenes[one].groups[0].shape) for one in names])  # (160,)
backbone = load_backbone("mobilenetv2_100", "random")
print(f"{len(names)} images of {', '.join(shapes)}")

# %% [markdown]
# ## A step of training
#
# The network describes an image by a *grid* of 7 x 7 cells with 1280 numbers each; their mean is the
# *pooled* feature. A linear model learns from batches of it, (B, 1280). A step is the same wherever the
# features come from.
#
# ## 학습의 한 걸음
#
# 신경망은 사진을 7 x 7칸의 *격자*(grid)로 나타내고, 칸마다 숫자가 1280개 있습니다. 그 평균이 *pooled*
# 특징입니다. 선형 모델이 그 배치 (B, 1280)에서 배웁니다. 특징을 어디서 가져오든 걸음은 똑같습니다.


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
# Every epoch decodes every image and runs the network on it, although both give the same numbers each time.
#
# ## 캐시 없이
#
# 에포크마다 모든 사진을 디코딩하고 신경망을 실행합니다. 매번 똑같은 숫자가 나오는데도 그렇게 합니다.


# %%
def encode(batch):
    pixels = torch.stack([backbone.pixels(desk / "photos" / one) for one in batch])  # (B, 3, 224, 224), uint8
    _, pooled = backbone(pixels)  # the grid, (B, 49, 1280), and its mean, (B, 1280)
    return pooled.float().clone()


speeds = {"no cache": train_epoch(encode)}
print(f"no cache: {speeds['no cache']:,.0f} images/s")

# %% [markdown]
# ## From files
#
# showtell encodes each image once and keeps the features in its *store*. Whoever asks for them again, in
# this run or the next, gets them from there.
#
# ## 파일에서
#
# showtell은 사진을 한 번만 인코딩하고 특징을 *저장소*(store)에 둡니다. 이번 학습이든 다음 학습이든, 다시
# 찾으면 거기서 가져옵니다.

# %%
settings = {"backbone": "mobilenetv2_100", "weights": "random", "store": desk / "store"}
first = showtell.features(desk / "photos", **settings)
print(f"first time:  {first.computed} images encoded in {first.seconds:.1f} s")
second = showtell.features(desk / "photos", **settings)
print(f"second time: {second.computed} images encoded")
assert (first.computed, second.computed) == (len(names), 0)


def read(batch):
    return torch.from_numpy(second.pooled(batch).astype(np.float32))  # kept as float16


speeds["file"] = max(train_epoch(read) for _ in range(5))
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
assert torch.allclose(encode(names[:4]), recall(names[:4]), atol=1e-2, rtol=1e-2)

# %% [markdown]
# ## What a cache must never do
#
# Give you features of another image, or made in another way. showtell's store does not go by names: an
# image is known by its *content*, and everything that shapes features (weights, layer, preprocessing) is
# part of the address. Rename an image: nothing is encoded. Change the size of the input: everything is.
#
# ## 캐시가 절대로 하면 안 되는 것
#
# 다른 사진의 특징이나 다른 방법으로 만든 특징을 내주는 것입니다. showtell의 저장소는 이름을 보지 않습니다.
# 사진은 *내용*으로 알아보고, 특징을 결정하는 모든 것(가중치, 층, 전처리)이 주소의 일부입니다. 사진의 이름을
# 바꾸면 아무것도 다시 인코딩하지 않습니다. 입력 크기를 바꾸면 모두 다시 인코딩합니다.

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
# ## 그림

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
# With the numbers of the notes: 8,000 images, 20 epochs. Without a cache that is 20 times 8,000 images at
# 82 a second. With files it is once 8,000 images at 82 a second, and then 20 times 8,000 at 912. **How many
# times as long does the first take?**
#
# ## 질문
#
# 노트의 숫자로 계산해 봅시다. 사진 8,000장, 20에포크입니다. 캐시가 없으면 1초에 82장씩 8,000장을 20번
# 합니다. 파일이 있으면 1초에 82장씩 8,000장을 한 번, 그다음 912장씩 8,000장을 20번 합니다. **앞의 것이 몇
# 배 걸립니까?**

# %%
answer = None  # a number

without = 20 * 8000 / NOTES["no cache"]
cached = 8000 / NOTES["no cache"] + 20 * 8000 / NOTES["file"]
print(
    check(
        answer,
        round(without / cached, 1),
        within=0.2,
        why=f"{without / 60:.0f} minutes against {cached / 60:.1f}; and the second training, with other "
        "settings, encodes nothing at all. 두 번째 학습부터는 인코딩이 아예 없습니다.",
        hints={
            11.1: "That is 912 / 82; but the first pass is still slow. 첫 번째 한 번은 여전히 느립니다.",
            20.0: "Reading features takes time, too. 특징을 읽는 데도 시간이 걸립니다.",
        },
    )
)
assert speeds["memory"] > speeds["file"] > 3 * speeds["no cache"]
