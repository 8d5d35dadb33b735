"""Send a model to the Hugging Face Hub, with a card written from its run; fetch one, and check it first."""

import shlex
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from showtell import __version__
from showtell.console import Console, Log, human_bytes
from showtell.data.names import few
from showtell.data.records import SPLITS
from showtell.errors import ConfigError, HubError, ModelError
from showtell.files import new_folder
from showtell.hub.hub import BESIDES, FILES, NEEDED, bars, check_name, connect, explained, file_names
from showtell.hub.settings import Pull, Push
from showtell.kinds.model import Model
from showtell.kinds.model_card import Origin, hub_card, is_hub_card, with_license
from showtell.kinds.model_folder import find_model, load_model
from showtell.runs.records import EvaluationRecord
from showtell.runs.run import Run

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo


def push(config: Push, console: Console | None = None) -> dict[str, object]:
    """Send a model to the Hub.

    Args:
        config: Which model, and where to.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        ``name``, ``address``, ``private``, ``commit``, and ``files`` with their bytes; of a dry run
        ``drafted`` and ``files``.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Log()
    folder = find_model(config.run)
    check_name(config.name)
    if config.dry_run:
        model = load_model(folder)
        path = folder / "README.md"
        path.write_text(_card(config, folder, model, config.name), encoding="utf-8")
        console.say(f"Nothing was sent. The model's card is in {path}; change it, and push without --dry-run")
        return {"drafted": str(path), "files": _sizes(_contents(folder))}
    with explained(config.name):
        api = connect(config.endpoint)
        name = _full_name(api, config.name)
        there = _look_up(api, name)
    _check_place(there, name, config.public)
    model = load_model(folder)  # what is damaged is not sent
    contents = _contents(folder)
    card = _card(config, folder, model, name)
    contents["README.md"] = card.encode()
    private = bool(there.private) if there else not config.public
    state = "there already" if there else "new"
    seen = "only you and whom you let in can see it" if private else "everybody can see it"
    console.say("\n".join(_lines(f"To {name} on the Hub ({state}; {seen}):", contents, model)))
    with explained(name), bars(console):
        if there is None:
            api.create_repo(name, private=private)
        commit = api.create_commit(
            name, _operations(contents, there), commit_message=f"{model.config.kind}, showtell {__version__}"
        )
    address = f"{api.endpoint}/{name}"
    console.say(f"Sent: {address}")
    if not config.license and "\nlicense:" not in card:
        console.say("Its licence is to be filled in: there, or by --license")
    return {
        "name": name,
        "address": address,
        "private": private,
        "commit": commit.oid,
        "files": _sizes(contents),
    }


def _full_name(api: "HfApi", name: str) -> str:
    """Return a name with its owner, who must be the user or one of their organisations."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import HfHubHTTPError

    if get_token() is None:
        raise HubError("You are not logged in at the Hub.", hint=_LOG_IN, run="hf auth login")
    try:
        user = api.whoami()
    except HfHubHTTPError as error:
        raise HubError("The Hub does not know your token.", hint=_LOG_IN, run="hf auth login") from error
    owner, _, rest = name.rpartition("/")
    owners = [user["name"], *(organisation["name"] for organisation in user.get("orgs", []))]
    if owner and owner not in owners:
        raise HubError(f"You cannot write to {owner}.", hint=f"Your token is valid for {', '.join(owners)}.")
    return f"{owner or user['name']}/{rest}"


_LOG_IN = (
    "Make a token that may write, in the settings of your account there, and hand it over; or set HF_TOKEN."
)


def _look_up(api: "HfApi", name: str) -> "ModelInfo | None":
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return api.model_info(name)
    except RepositoryNotFoundError:
        return None


def _check_place(there: "ModelInfo | None", name: str, public: bool) -> None:
    """Refuse to publish by accident, and to write over what is no model of ours."""
    if there is None:
        return
    if not there.private and not public:
        raise HubError(
            f"{name} exists, and everybody can see it.",
            hint="Add --public to send the model there, or name another.",
        )
    if there.private and public:
        raise HubError(
            f"{name} exists, and is private; --public makes a new repository public, and no other.",
            hint="Make it public in its settings on the Hub, or leave --public out.",
        )
    if foreign := sorted(set(file_names(there)) - {*FILES, *BESIDES}):
        raise HubError(f"{name} exists and holds other things: {few(foreign, 5)}.", hint="Name another.")


def _contents(folder: Path) -> dict[str, bytes | Path]:
    """Return what a model consists of; whatever else lies in its folder stays there."""
    return {name: folder / name for name in FILES if (folder / name).is_file()}


def _sizes(contents: Mapping[str, bytes | Path]) -> dict[str, int]:
    return {
        name: len(value) if isinstance(value, bytes) else value.stat().st_size
        for name, value in contents.items()
    }


def _operations(contents: Mapping[str, bytes | Path], there: "ModelInfo | None") -> list[Any]:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    stale = set(file_names(there)) & set(FILES) - set(contents) if there else set()
    return [
        *(CommitOperationAdd(name, value) for name, value in contents.items()),
        *(CommitOperationDelete(name) for name in sorted(stale)),
    ]


def _lines(title: str, contents: Mapping[str, bytes | Path], model: Model[Any]) -> list[str]:
    """Return what is sent, a line per file."""
    sizes = _sizes(contents)
    files = [f"  {file:<18} {human_bytes(size):>8}" for file, size in sizes.items()]
    total, none = human_bytes(sum(sizes.values())), "no image"
    if "memory.json" not in sizes:
        none += ", no caption"
    return [title, *files, f"{total} in all, and in them {model.card().contents}; {none}"]


def _card(config: Push, folder: Path, model: Model[Any], name: str) -> str:
    path = folder / "README.md"
    try:
        own = path.read_text(encoding="utf-8") if path.is_file() else ""
        if not is_hub_card(own):
            return hub_card(model, name, _origin(Run(config.run)), config.license)
        return with_license(own, config.license) if config.license else own
    except ValueError as error:  # of UTF-8, or of the front matter that somebody has edited
        reason = " ".join(str(error).split())
        raise ModelError(f"{path} cannot be read as a model's card: {reason}.", hint="Mend it.") from error


def _origin(run: Run) -> Origin:
    """Return what the run tells of its model; nothing where the model is all that is left of it."""
    splits = Counter(image.split for image in run.images) if run.has_images else Counter()
    return Origin(
        {split: splits[split] for split in SPLITS if splits[split]},
        [run.evaluation(split, EvaluationRecord) for split in run.evaluated("test", "val")],
    )


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
    where = shlex.quote(str(config.out))
    console.say(f"A {model.config.kind}, whole and sound. Try it: showtell predict {where} PICTURE")
    return {"name": config.name, "commit": commit, "out": str(config.out), "files": sizes}


def _offered(there: "ModelInfo", name: str) -> dict[str, int]:
    """Return the files to fetch and their bytes.

    Raises:
        HubError: It is no model of showtell, or more than that.
    """
    files = file_names(there)
    if pickles := sorted(file for file in files if PurePosixPath(file).suffix.lower() in _PICKLES):
        raise HubError(
            f"{name} holds {few(pickles, 5)}, which could run code when opened. Nothing was fetched.",
            hint="Expected a model that showtell push has sent.",
        )
    if foreign := sorted(set(files) - {*FILES, *BESIDES}):
        raise HubError(
            f"{name} holds files that are not part of a model: {few(foreign, 5)}. Nothing was fetched.",
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
