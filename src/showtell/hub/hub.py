"""The Hugging Face Hub: reach it, know what a model consists of there, and say in words what went wrong."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from showtell import __version__
from showtell.console import Console
from showtell.errors import ConfigError, HubError, ShowtellError

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import ModelInfo

NEEDED = ("config.json", "model.safetensors")
FILES = (*NEEDED, "tokenizer.json", "memory.json", "README.md")
"""All that a model consists of."""
BESIDES = {".gitattributes", ".gitignore", "LICENSE", "LICENSE.md", "LICENSE.txt"}
"""What may lie beside a model on the Hub; it stays there."""
_WAIT = 10.0
"""Seconds for the Hub's first answer."""


def connect(endpoint: str | None) -> "HfApi":
    """Return the Hub's client once the Hub has answered: the client alone would try for a minute.

    Raises:
        HubError: It does not answer.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled
    from huggingface_hub.utils import get_session

    api = HfApi(endpoint=endpoint, library_name="showtell", library_version=__version__)
    try:
        get_session().head(api.endpoint, timeout=_WAIT)
    except OfflineModeIsEnabled as error:
        raise HubError(
            "HF_HUB_OFFLINE is set, so the Hub is not contacted.", hint="Unset HF_HUB_OFFLINE first."
        ) from error
    except Exception as error:  # whatever the client's transport raises
        raise HubError(
            f"The Hub at {api.endpoint} cannot be reached: {_reason(error)}.",
            hint="Without a network, copy the model's folder: it is a few plain files.",
        ) from error
    return api


def check_name(name: str) -> None:
    """Refuse what cannot be a name on the Hub.

    Raises:
        ConfigError: The name is not valid there.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ConfigError(
            f"{name!r} is not a name on the Hub.",
            hint="Expected Latin letters, digits, -, _ and .: my-cats, or owner/my-cats.",
        ) from error


def file_names(there: "ModelInfo") -> list[str]:
    """Return the paths of all files of a repository."""
    return [sibling.rfilename for sibling in there.siblings or ()]


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn the errors of the Hub's client into ours."""
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        yield
    except ShowtellError:
        raise
    except RevisionNotFoundError as error:
        raise HubError(f"{name} has no such revision.") from error
    except RepositoryNotFoundError as error:
        raise HubError(
            f"There is no model {name} on the Hub, or it is private and not for you.",
            hint="Check its name and its owner; for a private one, log in.",
            run="hf auth login",
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise HubError(
            f"The Hub refused ({status}): {error.server_message or _reason(error)}",
            hint="Does your token have the right to write?" if status in (401, 403) else "",
        ) from error
    except Exception as error:  # a lost connection, in whatever form; a card that the Hub finds faulty
        raise HubError(f"{name} did not go through: {_reason(error)}.") from error


@contextmanager
def bars(console: Console) -> Iterator[None]:
    """Let the client show its progress only where a console is wanted."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hide = console.quiet and not are_progress_bars_disabled()
    if hide:
        disable_progress_bars()
    try:
        yield
    finally:
        if hide:
            enable_progress_bars()


def _reason(error: Exception) -> str:
    lines: Sequence[str] = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3]).rstrip(".") or type(error).__name__
