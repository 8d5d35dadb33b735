"""A folder of weights in timm's local format: config.json beside model.safetensors."""

from pathlib import Path

from timm.models import PretrainedCfg

from showtell.backbones.description import BackboneSpec
from showtell.backbones.known import check_arguments, check_name
from showtell.errors import WeightsError
from showtell.files import parse_json

_ELSEWHERE = frozenset({"url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source", "custom_load"})
"""What in timm's description of weights says where they lie: they lie in the folder."""


def read_local_format(folder: Path, name: str | None) -> BackboneSpec:
    """Return what a folder of weights describes.

    Args:
        folder: The folder; it may come from anybody.
        name: The network that is wanted; None for the folder's own.

    Raises:
        WeightsError: It is no such folder, holds another network, or names files or hosts elsewhere.
        ConfigError: timm knows no such network.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise WeightsError(
            f"{folder} holds no weights of a network.",
            hint="In timm's local format there is a config.json beside model.safetensors.",
        )
    try:
        config = parse_json(path.read_text(encoding="utf-8"))
        architecture = str(config["architecture"])
        pretrained_cfg, model_args = (
            dict(config.get("pretrained_cfg") or {}),
            dict(config.get("model_args") or {}),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{path} cannot be read: {error!r}.",
            hint="A folder of weights holds config.json (with architecture) beside model.safetensors.",
        ) from error
    check_name(architecture)
    check_arguments(architecture, model_args)
    if name is not None and name.split(".")[0] != architecture.split(".")[0]:
        raise WeightsError(
            f"{folder} holds weights of {architecture}, not of {name}.",
            hint="Leave --backbone out; the folder names its network.",
        )
    stated = {"num_classes": config.get("num_classes", 1000)} | pretrained_cfg
    # The folder's own description stands alone: timm's of the same architecture may speak of other sizes.
    known = PretrainedCfg.__dataclass_fields__.keys() - _ELSEWHERE
    own = {key: value for key, value in stated.items() if key in known}
    model_args.setdefault("num_classes", config.get("num_classes", 1000))
    return BackboneSpec(
        architecture,
        f"folder {folder.name}",
        _weights_file(folder),
        model_args=model_args,
        pretrained_cfg=own,
    )


def _weights_file(folder: Path) -> Path:
    for candidate in ("model.safetensors", "pytorch_model.bin"):
        if (folder / candidate).is_file():
            return folder / candidate
    raise WeightsError(f"{folder} holds no model.safetensors.")
