"""A third kind of model, image tags, made here through ``Kind`` and the registry alone."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import showtell
from serving import running
from showtell.console import Console, Log
from showtell.data.annotated import read_annotated
from showtell.data.images import open_image
from showtell.data.records import Dataset
from showtell.data.source import DataSource
from showtell.errors import ConfigError, ModelError
from showtell.extraction.prepared import prepare
from showtell.kinds.kind import KINDS, Kind, Question
from showtell.kinds.model import Card, Model, ModelConfig
from showtell.kinds.model_folder import save_model
from showtell.runs.plan import TrainingPlan
from showtell.runs.records import EvaluationRecord
from showtell.runs.run import Run
from showtell.runs.settings import TrainingSettings
from showtell.samples import draw_scene, make_scenes
from showtell.store.store import FeatureStore


@dataclass(frozen=True)
class TrainTags(TrainingSettings):
    """Train a tagger on images whose caption is a list of tags."""

    out: Path = Path("runs/tags")
    steps: int = 300


@dataclass(frozen=True, kw_only=True)
class TagsConfig(ModelConfig):
    tags: tuple[str, ...]


@dataclass(frozen=True)
class TagsResult:
    scores: Mapping[str, float]

    @property
    def text(self) -> str:
        return ", ".join(name for name, share in self.scores.items() if share > 0.5)

    def with_scores(self, scores: Mapping[str, float]) -> Self:
        return replace(self, scores=scores)

    def record(self, *, attention: bool = True) -> dict[str, Any]:
        return {"tags": dict(self.scores)}


class TagsModel(Model[TagsResult]):
    Config: ClassVar[type[ModelConfig]] = TagsConfig
    has_scores = True

    @classmethod
    def build(cls, config, backbone, folder: Path) -> Self:
        return cls(config, backbone, nn.Linear(config.backbone.pooled_dim, len(config.tags)))

    def predict(self, grid: Tensor, pooled: Tensor) -> list[TagsResult]:
        with torch.inference_mode():
            rows = self.network(pooled.float()).sigmoid().tolist()
        return [TagsResult(dict(sorted(zip(self.config.tags, row), key=lambda one: -one[1]))) for row in rows]

    def draw(self, image: Path, result: TagsResult, out: Path, known: str | None = None) -> Path:
        open_image(image).save(out)
        return out

    def summary(self) -> dict[str, Any]:
        return {"classes": list(self.config.tags)}

    def words(self) -> Iterable[str]:
        return self.config.tags

    def card(self) -> Card:
        names = ", ".join(self.config.tags)
        return Card(
            f"Tags images: {names}", ("Head: linear",), "F1 on", "Only these.", "its tags", "", "tags"
        )


@dataclass(frozen=True)
class TagsEvaluation:
    split: str
    right: np.ndarray  # (N, tags), bool
    said: tuple[dict[str, Any], ...]

    def figures(self) -> dict[str, float]:
        return {"tag_accuracy": float(self.right.mean())}

    def record(self) -> EvaluationRecord:
        return EvaluationRecord(split=self.split, images=len(self.right), scores=self.figures())

    def lines(self) -> Iterator[dict[str, Any]]:
        yield from self.said

    def table(self) -> str:
        return f"{self.split}: {self.figures()['tag_accuracy']:.3f} of all tags are right"

    def examples(self) -> str:
        return ""


class TagsKind(Kind):
    name = "tags"
    Settings = TrainTags
    Model = TagsModel

    def read(self, source: DataSource, console: Console) -> Dataset:
        return read_annotated(source, "captions", console)

    def train(self, settings: TrainTags, console: Console | None = None) -> Run:
        console, run = console or Log(), Run(settings.out)
        with run.claim(settings):
            backbone = settings.load(seed=settings.seed, console=console)
            store = FeatureStore(settings.store)
            prepared = prepare(self.read(settings, console), backbone, store, console, seed=settings.seed)
            tags = sorted({tag for image in prepared.images for tag in tags_of(image.captions)})
            run.start(
                TrainingPlan(settings, self.name, prepared, backbone.description, {"tags": tags}), console
            )
            config = TagsConfig(kind=self.name, backbone=backbone.description, tags=tuple(tags))
            model = TagsModel(config, backbone, nn.Linear(backbone.description.pooled_dim, len(tags)))
            fit(model, prepared, settings.steps)
            save_model(run.model, model)
            val = replace(prepared, images=prepared.split("val"))
            evaluation = self.evaluate(model, Question("val", val))
            run.save_evaluation(evaluation.record(), evaluation.lines())
        return run

    def evaluate(self, model: TagsModel, question: Question) -> TagsEvaluation:
        images = question.prepared.images
        pooled = torch.from_numpy(question.prepared.features.pooled(images))
        found = model.predict(pooled, pooled)
        right = [
            [(result.scores[tag] > 0.5) == (tag in tags_of(image.captions)) for tag in model.config.tags]
            for image, result in zip(images, found)
        ]
        said = tuple({"image": p.name, **result.record()} for p, result in zip(images, found))
        return TagsEvaluation(question.split, np.array(right), said)


def tags_of(captions: tuple[str, ...]) -> set[str]:
    return {tag.strip() for caption in captions for tag in caption.split(",")}


def fit(model: TagsModel, prepared, steps: int) -> None:
    images = prepared.split("train")
    pooled = torch.from_numpy(prepared.features.pooled(images)).float()
    wanted = torch.tensor([[tag in tags_of(p.captions) for tag in model.config.tags] for p in images]).float()
    optimizer = torch.optim.Adam(model.network.parameters(), 0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(model.network(pooled), wanted).backward()
        optimizer.step()


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[Run]:
    patch = pytest.MonkeyPatch()
    patch.setitem(KINDS, "tags", TagsKind())
    folder = tmp_path_factory.mktemp("tags")
    with (folder / "tags.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption"])
        for number, scene in enumerate(make_scenes(3, 90, None)):
            draw_scene(scene, 96).save(folder / f"{number}.png")
            # Several tags an image: the colours and the shapes of what it shows.
            tags = {word for group in scene.groups for word in (group.colour, group.shape)}
            rows.writerow([f"{number}.png", ", ".join(sorted(tags))])
    torch.manual_seed(0)
    settings = TrainTags(
        folder / "tags.csv",
        out=folder / "run",
        store=folder / "store",
        backbone="test_resnet",
        weights="random",
        image_size=64,
    )
    yield TagsKind().train(settings)
    patch.undo()


def test_it_is_loaded_and_asked(run):
    image = next(run.folder.parent.glob("*.png"))
    model = showtell.load(run.folder)
    found = model(image)
    assert isinstance(model, TagsModel) and set(found.scores) == set(model.config.tags)
    (said,) = showtell.predict(showtell.Predict(run.folder, (str(image),)))
    assert said.text == found.text and said.record()["tags"] == dict(found.scores)


def test_it_is_scored_on_the_split_that_the_run_kept(run):
    evaluation = showtell.evaluate(showtell.Evaluate(run.folder))
    kept = {image.name for image in run.images if image.split == "test"}
    assert evaluation.split == "test" and {line["image"] for line in run.predictions("test")} == kept
    assert run.evaluation("test", EvaluationRecord).scores == evaluation.figures()
    assert run.record.kind == "tags" and run.record.resolved["tags"] == list(
        showtell.load(run.folder).config.tags
    )


def test_it_is_served(run):
    image = next(run.folder.parent.glob("*.png"))
    model = showtell.load(run.folder)
    with running({"tags": model}) as (client, _):
        answer = client.post("/v1/predict", content=image.read_bytes()).json()
        assert answer["results"][0]["tags"].keys() == model(image).scores.keys()
        assert client.get("/v1/models").json()[0]["kind"] == "tags"


def test_what_it_lacks_is_said(run):
    with pytest.raises(ModelError, match="no report of a tags"):
        showtell.write_report(showtell.Report(run.folder))
    with pytest.raises(ConfigError, match="holds a training already"):
        TagsKind().train(replace(run.settings(TrainTags)))


def test_a_model_of_an_unknown_kind_is_named(run, monkeypatch):
    monkeypatch.delitem(KINDS, "tags")
    with pytest.raises(ModelError, match="kind 'tags' is not known"):
        showtell.load(run.folder)
