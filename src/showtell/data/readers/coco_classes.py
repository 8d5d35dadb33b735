"""COCO's form of classes without boxes, as camera traps and iNaturalist have it, as records of a table."""

from collections.abc import Iterator
from typing import Any


def is_coco_of_classes(value: dict[str, Any]) -> bool:
    """Tell whether an object holds images, categories, and which category each image is of."""
    lists = [value.get(key) for key in ("images", "annotations", "categories")]
    return all(isinstance(one, list) and one and isinstance(one[0], dict) for one in lists) and (
        {"image_id", "category_id"} <= value["annotations"][0].keys()
    )


def coco_records(value: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield place and record of each annotation: what is said of its image, and the name of its category."""
    names = {one.get("id"): str(one.get("name", one.get("id"))) for one in _objects(value["categories"])}
    images = {one.get("id"): one for one in _objects(value["images"])}
    kept = {
        number: {key: cell for key, cell in one.items() if key != "id" and not isinstance(cell, dict | list)}
        for number, one in images.items()
    }
    seen = set()
    for place, one in enumerate(_objects(value["annotations"])):
        number, category = one.get("image_id"), one.get("category_id")
        seen.add(number)
        record = kept.get(number, {"file_name": f"of image_id {number!r}, which is not among the images"})
        yield f"annotations[{place}]", record | {"label": names.get(category, category)}
    for number, record in kept.items():
        if number not in seen:
            yield f"images of id {number!r}", record | {"label": ""}


def _objects(values: list[Any]) -> list[dict[str, Any]]:
    return [one for one in values if isinstance(one, dict)]
