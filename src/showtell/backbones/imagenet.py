"""ImageNet's classes: their names, and whether a data set's classes are among them."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

from timm.data import ImageNetInfo, infer_imagenet_subset
from torch import nn

_SYNSET = re.compile(r"^n\d{8}[ _-]+")
_SHARE, _MANY = 0.5, 10


@cache
def imagenet_names() -> tuple[str, ...]:
    """Return the names of the 1,000 classes in the order of logits, such as ``tabby, tabby cat``."""
    info = ImageNetInfo("imagenet-1k")
    return tuple(info.index_to_description(index) for index in range(info.num_classes()))


def class_names_of(network: nn.Module) -> tuple[str, ...]:
    """Return the names of the classes that a timm network was pretrained for, in the order of its logits.

    ImageNet-1k, -12k, -21k and -22k are told by their number of classes; others have numbers for names.
    """
    subset = infer_imagenet_subset(network)
    if subset is None:
        return tuple(f"class {index}" for index in range(network.num_classes))  # type: ignore[arg-type]
    info = ImageNetInfo(subset)
    names = [info.index_to_description(index) for index in range(info.num_classes())]
    # Two names are there twice: the crane that flies and the one that lifts, and two maillots.
    twice = {name for name, count in Counter(names).items() if count > 1}
    return tuple(
        f"{name} ({info.index_to_label_name(index)})" if name in twice else name
        for index, name in enumerate(names)
    )


def names_in_imagenet(classes: Iterable[str]) -> list[str]:
    """Return the classes that bear the name of a class of ImageNet, such as ``n02088094-Afghan_hound``."""
    known = {_key(name) for names in imagenet_names() for name in names.split(",")}
    return [name for name in classes if _key(name) in known]


def pretraining_warning(classes: tuple[str, ...], weights_source: str) -> str | None:
    """Return a warning where the backbone has likely seen this very data set, labels included.

    Args:
        classes: Of the data set.
        weights_source: Where the backbone's weights came from; of several networks, joined by "; ".
    """
    shared = names_in_imagenet(classes)
    untrained = all(source.startswith("random") for source in weights_source.split("; "))
    if untrained or len(shared) < min(_MANY, max(2, _SHARE * len(classes))):
        return None
    return (
        f"{len(shared)} of {len(classes)} classes are classes of ImageNet ({', '.join(shared[:3])}, ...), on "
        "which backbones are usually pretrained: it may have seen these very images with their labels, and "
        "then the scores flatter it. Photos of your own tell how well it really does."
    )


def _key(name: str) -> str:
    return _SYNSET.sub("", name.strip().casefold()).replace("_", " ").replace("-", " ").strip()
