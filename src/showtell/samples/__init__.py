"""Images that the package draws itself, with captions from a small grammar, for the offline quickstart."""

from showtell.samples.drawing import Placed, draw_scene, place_objects
from showtell.samples.folders import write_captions_dataset, write_classes_dataset
from showtell.samples.grammar import Language, class_name, is_right, right_captions, write_captions
from showtell.samples.scenes import Group, Scene, held_out_in, make_scenes, split_of

__all__ = [
    "Group",
    "Language",
    "Placed",
    "Scene",
    "class_name",
    "draw_scene",
    "held_out_in",
    "is_right",
    "make_scenes",
    "place_objects",
    "right_captions",
    "split_of",
    "write_captions",
    "write_captions_dataset",
    "write_classes_dataset",
]
