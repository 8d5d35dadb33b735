# %% [markdown]
# # 8. Your own photos: from a folder to a page
#
# Everything together: photos and a table of captions, a look at what is wrong with them, a training, scores
# on photos that nobody trained on, a report, and a page on which you drop a photo. Without data of your
# own, the lesson draws some. With your own, write the path of your table into the next cell.
#
# 이제 모두 합칩니다. 사진과 캡션 표, 데이터에 잘못된 것이 없는지 보기, 학습, 학습에 쓰지 않은 사진의 점수,
# 보고서, 그리고 사진을 끌어다 놓는 페이지입니다. 자기 데이터가 없으면 강의가 그림을 그립니다. 있으면 다음
# 셀에 표의 경로를 쓰세요.

# %%
import csv
import tempfile
from importlib import resources
from pathlib import Path

import showtell
from showtell.console import Console
from showtell.data.images import open_image
from showtell.lessons.figures import panels, picture, show
from showtell.lessons.questions import check
from showtell.samples import draw_scene, make_scenes, write_captions

MINE = None  # such as "photos/captions.csv", with a row "image,caption" for each caption

# %% [markdown]
# ## A folder and a table
#
# A table needs two columns: the file and the caption. A photo may have several rows.
#
# ## 폴더와 표
#
# 표에는 두 칸이 필요합니다. 파일 이름과 캡션입니다. 사진 한 장에 여러 줄이 있어도 됩니다.

# %%
desk = Path(tempfile.mkdtemp(prefix="lesson-8-", dir="."))  # a new folder here: nothing is overwritten
table = Path(MINE) if MINE else desk / "photos" / "captions.csv"
if MINE is None:
    table.parent.mkdir()
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption"])
        for number, scene in enumerate(make_scenes(3, 240, None, related_share=0.0)):
            draw_scene(scene).save(table.parent / f"photo{number:03d}.png")
            writer.writerow([f"photo{number:03d}.png", write_captions(scene, "en")[0]])
print(table.read_text(encoding="utf-8")[:120], "...", sep="")

# %% [markdown]
# ## Look first
#
# `inspect` opens every image and reads every caption: broken files, near-duplicates, rare words, odd sizes.
# An hour here saves a day later. On the command line: `showtell inspect photos/captions.csv`.
#
# ## 먼저 보기
#
# `inspect`는 사진을 모두 열고 캡션을 모두 읽습니다. 깨진 파일, 거의 같은 사진, 드문 단어, 이상한 크기를
# 찾습니다. 여기서 쓴 한 시간이 나중의 하루를 아낍니다. 명령줄에서는 `showtell inspect
# photos/captions.csv`입니다.

# %%
found = showtell.inspect(showtell.Inspect(table, out=desk / "inspect.html"))
for finding in found.findings[:5]:
    print(f"{finding.level}: {finding.what}")

# %% [markdown]
# ## Train
#
# The images are split (train, val, test), encoded once, and a captioner learns from the features. The
# numbers here are small so that the lesson is short; without them showtell chooses by the number of images.
#
# ## 학습
#
# 사진을 나누고(train, val, test), 한 번 인코딩하고, 그 특징에서 캡션 모델이 배웁니다. 강의가 짧도록 숫자를
# 작게 했습니다. 숫자를 쓰지 않으면 showtell이 사진 수에 맞추어 고릅니다.

# %%
small = (
    {}
    if MINE
    else {
        "weights": str(resources.files("showtell") / "backbones" / "small_backbone"),
        "hidden_dim": 96,
        "dropout": 0.1,
        "epochs": 12,
        "scst_epochs": 0,
        "augmentations": 0,
        "learning_rate": 4e-3,
    }
)
settings = showtell.TrainCaptioner(table, out=desk / "run", store=desk / "store", **small)
run = showtell.train_captioner(settings, Console())

# %% [markdown]
# ## Score, once, on photos that nobody trained on
#
# Validation photos chose the best epoch, so their score is a little too good. The test photos were touched
# by nobody. Look at them once, when all is decided. (After lesson 7 a BLEU-4 near 1 should alarm you. Here
# it is true: a drawn scene has exactly one right caption. With photos of your own, expect about 0.2.)
#
# ## 학습에 쓰지 않은 사진으로, 한 번만 채점
#
# 검증 사진은 가장 좋은 에포크를 고르는 데 썼으므로 점수가 조금 높습니다. 시험 사진은 아무도 건드리지
# 않았습니다. 모든 것을 정한 다음, 한 번만 보세요. (7강을 들었다면 1에 가까운 BLEU-4가 수상할 것입니다.
# 여기서는 참입니다. 그린 장면에 맞는 캡션은 하나뿐이기 때문입니다. 여러분의 사진으로는 0.2쯤을 기대하세요.)

# %%
evaluation = showtell.evaluate(showtell.Evaluate(run.folder, split="test"))
print(evaluation.table())

# %% [markdown]
# ## Use it
#
# `showtell.load` opens the model; call it with an image. In a notebook the last line of the next cell shows
# the photo with its attention at each word.
#
# ## 쓰기
#
# `showtell.load`로 모델을 열고 사진을 넣어 부릅니다. 노트북에서는 다음 셀의 마지막 줄이 사진과 단어마다의
# 어텐션을 보여 줍니다.

# %%
model = showtell.load(run.folder)
photo = table.parent / sorted(evaluation.texts)[0]
result = model(photo)
print(f"{photo.name}: {result.text}")
result

# %% [markdown]
# Two pages are for you to open: the report of the run, and a page on which you drop photos (`showtell
# demo`, extra `serve`; nothing leaves your machine).
#
# 열어 볼 페이지가 둘 있습니다. 학습의 보고서와, 사진을 끌어다 놓는 페이지입니다(`showtell demo`, 추가 설치
# `serve`. 아무것도 이 컴퓨터를 떠나지 않습니다).

# %%
print(f"report: {run.folder / 'report.html'}")
print(f"page:   showtell demo {run.folder}")
assert (run.folder / "report.html").exists()

# %% [markdown]
# ## The picture
#
# Test photos with what the model says; green where a person said exactly the same.
#
# ## 그림
#
# 시험 사진과 모델이 한 말입니다. 사람이 쓴 것과 똑같으면 초록색입니다.

# %%
figure, axes = panels(4, 2, width=2.4, height=2.5)
for one, name in zip(axes, sorted(evaluation.texts)):
    text, people = evaluation.texts[name], evaluation.references[name]
    picture(one, open_image(table.parent / name), text)
    same = text in [caption.lower().rstrip(".") for caption in people]
    one.title.set_color("#1d7a45" if same else "#c2540a")
for one in axes[len(evaluation.texts) :]:
    one.set_axis_off()
show(figure)

# %% [markdown]
# ## A question
#
# A friend trains twenty models, scores each on the *test* photos, and reports the best score. **Is that
# score an honest guess for new photos?** Answer yes or no.
#
# ## 질문
#
# 친구가 모델 스무 개를 학습시켜 저마다 *시험* 사진으로 채점하고, 가장 좋은 점수를 보고합니다. **그 점수는
# 새 사진에 대한 정직한 짐작일까요?** yes 또는 no로 답하세요.

# %%
answer = None  # "yes" or "no"

print(
    check(
        answer,
        "no",
        why="The best of twenty is partly luck, and the test photos chose it; now they only validate. "
        "스무 개 중 최고에는 운이 섞여 있습니다. 시험 사진으로 골랐으니 이제 검증 사진이 된 셈입니다.",
        hints={"yes": "Which photos chose the model? 그 모델을 고른 것은 어느 사진이었나요?"},
    )
)
assert MINE or evaluation.figures()["cider_d"] > 1.0
