"""From class folders or a labels table to a classifier."""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from showtell.backbones.backbone import Backbone
from showtell.backbones.imagenet import pretraining_warning
from showtell.backbones.layers import layers_from
from showtell.console import Console
from showtell.data.annotated import read_annotated
from showtell.data.augment import View
from showtell.data.records import AnnotatedImage
from showtell.errors import DataError
from showtell.extraction.extract import extract_features
from showtell.extraction.features import Features
from showtell.extraction.prepared import Prepared, features_for_inference, find_leaks
from showtell.kinds.classifier.data import (
    Examples,
    HeadData,
    label_numbers,
    learnable,
    read_examples,
    set_aside,
)
from showtell.kinds.classifier.evaluation import ClassEvaluation, evaluate_classes
from showtell.kinds.classifier.fine_tune import FineTuneTask, LabelledImages, TunedClassifier
from showtell.kinds.classifier.folds import score_by_folds, why_unscored
from showtell.kinds.classifier.heads import (
    Candidate,
    best_of,
    candidates_table,
    choose_head,
    fit_heads,
    fit_temperature,
    score,
)
from showtell.kinds.classifier.model import NAME, ClassifierModel, ClassifierProvenance, FittedHead
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.kinds.classifier.verdict import trivial_answers
from showtell.kinds.fine_tune import describe_layers, lr_scales
from showtell.kinds.going_on import continued, inherit, load_start
from showtell.kinds.kind import Question, Reported
from showtell.kinds.model_folder import save_model
from showtell.kinds.training import Session, loop_config, train_in_run
from showtell.runs.plan import TrainingPlan
from showtell.runs.run import Run
from showtell.runtime import environment, seed_everything
from showtell.training.schedule import LoopConfig


@dataclass(frozen=True)
class _Data:
    """What is learnt from: the images, and their features by a backbone."""

    prepared: Prepared
    backbone: Backbone
    features: Features  # of validation, by the backbone as it is used for inference
    classes: tuple[str, ...]
    train: tuple[AnnotatedImage, ...]
    val: tuple[AnnotatedImage, ...]

    @cached_property
    def check(self) -> Examples:
        """Return the features of validation."""
        return read_examples([self.features], self.val, self.classes)


def train_classifier(settings: TrainClassifier, console: Console | None = None) -> Run:
    """Train a classifier; leave a run with a model, its record and its validation scores.

    Args:
        settings: What to train on and how.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        The run: its folder, record, scores and model.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    return train_in_run(inherit(settings), console, _train)


def _train(session: Session[TrainClassifier]) -> None:
    settings, console = session.settings, session.console
    if session.processes.count > 1 and settings.fine_tune is None:
        console.say("Heads are fitted by one process; only --fine-tune is shared by several")
    backbone, prepared = _extract_all(session)
    classes, train, val = learnable(prepared, console)
    doubt, scored = why_unscored(prepared, train, val, classes), bool(val)
    if not scored:
        if settings.fine_tune is not None:
            raise DataError(
                f"There is no validation image to fine-tune by: {doubt}.",
                hint="Expected images of more scenes, or training without --fine-tune.",
            )
        train, val = set_aside(train)
    leaks = find_leaks(prepared)
    seed_everything(settings.seed)
    resolved = {"classes": list(classes), "val": len(val)}
    plan = TrainingPlan(settings, NAME, prepared, backbone.description, resolved, leaks)
    fingerprint = session.start(plan)
    used, features = features_for_inference(
        prepared, backbone, val, session.store, console, settings.build_executor()
    )
    data = _Data(prepared, used, features, classes, train, val)
    views = _extract_views(train, backbone, session)
    learn = read_examples([prepared.features, *views], train, classes)
    heads = HeadData(learn, data.check, len(classes))
    candidates = fit_heads(heads, settings, session.run.folder / "heads")
    # A burst is right or wrong as a whole: how many groups there are says what a difference may be by chance.
    chosen = choose_head(candidates, len({prepared.groups.of[image.name] for image in val}))
    console.say(candidates_table(candidates, chosen))
    evaluation = None
    if settings.fine_tune is not None:
        data, chosen = _fine_tune(session, data, candidates, chosen, fingerprint)
    elif not doubt:
        evaluation = score_by_folds(settings, prepared, classes, console)
    provenance = _provenance(settings, data, candidates, chosen, evaluation, doubt)
    model = _save(session.run, data, chosen, provenance)
    console.say(f"Trained in {session.took}; the model is in {session.run.model}")
    if seen := pretraining_warning(classes, data.backbone.description.weights_source):
        console.say(f"Warning: {seen}")
    if evaluation is None and scored:
        validation = replace(prepared, images=val, features=data.features)
        question = Question("val", validation, leaks=leaks, console=console)
        # Both by the frozen network: a tuned one encodes in a space of its own.
        known, asked = (read_examples([prepared.features], part, classes) for part in (train, val))
        trivial = trivial_answers(known, asked)
        evaluation = evaluate_classes(model, question).against(trivial, doubt)
    reported = Reported(session.run, model, prepared.dataset, "val", settings)
    _tell(session, reported, evaluation, doubt)


def _tell(
    session: Session[TrainClassifier], reported: Reported, evaluation: ClassEvaluation | None, doubt: str
) -> None:
    """Say how good the model is, or why that is not known, and keep it."""
    console = session.console
    if evaluation is not None:
        session.run.save_evaluation(evaluation.record(), evaluation.lines())
        console.say(evaluation.table())
        if examples := evaluation.examples():
            console.say(examples)
        console.say(f"{'No score to go by' if doubt else 'Validation'}: {evaluation.verdict}")
        session.report(reported)
    if doubt:
        console.say(
            f"Warning: how good the model is cannot be said: {doubt}. Images of more scenes, or a val folder "
            "of other scenes beside train, would tell"
        )
    session.say_how_to_use()


def _extract_all(session: Session[TrainClassifier]) -> tuple[Backbone, Prepared]:
    """Read the data, load the backbone, and extract the features of every image."""
    settings, console = session.settings, session.console
    dataset = read_annotated(settings, "labels", console, to_learn=settings.from_run is None)
    dataset = continued(dataset, settings, "label", session.store, console)
    if settings.from_run is None:
        backbone = settings.load(seed=settings.seed, console=console)
    else:
        backbone = load_start(settings).backbone
    backbone = session.by_engine(backbone, dataset.images)
    if settings.fine_tune is not None:
        layers_from(backbone, settings.fine_tune)  # a wrong name is better told now than after an hour
    return backbone, session.prepare(dataset, backbone, settings.val_size, settings.test_size)


def _extract_views(
    train: Sequence[AnnotatedImage], backbone: Backbone, session: Session[TrainClassifier]
) -> list[Features]:
    found, executor = [], session.settings.build_executor()
    for number in range(1, session.settings.augmentations + 1):
        session.console.say(f"View {number} of {session.settings.augmentations}")
        view = View(number)
        found.append(
            extract_features(
                train, backbone, session.store, view=view, console=session.console, executor=executor
            )
        )
    return found


def _provenance(
    settings: TrainClassifier,
    data: _Data,
    candidates: Sequence[Candidate],
    chosen: Candidate,
    folded: ClassEvaluation | None,
    doubt: str,
) -> ClassifierProvenance:
    validation = {"accuracy": chosen.accuracy, "log_likelihood": chosen.log_likelihood}
    seen = pretraining_warning(data.classes, data.backbone.description.weights_source)
    unknown = f"Validation cannot say how good it is: {doubt}." if doubt else ""
    if doubt:  # what chose the head is no score
        validation = {}
    elif folded is not None:
        scores = folded.scores
        validation = {"accuracy": scores.accuracy, "folds": folded.folds, "groups": scores.groups}
    return ClassifierProvenance(
        train_images=len(data.train),
        val_images=len(data.val),
        data=data.prepared.fingerprint,
        validation=validation,
        environment=environment(),
        augmentations=settings.augmentations,
        setting=chosen.setting,
        heads=tuple(
            FittedHead(one.kind, one.setting, one.accuracy, one.log_likelihood, one is chosen)
            for one in dict.fromkeys([*candidates, chosen])
        ),
        warning=" ".join(filter(None, (seen, unknown))),
    )


def _save(run: Run, data: _Data, chosen: Candidate, provenance: ClassifierProvenance) -> ClassifierModel:
    """Fit the temperature and write the model."""
    check = data.check
    temperature = fit_temperature(chosen.head(check.pooled), check.labels)
    head = chosen.head.to(data.backbone.device)
    model = ClassifierModel.of(
        data.backbone, head, data.classes, temperature=temperature, provenance=provenance
    )
    return save_model(run.model, model)


def _fine_tune(
    session: Session[TrainClassifier],
    data: _Data,
    candidates: Sequence[Candidate],
    frozen: Candidate,
    fingerprint: str,
) -> tuple[_Data, Candidate]:
    """Train the top of the backbone with the best head that has gradients; keep what validates better."""
    started, settings, console = time.perf_counter(), session.settings, session.console
    assert settings.fine_tune is not None
    start = best_of([candidate for candidate in candidates if candidate.kind != "knn"])
    layers = layers_from(data.backbone, settings.fine_tune)
    network = TunedClassifier(copy.deepcopy(data.backbone), copy.deepcopy(start.head), [layers])
    console.say(f"{describe_layers(data.backbone, layers)}, with the {start.kind} head")
    train, val = (LabelledImages(each, label_numbers(each, data.classes)) for each in (data.train, data.val))
    task = FineTuneTask(network, train, val, settings, session.processes)
    session.show(data.val, lambda: _names(data, task.predicted.tolist()))
    session.loop(task, _loop_config(settings, network, task.steps_per_epoch), fingerprint)
    tuned = network.tuned_backbone()
    after = replace(
        data, backbone=tuned, features=extract_features(data.val, tuned, session.store, console=console)
    )
    head = network.head.requires_grad_(False).eval()
    seconds = time.perf_counter() - started
    found = Candidate(head, f"fine-tuned from {layers[0].name} up", *score(head, after.check), seconds)
    chosen = best_of([found, frozen])
    console.say(candidates_table([frozen, found], chosen))
    return (after, found) if chosen is found else (data, frozen)


def _loop_config(settings: TrainClassifier, network: TunedClassifier, steps_per_epoch: int) -> LoopConfig:
    scales = lr_scales(network, top=settings.top_share, bottom=settings.bottom_share)
    shared = loop_config(settings, settings.epochs, warmup_steps=settings.warmup_epochs * steps_per_epoch)
    return replace(shared, lr_scale=scales)


def _names(data: _Data, predicted: Sequence[int]) -> dict[str, str]:
    """Return the class that each validation image was given, by the image's name."""
    return {image.name: data.classes[one] for image, one in zip(data.val, predicted)}
