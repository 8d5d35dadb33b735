"""What timm may be asked to build: networks that it knows, by what is a property of a network."""

import difflib
from collections.abc import Mapping

import timm

from showtell.data.names import few
from showtell.errors import ConfigError, WeightsError

_OF_CREATION = frozenset(
    {"checkpoint_path", "cache_dir", "features_only", "scriptable", "exportable", "no_jit"}
)
"""What timm's ``create_model`` takes for itself, besides ``pretrained...``: files, hosts, other outputs."""


def check_name(name: str) -> None:
    """Refuse what is no network of timm; a name with a scheme would have timm contact a hub.

    Raises:
        ConfigError: timm knows no such network, or no such weights; the message names similar ones.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), 5) or timm.list_models(f"*{name}*")[:5]
        raise ConfigError(
            f"timm {timm.__version__} knows no network {name!r}.",
            hint=f"Similar names: {', '.join(near)}." if near else "timm.list_models() names all of them.",
        )
    tags = timm.list_pretrained(f"{name.split('.')[0]}.*")
    if "." in name and name not in tags:
        raise ConfigError(
            f"timm {timm.__version__} knows no weights {name!r}.",
            hint=f"It knows {few(tags, 8)}." if tags else f"Call it {name.split('.')[0]}.",
        )


def check_arguments(name: str, model_args: Mapping[str, object]) -> None:
    """Refuse arguments, which anybody may have written, that have timm open a file or contact a host.

    Raises:
        WeightsError: They do.
    """
    wrong = [one for one in model_args if one.startswith("pretrained") or one in _OF_CREATION]
    if wrong:
        raise WeightsError(
            f"The description of {name} sets {few(wrong, 5)}, which is no property of a network.",
            hint="Take a folder whose config.json says how the network is built, and nothing else.",
        )
