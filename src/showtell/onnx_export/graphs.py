"""Write a model as ONNX graphs, with all that their reader must know in a JSON beside them.

Normalisation is part of the graphs, and so is the rounding of features to what the store keeps, so that the
graphs get what the training got.
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from showtell import errors
from showtell.data import pixels
from showtell.engines.onnx import GraphSource, write_graph
from showtell.kinds.model import Model
from showtell.runs.records import save_record

if TYPE_CHECKING:  # imports onnxruntime, which is an extra
    from showtell.onnx_export.description import Description

DESCRIPTION, SCRIPT, PIXELS = "model.json", "run.py", "showtell_pixels"


def write_graphs(model: Model[Any], folder: Path) -> "Description":
    """Write a model's graphs, ``model.json`` and ``run.py``.

    Args:
        model: On the CPU.
        folder: Where to; it exists.

    Returns:
        The content of ``model.json``.

    Raises:
        ModelError: The exporter cannot write this model.
    """
    config, description = model.config, model.backbone.description
    graphs, of_kind = model.graphs()
    about: Description = {
        "kind": config.kind,
        "backbone": description.architecture,
        "weights": description.weights,
        "preprocessing": asdict(description.preprocessing),
        "pixels": "(batch, 3, height, width), uint8, RGB; mean and std are applied inside the graph",
        "provenance": asdict(config.provenance),
        "files": {graph.name: f"{graph.name}.onnx" for graph in graphs},
        "purposes": {graph.name: graph.purpose for graph in graphs},
    }
    about.update(cast("Description", of_kind))
    for graph in graphs:
        module = graph.module.eval()
        source = GraphSource(description.architecture, module, graph.inputs, graph.outputs, graph.rows)
        write_graph(source, folder / about["files"][graph.name], _metadata(about))
    save_record(folder / DESCRIPTION, about)
    _copy_script(folder)
    return about


def _metadata(about: "Description") -> dict[str, str]:
    """Return what a graph says of itself, for whoever finds it without its folder."""
    stated = {
        name: value
        for name, value in about.items()
        if name not in ("files", "purposes", "words", "provenance")
    }
    return {
        f"showtell.{name}": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in stated.items()
    }


def _copy_script(folder: Path) -> None:
    """Write the script, and beside it the files that read images: the package's own, under another name."""
    shutil.rmtree(folder / PIXELS, ignore_errors=True)
    (folder / PIXELS).mkdir()
    sources = {folder / PIXELS / path.name: path for path in Path(pixels.__path__[0]).glob("*.py")}
    sources[folder / PIXELS / "errors.py"] = Path(errors.__file__)
    sources[folder / SCRIPT] = Path(__file__).with_name("runner.py")
    for target, source in sources.items():
        text = source.read_text(encoding="utf-8")
        text = text.replace("showtell.data.pixels", PIXELS).replace("showtell.errors", f"{PIXELS}.errors")
        if target.name == SCRIPT:  # its neighbours are found from wherever it is imported
            start = f"from {PIXELS}"
            text = text.replace(start, f"sys.path.insert(0, str(Path(__file__).parent))\n{start}", 1)
        target.write_text(text, encoding="utf-8")
