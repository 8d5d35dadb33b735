"""Write a model for other programs, and check it against the original before it is called done."""

import shlex
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from showtell.console import Console, Log, human_bytes
from showtell.data.records import AnnotatedImage
from showtell.engines.onnx import need_onnx
from showtell.errors import ConfigError, DataError, ImageError, ModelError
from showtell.evaluation.cider import CiderD
from showtell.files import parse_json
from showtell.kinds.kind import find_kind
from showtell.kinds.model import Model
from showtell.kinds.model_folder import load
from showtell.onnx_export.graphs import DESCRIPTION, SCRIPT, write_graphs
from showtell.onnx_export.images import CheckImages, choose_images
from showtell.onnx_export.settings import Export
from showtell.runs.records import save_record

if TYPE_CHECKING:
    from showtell.onnx_export.check import Answer, Answers
    from showtell.onnx_export.description import Description

UNCHECKED = "UNCHECKED.txt"
"""A file that says, as long as it is there, that nobody knows whether the folder is right."""
_BATCH = 4
"""Images that are tried as one batch."""


def export(config: Export, console: Console | None = None) -> dict[str, object]:
    """Export a model.

    Args:
        config: Which run, and where to.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        The result of the check, as kept in ``model.json``.

    Raises:
        ShowtellError: Something the user can mend; or the export says something else than the original, and
            its folder is marked as unchecked.
    """
    console = console or Log()
    need_onnx("showtell export")
    model = load(config.run, device="cpu", beam_size=config.beam_size, precision="float32", console=console)
    model, left_out = model.for_graphs()
    if left_out:
        console.say(left_out)
    if len(model.backbone.inputs) > 1:
        inputs = ", ".join(f"{one.width}x{one.height} {one.interpolation}" for one in model.backbone.inputs)
        raise ModelError(
            f"{config.run} cannot be exported: its networks take different pixels ({inputs}), and a graph "
            "takes one image.",
            hint="Networks of one interpolation can be trained with one image_size.",
        )
    with tempfile.TemporaryDirectory() as drawn:
        chosen = choose_images(config, find_kind(model.config.kind), Path(drawn), console)
        folder = _claim(config)
        console.say(f"Writing {folder}")
        about = write_graphs(model, folder)
        if config.int8:
            _write_int8(model, folder, about, chosen, console)
        try:
            about["check"] = _check(model, folder, chosen, console)
        except ModelError as error:
            (folder / UNCHECKED).write_text(f"The check failed: {error.what}\n", encoding="utf-8")
            raise
    save_record(folder / DESCRIPTION, about)
    (folder / "README.md").write_text(export_readme(about, folder), encoding="utf-8")
    (folder / UNCHECKED).unlink()
    console.say(f"Done: python {shlex.quote(str(folder / SCRIPT))} PICTURE")
    return {"out": str(folder), **about["check"]}


def _claim(config: Export) -> Path:
    """Make the folder, empty of an earlier export, and marked until the check is passed.

    Raises:
        ConfigError: It holds something else.
    """
    # A folder of the name of a timm network would from then on be taken for a run, in the network's place.
    own = config.run / "onnx" if config.run.exists() else Path(f"{config.run.name}-onnx")
    folder = config.out or own
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder} is a file.", hint="Expected a folder.")
    ours = [folder / name for name in (UNCHECKED, DESCRIPTION, SCRIPT, "README.md")] + [
        *folder.glob("*.onnx")
    ]
    if folder.is_dir() and any(folder.iterdir()) and not (ours[0].exists() or _is_export(ours[1])):
        raise ConfigError(f"{folder} holds other files.", hint="Name another folder by --out.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / UNCHECKED).write_text("The check is not finished.\n", encoding="utf-8")
    for path in ours[1:]:
        path.unlink(missing_ok=True)
    return folder


def _is_export(description: Path) -> bool:
    """Say whether a file describes an export of ours: a ``model.json`` is of other programs, too."""
    try:
        about = parse_json(description.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and {"preprocessing", "purposes"} <= about.keys()


def _write_int8(
    model: Model[Any],
    folder: Path,
    about: "Description",
    chosen: CheckImages,
    console: Console,
) -> None:
    from showtell.engines.int8 import quantise_decoder, quantise_encoder

    pixels = []
    for path in chosen.calibration:
        try:
            pixels.append(model.pixels(path).numpy())
        except ImageError as error:
            console.say(f"Left out: {error.what}")
    if not pixels:
        raise DataError(f"No image to calibrate with can be read ({chosen.source}).")
    about["int8_files"] = {part: f"{part}.int8.onnx" for part in about["files"]}
    for part, file in about["int8_files"].items():
        if part == "decoder":
            quantise_decoder(folder / about["files"][part], folder / file)
        else:
            quantise_encoder(folder / about["files"][part], folder / file, pixels)
    save_record(folder / DESCRIPTION, about)


def _check(model: Model[Any], folder: Path, chosen: CheckImages, console: Console) -> dict[str, Any]:
    """Ask the original and the export about every image, and say how far they agree.

    Raises:
        ModelError: The export says something else.
        DataError: No image can be read.
    """
    # Imports onnxruntime, which is an extra.
    from showtell.onnx_export import check as onnx_check
    from showtell.onnx_export.runner import ExportedModel

    images = _readable(model, chosen, console)
    threads = torch.get_num_threads()  # as many as the original has
    graphs = ExportedModel(folder, threads=threads)
    onnx_check.check_batches(graphs, model, [image.path for image in images[:_BATCH]])
    askers = {
        "original": onnx_check.original(model),
        "graphs": onnx_check.exported(graphs, model),
        "script": onnx_check.exported(graphs, None),
    }
    if "int8_files" in graphs.about:
        askers["int8"] = onnx_check.exported(ExportedModel(folder, int8=True, threads=threads), model)
    answers: dict[str, dict[Path, Answer]] = {name: {} for name in askers}
    with console.bar(len(images), "checking", "images") as bar:
        for image in images:
            for name, ask in askers.items():
                answers[name][image.path] = ask(image.path)
            bar.update(1)
    record: dict[str, Any] = {"images": len(images), "source": chosen.source}
    for name, found in answers.items():
        compared = onnx_check.agreement(answers["original"], found)
        milliseconds = 1000 * statistics.median(answer.seconds for answer in found.values())
        record[name] = asdict(compared) | {"milliseconds": milliseconds} | _score(images, found)
    about = cast("Description", graphs.about | {"check": record})
    for line in check_lines(about, folder):
        console.say(line)
    onnx_check.require(
        onnx_check.agreement(answers["original"], answers["graphs"]), has_scores=model.has_scores
    )
    return record


def _readable(model: Model[Any], chosen: CheckImages, console: Console) -> list[AnnotatedImage]:
    """Leave out what cannot be read, and say so.

    Raises:
        DataError: Nothing is left.
    """
    found = []
    for image in chosen.check:
        try:
            model.pixels(image.path)
            found.append(image)
        except ImageError as error:
            console.say(f"Left out: {error.what}")
    if not found:
        raise DataError(f"None of the {len(chosen.check)} {chosen.source} can be read.")
    return found


def _score(images: Sequence[AnnotatedImage], answers: "Answers") -> dict[str, float]:
    """Score answers where it is known what is right: CIDEr-D of captions, accuracy of classes."""
    captioned = [image for image in images if image.captions]
    if captioned:
        references = {image.name: image.captions for image in captioned}
        captions = {image.name: answers[image.path].text for image in captioned}
        return {"cider_d": float(np.mean(CiderD(references).score(captions)))}
    labelled = [image for image in images if image.label is not None]
    if labelled:
        return {"accuracy": float(np.mean([answers[p.path].text == p.label for p in labelled]))}
    return {}


_SCORES = {"cider_d": "CIDEr-D", "accuracy": "accuracy"}


def check_lines(about: "Description", folder: Path) -> list[str]:
    """Say what the check found, and what the files cost.

    Args:
        about: The content of ``model.json``, with its ``check``.
        folder: Where the files are.
    """
    check = about["check"]
    ways = {name: check[name] for name in ("graphs", "script", "int8") if name in check}
    lines = [f"Against the original, on {check['images']:,} {check['source']}:"]
    lines += [f"  {_NAMES[name]:<28} {_agreement('classes' in about, way)}" for name, way in ways.items()]
    scored = {name: check[name] for name in ("original", *ways)}
    for key, title in _SCORES.items():
        if key in check["original"]:
            figures = ", ".join(f"{way[key]:.4f} {name}" for name, way in scored.items())
            lines.append(f"  {title:<28} {figures}")
    times = ", ".join(f"{way['milliseconds']:.1f} {name}" for name, way in scored.items() if name != "script")
    lines.append(f"  {'milliseconds an image':<28} {times}; one at a time, reading aside")
    sizes = {"graphs": about["files"], "int8": about.get("int8_files", {})}
    taken = {
        name: sum((folder / file).stat().st_size for file in files.values()) for name, files in sizes.items()
    }
    lines.append(f"  {'size':<28} " + ", ".join(f"{human_bytes(n)} {name}" for name, n in taken.items() if n))
    return lines


_NAMES = {
    "graphs": "graphs, same pixels",
    "script": "run.py, resized by Pillow",
    "int8": "int8 graphs, same pixels",
}


def _agreement(classes: bool, way: Mapping[str, float]) -> str:
    what, numbers = ("class", "probabilities") if classes else ("caption", "log-probabilities")
    return (
        f"the same {what} for {way['same']:,} of {way['images']:,}; "
        f"{numbers} differ by {way['largest_difference']:.2g} at most"
    )


def export_readme(about: "Description", folder: Path) -> str:
    """Return the README of an export."""
    files = "\n".join(f"- `{file}`: {about['purposes'][part]}" for part, file in about["files"].items())
    smaller = about.get("int8_files")
    int8 = (
        f"\n- `{'`, `'.join(smaller.values())}`: the same in 8-bit integers (`run.py --int8`)"
        if smaller
        else ""
    )
    lines = "\n".join(f"    {line}" for line in check_lines(about, folder))
    return f"""# A {about["kind"]} made with showtell, as ONNX

    pip install onnxruntime pillow numpy
    python run.py PICTURE...

{files}{int8}
- `model.json`: how images become pixels, how numbers become words, and what the check found
- `run.py`: a short program that does all of it; import `ExportedModel` from it, or read how it is done
- `showtell_pixels`: how it reads images, the package's own code; HEIC needs `pip install pillow-heif`

Pixels are (batch, 3, height, width), uint8, RGB; mean and standard deviation are applied inside the graph.
Batches may be of any size.

{lines}
"""
