"""From class folders or a labels table to a classifier."""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from showtell.backbones.backbone import Backbone
from showtell.backbones.imagenet import pretraining_warning
from showtell.backbones.layers import layers_from
from showtell.console import Console, Log, human_time
from showtell.data.augment import View
from showtell.data.reading import read_annotated
from showtell.data.records import AnnotatedImage
from showtell.data.sizes import DEFAULT_SIZE
from showtell.errors import DataError
from showtell.extraction.extract import extract_features
from showtell.extraction.features import Features
from showtell.extraction.prepared import Prepared, features_for_inference, find_twins, prepare
from showtell.kinds.classifier.baselines import trivial_answers
from showtell.kinds.classifier.classes import learnable, set_aside
from showtell.kinds.classifier.evaluation import ClassEvaluation, evaluate_classes
from showtell.kinds.classifier.fine_tune import FineTuneTrainee, TunedNetwork, learning_shares
from showtell.kinds.classifier.heads import (
    Candidate,
    Examples,
    best_of,
    candidates_table,
    choose_head,
    fit_temperature,
    read_examples,
    score,
)
from showtell.kinds.classifier.model import NAME, ClassifierModel
from showtell.kinds.classifier.score_heads import fit_heads, score_by_folds, why_unscored
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.kinds.kind import Reported
from showtell.kinds.model_folder import save_model
from showtell.kinds.report import report_training
from showtell.runs.run import Run
from showtell.runtime import environment, seed_everything
from showtell.store.store import FeatureStore
from showtell.training.loop import Loop, LoopConfig
from showtell.training.tensorboard import TensorBoardLog


@dataclass(frozen=True)
class _Task:
    """What is learnt from: the images, and their features by a backbone."""

    backbone: Backbone
    extraction: Features
    classes: tuple[str, ...]
    train: tuple[AnnotatedImage, ...]
    val: tuple[AnnotatedImage, ...]
    fingerprint: str

    def check(self) -> Examples:
        """Return the features of validation."""
        return read_examples([self.extraction], self.val, self.classes)


def train_classifier(config: TrainClassifier, console: Console | None = None) -> Run:
    """Train a classifier; leave a run with a model, its record and its validation scores.

    Args:
        config: What to train on and how.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        The run: its folder, record, scores and model.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    boards = [TensorBoardLog(config.out / "tensorboard")] if config.tensorboard else []
    run = Run(config.out)
    with run.claim(config):
        _train(config, run, console or Log(), boards)
    return run


def _train(config: TrainClassifier, run: Run, console: Console, boards: Sequence[TensorBoardLog]) -> None:
    started = time.perf_counter()
    store = FeatureStore(config.store)
    backbone, prepared = _look_at_all(config, store, console)
    classes, train, val = learnable(prepared, console)
    doubt = why_unscored(prepared, train, val, classes)
    if not val:
        if config.fine_tune is not None:
            raise DataError(
                f"There is no validation image to fine-tune by: {doubt}.",
                hint="Expected images of more scenes, or training without --fine-tune.",
            )
        train, val = set_aside(train)
    leaks = find_twins(prepared)
    seed_everything(config.seed)
    resolved = {"classes": list(classes), "val": len(val)}
    fingerprint = run.start(
        config, NAME, prepared, backbone.description, resolved=resolved, leaks=leaks, console=console
    )
    used, extraction = features_for_inference(prepared, backbone, val, store, console)
    task = _Task(used, extraction, classes, train, val, fingerprint)
    views = _look_at_views(config, backbone, store, train, console)
    learn = read_examples([prepared.extraction, *views], train, classes)
    candidates = fit_heads(
        config, learn, task.check(), len(classes), folder=config.out / "heads", fingerprint=fingerprint
    )
    # A burst is right or wrong as a whole: how many groups there are says what a difference may be by chance.
    chosen = choose_head(candidates, len({prepared.groups.of[image.name] for image in val}))
    console.say(candidates_table(candidates, chosen))
    folded = None
    if config.fine_tune is None and not doubt:
        folded = score_by_folds(config, prepared, classes, console)
    if config.fine_tune is not None:
        task, chosen = _fine_tune(config, task, candidates, chosen, store, console, boards)
    model = _save(config, task, chosen, candidates, prepared, folded)
    console.say(
        f"Trained in {human_time(time.perf_counter() - started)}; the model is in {config.out / 'model'}"
    )
    if warning := pretraining_warning(classes, backbone.description.weights_source):
        console.say(f"Warning: {warning}")
    evaluation = folded
    if evaluation is None and prepared.split("val"):
        groups = prepared.groups.of
        evaluation = evaluate_classes(
            model, task.extraction, val, leaks=leaks, groups=groups, console=console, split="val"
        )
        trivial = trivial_answers(read_examples([prepared.extraction], train, classes), task.check())
        evaluation = evaluation.against(trivial, doubt)
    reported = Reported(run, model, prepared.dataset, "val", config, evaluation)
    _tell(reported, evaluation, doubt, console)


def _tell(reported: Reported, evaluation: ClassEvaluation | None, doubt: str, console: Console) -> None:
    """Say how good the model is, or why that is not known, and keep it."""
    if evaluation is not None:
        reported.run.save_evaluation(evaluation.record(), evaluation.lines())
        console.say(evaluation.table())
        if examples := evaluation.examples():
            console.say(examples)
        console.say(f"{'No score to go by' if doubt else 'Validation'}: {evaluation.verdict}")
        report_training(reported, console)
    if doubt:
        console.say(
            f"Warning: how good the model is cannot be said: {doubt}. Images of more scenes, or a val folder "
            "of other scenes beside train, would tell"
        )
    console.say(f"Try it: showtell predict {reported.run.folder} PICTURE --save-plot why.png")


def _look_at_all(config: TrainClassifier, store: FeatureStore, console: Console) -> tuple[Backbone, Prepared]:
    """Read the data, load the backbone, and look at every image that has not been looked at."""
    dataset = read_annotated(config, "labels", console, to_learn=True)
    backbone = config.load(seed=config.seed, console=console)
    if config.fine_tune is not None:
        layers_from(backbone, config.fine_tune)  # a wrong name is better told now than after an hour
    return backbone, prepare(
        dataset,
        backbone,
        store,
        console,
        seed=config.seed,
        val_size=DEFAULT_SIZE if config.val_size is None else config.val_size,
        test_size=DEFAULT_SIZE if config.test_size is None else config.test_size,
    )


def _save(
    config: TrainClassifier,
    task: _Task,
    chosen: Candidate,
    candidates: Sequence[Candidate],
    prepared: Prepared,
    folded: ClassEvaluation | None,
) -> ClassifierModel:
    """Fit the temperature and write the model."""
    check = task.check()
    validation = {"accuracy": chosen.accuracy, "log_likelihood": chosen.log_likelihood}
    if folded is not None:
        validation = {
            "accuracy": folded.scores.accuracy,
            "folds": folded.folds,
            "groups": folded.scores.groups,
        }
    provenance = {
        "train_images": len(task.train),
        "val_images": len(task.val),
        "augmentations": config.augmentations,
        "setting": chosen.setting,
        "heads": [
            {
                "kind": one.kind,
                "setting": one.setting,
                "accuracy": one.accuracy,
                "log_likelihood": one.log_likelihood,
                "chosen": one is chosen,
            }
            for one in dict.fromkeys([*candidates, chosen])
        ],
        "validation": validation,
        "data": prepared.fingerprint,
        "warning": pretraining_warning(task.classes, task.backbone.description.weights_source),
        "environment": environment(),
    }
    temperature = fit_temperature(chosen.head(check.pooled), check.labels)
    head = chosen.head.to(task.backbone.pixel_mean.device)
    model = ClassifierModel.of(
        task.backbone, head, task.classes, temperature=temperature, provenance=provenance
    )
    return save_model(Run(config.out).model, model)


def _fine_tune(
    config: TrainClassifier,
    task: _Task,
    candidates: Sequence[Candidate],
    frozen: Candidate,
    store: FeatureStore,
    console: Console,
    boards: Sequence[TensorBoardLog],
) -> tuple[_Task, Candidate]:
    """Train the top of the backbone with the best head that has gradients; keep what validates better."""
    started = time.perf_counter()
    assert config.fine_tune is not None
    start = best_of([candidate for candidate in candidates if candidate.kind != "knn"])
    layers = layers_from(task.backbone, config.fine_tune)
    console.say(
        f"Fine-tuning {len(layers)} layers of {task.backbone.description.architecture}, from "
        f"{layers[0].name} (number {layers[0].number}) up, with the {start.kind} head"
    )
    network = TunedNetwork(copy.deepcopy(task.backbone), copy.deepcopy(start.head), layers)
    labels = read_examples([task.extraction], task.train, task.classes).labels
    trainee = FineTuneTrainee(
        network,
        task.train,
        labels,
        task.val,
        task.check().labels,
        batch_size=config.batch_size,
        seed=config.seed,
        label_smoothing=config.label_smoothing,
    )
    loop = LoopConfig(
        config.epochs,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup_epochs * trainee.steps_per_epoch,
        final_rate=config.final_rate,
        weight_decay=config.weight_decay,
        clip_norm=config.clip_norm,
        average=config.ema_decay,
        patience=config.patience,
        shares=learning_shares(network, layers, top=config.top_share, bottom=config.bottom_share),
    )
    for board in boards:
        board.show(task.val, lambda: _names(task, trainee.predicted.tolist()))
    Loop(trainee, loop, config.out, fingerprint=task.fingerprint, console=console, watchers=boards).run(
        resume=config.resume
    )
    description = task.backbone.description
    tuned = Backbone(
        network.backbone.network,
        description.preprocessing,
        architecture=description.architecture,
        model_args=description.model_args,
        weights_source=f"{description.weights_source}, fine-tuned from {layers[0].name} up",
        precision=description.precision,
    )
    after = replace(task, backbone=tuned, extraction=extract_features(task.val, tuned, store))
    head = network.head.requires_grad_(False).eval()
    seconds = time.perf_counter() - started
    setting = f"fine-tuned from {layers[0].name} up"
    found = Candidate(head, setting, *score(head, after.check()), seconds)
    chosen = best_of([found, frozen])
    console.say(candidates_table([frozen, found], chosen))
    return (after, found) if chosen is found else (task, frozen)


def _names(task: _Task, predicted: Sequence[int]) -> dict[str, str]:
    """Return the class that each validation image was given, by the image's name."""
    return {image.name: task.classes[one] for image, one in zip(task.val, predicted)}


def _look_at_views(
    config: TrainClassifier,
    backbone: Backbone,
    store: FeatureStore,
    train: Sequence[AnnotatedImage],
    console: Console,
) -> list[Features]:
    found = []
    for number in range(1, config.augmentations + 1):
        console.say(f"View {number} of {config.augmentations}")
        found.append(extract_features(train, backbone, store, view=View(number), console=console))
    return found
