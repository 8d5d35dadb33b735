"""Send a model to the Hugging Face Hub, with a card written from its run."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from showtell import __version__
from showtell.console import Console, Log, human_bytes
from showtell.data.records import SPLITS
from showtell.errors import HubError
from showtell.hub.hub import BESIDES, FILES, bars, check_name, connect, explained, file_names
from showtell.hub.settings import Push
from showtell.kinds.base import Model
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
        path.write_text(_written_card(config, model, config.name), encoding="utf-8")
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
        raise HubError(f"You cannot write to {owner}.", hint=f"Your token speaks for {', '.join(owners)}.")
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
    if foreign := sorted(set(file_names(there)) - {*FILES, *BESIDES}):
        raise HubError(
            f"{name} exists and holds other things: {', '.join(foreign[:5])}.", hint="Name another."
        )


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
    total = human_bytes(sum(sizes.values()))
    return [title, *files, f"{total} in all, and in them {model.card().contents}; no image, no caption"]


def _card(config: Push, folder: Path, model: Model[Any], name: str) -> str:
    path = folder / "README.md"
    own = path.read_text(encoding="utf-8") if path.is_file() else ""
    if not is_hub_card(own):
        return _written_card(config, model, name)
    return with_license(own, config.license) if config.license else own


def _written_card(config: Push, model: Model[Any], name: str) -> str:
    return hub_card(model, name, _origin(Run(config.run)), config.license)


def _origin(run: Run) -> Origin:
    """Return what the run tells of its model; nothing where the model is all that is left of it."""
    splits = Counter(image.split for image in run.images) if run.has_images else Counter()
    return Origin(
        {split: splits[split] for split in SPLITS if splits[split]},
        [run.evaluation(split, EvaluationRecord) for split in run.evaluated("test", "val")],
    )
