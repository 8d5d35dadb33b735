"""Fetch a model from the Hugging Face Hub, and check it before it counts as one."""

import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from showtell.console import Console, Log, human_bytes
from showtell.errors import ConfigError, HubError, ModelError
from showtell.files import new_folder
from showtell.hub.hub import BESIDES, FILES, NEEDED, bars, check_name, connect, explained, file_names
from showtell.hub.settings import Pull
from showtell.kinds.base import Model
from showtell.kinds.model_folder import load_model

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

_PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".h5", ".keras"}


def pull(config: Pull, console: Console | None = None) -> dict[str, object]:
    """Fetch a model from the Hub, and check it.

    Args:
        config: Which model, and where to put it.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        ``name``, ``commit``, ``out``, and ``files`` with their bytes.

    Raises:
        ShowtellError: Something the user can mend, said in its message. Nothing is left behind.
    """
    console = console or Log()
    check_name(config.name)
    if config.out.exists() and (not config.out.is_dir() or any(config.out.iterdir())):
        raise ConfigError(f"{config.out} exists already.", hint="Name a new folder.")
    with explained(config.name):
        api = connect(config.endpoint)
        there = api.model_info(config.name, revision=config.revision, files_metadata=True)
    sizes = _offered(there, config.name)
    commit = str(there.sha)
    config.out.absolute().parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(config.out.absolute().parent).free
    total = sum(sizes.values())
    console.say(f"{config.name}, commit {commit[:12]}, {human_bytes(total)}, goes to {config.out}")
    if total > free:
        raise ConfigError(f"{config.name} needs {human_bytes(total)}; there are {human_bytes(free)} free.")
    with new_folder(config.out.absolute()) as partial:
        with explained(config.name), bars(console):
            for file in sizes:
                api.hf_hub_download(config.name, file, revision=commit, local_dir=partial)
        shutil.rmtree(partial / ".cache", ignore_errors=True)  # the client's own notes
        model = _check_model(partial, config.name)
    console.say(f"A {model.config.kind}, whole and sound. Try it: showtell predict {config.out} PICTURE")
    return {"name": config.name, "commit": commit, "out": str(config.out), "files": sizes}


def _offered(there: "ModelInfo", name: str) -> dict[str, int]:
    """Return the files to fetch and their bytes.

    Raises:
        HubError: It is no model of showtell, or more than that.
    """
    files = file_names(there)
    if pickles := sorted(file for file in files if PurePosixPath(file).suffix.lower() in _PICKLES):
        raise HubError(
            f"{name} holds {', '.join(pickles[:5])}, which could run code when opened. Nothing was fetched.",
            hint="Expected a model that showtell push has sent.",
        )
    if foreign := sorted(set(files) - {*FILES, *BESIDES}):
        raise HubError(
            f"{name} holds files that are not part of a model: {', '.join(foreign[:5])}. "
            "Nothing was fetched.",
            hint="Expected a model that showtell push has sent.",
        )
    if missing := [file for file in NEEDED if file not in files]:
        raise HubError(f"{name} is not a model of showtell: it has no {' and no '.join(missing)}.")
    return {s.rfilename: int(s.size or 0) for s in there.siblings or () if s.rfilename in FILES}


def _check_model(folder: Path, name: str) -> Model[Any]:
    try:
        return load_model(folder)
    except ModelError as error:
        reason = error.what.replace(str(folder), name)
        raise ModelError(f"{reason} Nothing was kept.", hint="Ask who sent it to push it again.") from error
