"""Score a model on a split; for a captioner, with intervals, and keep every caption."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from showtell.console import Console
from showtell.data.records import Picture
from showtell.errors import DataError
from showtell.evaluation.caption_scores import SCORE_NAMES, CaptionScores, caption_scores
from showtell.evaluation.diversity import Habits, compared_habits
from showtell.evaluation.verdict import Verdict
from showtell.extraction.features import Features
from showtell.extraction.prepared import prepare
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.captioner.teacher_forced import TeacherForced, teacher_forced
from showtell.kinds.captioner.trainee import describe_pictures
from showtell.kinds.classifier.evaluate import evaluate_classifier
from showtell.kinds.model_folder import ClassifierModel, load_model
from showtell.kinds.settings import Evaluate
from showtell.models.captioner import Captioner
from showtell.runs.picture_record import warn_of_learnt
from showtell.runs.run_folder import load_training
from showtell.runs.trained_data import read_again
from showtell.runtime import choose_device, prepare_process
from showtell.store.store import FeatureStore


@dataclass(frozen=True)
class Evaluation:
    """Captions of a split and what they score.

    Attributes:
        captions: The generated caption of each picture, by name.
        references: What people wrote, by name.
        scores: Figures with intervals.
        beam_size: Captions searched side by side.
        habits: What the captions are like as a whole.
        people: The same of one caption of people a picture.
        teacher_forced: How well the next word of people's captions is guessed.
    """

    captions: dict[str, str]
    references: dict[str, tuple[str, ...]]
    scores: CaptionScores
    beam_size: int
    habits: Habits
    people: Habits
    teacher_forced: TeacherForced

    def figures(self) -> dict[str, float]:
        """Return the figures by name, without intervals."""
        return {name: float(getattr(self.scores, name)) for name in SCORE_NAMES}

    def ranked(self) -> list[str]:
        """Return picture names from the best caption to the worst, by CIDEr-D."""
        by_name = dict(zip(self.scores.names, self.scores.per_picture["cider_d"].tolist()))
        return sorted(by_name, key=lambda name: (-by_name[name], name))


def evaluate(config: Evaluate, console: Console | None = None) -> dict[str, Any]:
    """Score a run.

    Args:
        config: Which run, data and split.
        console: Where to say what happens; None for silence.

    Returns:
        The record that was written as ``evaluation-SPLIT.json``.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Console(quiet=True)
    prepare_process()
    model = load_model(config.run, choose_device())
    if isinstance(model, ClassifierModel):
        return evaluate_classifier(config, model, console)
    trained, _ = load_training(config.run, TrainCaptioner)
    data = read_again(
        config.run,
        trained,
        console,
        advice=f"showtell evaluate {shlex.quote(str(config.run))} DATA",
        data=config.data,
        images=config.images,
        store=config.store,
    )
    dataset, splits, own = data.dataset, data.splits, data.is_own
    if own:
        split: str = config.split or ("test" if "test" in splits.values() else "val")
        asked = [picture for picture in dataset.pictures if splits.get(picture.name) == split]
    else:
        split = config.split or "all"
        asked = [picture for picture in dataset.pictures if config.split in (None, picture.split)]
    asked = [picture for picture in asked if picture.captions]
    if not asked:
        raise DataError(f"The {split} split of {dataset.source} has no picture with captions.")
    if own and split != "test":
        console.say(
            f"Scoring the {split} split, which also chose the checkpoint: a fresh test set scores lower"
        )
    beam_size = config.beam_size or model.config.beam_size
    store = FeatureStore(config.store or trained.store)
    dataset_asked = replace(dataset, pictures=tuple(asked))
    prepared = prepare(dataset_asked, model.backbone, store, console, seed=trained.seed, splits=splits)
    if not own:
        warn_of_learnt(config.run, prepared, console)
    evaluation = describe_split(
        model.captioner,
        prepared.extraction,
        prepared.pictures,
        beam_size=beam_size,
        training=[picture for picture in dataset.pictures if splits.get(picture.name) == "train"],
    )
    record = save_evaluation(config.out or config.run, split, evaluation)
    console.say(scores_table(evaluation, split))
    _say_extremes(evaluation, console)
    return record


def describe_split(
    captioner: Captioner,
    extraction: Features,
    pictures: Sequence[Picture],
    *,
    beam_size: int,
    training: Sequence[Picture] = (),
) -> Evaluation:
    """Caption pictures from their cached features and score the captions.

    Args:
        captioner: In evaluation mode.
        extraction: Holds the grids.
        pictures: What to describe, each with captions.
        beam_size: Captions searched side by side.
        training: Pictures whose captions count as learnt by rote; none where they are not known.
    """
    captions = describe_pictures(captioner, extraction, pictures, beam_size=beam_size)
    references = {picture.name: picture.captions for picture in pictures}
    known = [caption for picture in training for caption in picture.captions]
    return Evaluation(
        captions,
        references,
        caption_scores(references, captions),
        beam_size,
        *compared_habits(captions, references, known),
        teacher_forced(captioner, extraction, pictures, references),
    )


def save_evaluation(
    folder: Path, split: str, evaluation: Evaluation, verdict: Verdict | None = None
) -> dict[str, Any]:
    """Write ``evaluation-SPLIT.json`` and ``captions-SPLIT.jsonl``; return the former's content."""
    folder.mkdir(parents=True, exist_ok=True)
    scores = evaluation.scores
    record = {
        "split": split,
        "pictures": scores.count,
        "beam_size": evaluation.beam_size,
        "scores": evaluation.figures(),
        "intervals_95": {name: list(interval) for name, interval in scores.intervals.items()},
        "teacher_forced": asdict(evaluation.teacher_forced),
        "habits": {"model": asdict(evaluation.habits), "people": asdict(evaluation.people)},
    }
    if verdict is not None:
        record["verdict"] = asdict(verdict) | {"line": verdict.line}
    (folder / f"evaluation-{split}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    place = {name: i for i, name in enumerate(scores.names)}
    with (folder / f"captions-{split}.jsonl").open("w", encoding="utf-8") as file:
        for name in evaluation.ranked():
            line = {
                "picture": name,
                "caption": evaluation.captions[name],
                "references": evaluation.references[name],
                "cider_d": float(scores.per_picture["cider_d"][place[name]]),
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return record


def scores_table(evaluation: Evaluation, split: str) -> str:
    """Return the scores as a table with 95% intervals."""
    scores = evaluation.scores
    lines = [f"{split}, {scores.count:,} pictures, beam {evaluation.beam_size}      95% interval"]
    for name, value in evaluation.figures().items():
        low, high = scores.intervals[name]
        lines.append(f"  {name:<18} {value:7.4f}   {low:.4f} to {high:.4f}")
    return "\n".join(lines)


def _say_extremes(evaluation: Evaluation, console: Console, count: int = 5) -> None:
    ranked = evaluation.ranked()
    for title, names in (("Best", ranked[:count]), ("Worst", ranked[::-1][:count])):
        console.say(f"{title} captions:")
        for name in names:
            console.say(f"  {name}: {evaluation.captions[name]}")
            console.say(f"    people: {evaluation.references[name][0]}")
