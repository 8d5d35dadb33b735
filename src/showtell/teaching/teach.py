"""Serve the page on which images are taught."""

import os
import shlex
from dataclasses import fields, replace
from pathlib import Path

from showtell.console import Console, Log, many
from showtell.data.answers import AnswerTable
from showtell.data.source import DataSource, source_of
from showtell.kinds.kind import find_kind
from showtell.runs.run import Run
from showtell.serving.serve import check_extra, open_socket, run_app
from showtell.serving.settings import Serve
from showtell.store.store import FeatureStore
from showtell.teaching.settings import Teach


def teach(config: Teach, console: Console | None = None) -> None:
    """Serve the page until told to stop. Every answer is on the disk when the page says so.

    Args:
        config: Which images, which network, and where to listen.
        console: Where to say the address; None for the log of ``showtell``.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Log()
    if config.token is None:
        config = replace(config, token=os.environ.get("SHOWTELL_TOKEN") or None)
    config = _of_run(config)
    check_extra()
    from showtell.extraction.fastest import by_fastest
    from showtell.teaching import captioning
    from showtell.teaching.app import build_teaching_app
    from showtell.teaching.caption_learner import load_captioner
    from showtell.teaching.labels import Labels
    from showtell.teaching.order import EVERY
    from showtell.teaching.pool import TABLE, Pool, read_pool
    from showtell.teaching.teaching import Teaching
    from showtell.teaching.training import Training
    from showtell.teaching.vlm import ImageToText

    with open_socket(config.host, config.port) as listening:
        root, images = read_pool(config)
        brought = {name: image.label for name, image in images.items() if image.label is not None}
        labels = Labels(root / TABLE, brought)
        known = labels.read()
        console.say(f"{root}: {many(len(images), 'image', 'images')}, {len(known):,} of them with a label")
        writer = None if config.vlm is None else ImageToText(config.vlm)
        start = None if config.run is None else load_captioner(config.run, config.device)
        backbone = config.load(console=console) if start is None else start.backbone
        store = FeatureStore(config.store)
        pool = Pool(root, images, by_fastest(backbone, list(images.values()), store, console), store)
        teaching = Teaching(pool, labels, config.classes, 1 if config.order == "random" else EVERY)
        captions = AnswerTable(root / captioning.TABLE, "caption")
        name = root.resolve().name or "taught"
        app = build_teaching_app(
            teaching,
            captioning.Captioning(pool, captions, None if start is None else start.captioner, writer),
            (
                Training("train-classifier", root / TABLE, config, Path("runs") / name),
                Training("train-captioner", captions.path, config, Path("runs") / f"{name}-captions"),
            ),
            config,
        )
        console.say(f"Answers are kept in {root / TABLE}")
        server = Serve(runs=(), host=config.host, token=config.token)
        run_app(app, listening, server, console, offered={"": "page"}, open_browser=config.open_browser)
    count = len(labels.read())
    console.say(f"Stopped; {many(count, 'label is', 'labels are')} in {root / TABLE}")
    console.say(f"Train on them: showtell train-classifier {shlex.quote(str(root))}")


def _of_run(config: Teach) -> Teach:
    """Return settings with the data of a run, and its captioner, where a run was given for data."""
    run = Run(config.data)
    if not run.has_images:
        return config
    kind = find_kind(run.record.kind)
    trained = source_of(run.settings(kind.Settings))
    named = {field.name: getattr(trained, field.name) for field in fields(DataSource)}
    captioner = config.run or (config.data if kind.name == "captioner" else None)
    return replace(config, **named, run=captioner)
