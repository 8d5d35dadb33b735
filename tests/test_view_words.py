"""Which changes of a view words forbid, and that views heed it."""

from pathlib import Path

import pytest

from conftest import draw
from showtell import TrainCaptioner
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.data.augment import CAPTION_AUGMENTATION, Augmentation, View
from showtell.data.records import AnnotatedImage
from showtell.kinds.captioner.data import extract_views
from showtell.text.view_words import forbidden_changes


@pytest.mark.parametrize(
    ("caption", "changes"),
    [
        ("A dog runs.", set()),
        ("Two dogs in a red jacket", set()),
        ("A girl on the LEFT", {"flip"}),
        ("Three men stand", {"crop"}),
        ("a cat in the corner", {"crop"}),
        ("a dark room", {"light"}),
        ("a silhouette at sunset", {"light"}),
        ("five dogs on the right at night", {"flip", "crop", "light"}),
        ("a darkroom, a knight, and freight", set()),  # parts of other words
        ("개 두 마리가 달린다", set()),
        ("개 세 마리가 달린다", {"crop"}),
        ("방 구석의 고양이", {"crop"}),
        ("어두운 방", {"light"}),
        ("왼쪽의 밝은 등", {"flip", "light"}),
    ],
)
def test_words_forbid_what_would_make_them_wrong(caption, changes):
    assert forbidden_changes([caption]) == changes
    assert forbidden_changes(["a thing", caption]) == changes  # one of several captions is enough


def test_what_is_left_out_changes_nothing_and_the_rest_stays():
    for change in ("flip", "crop", "light"):
        limits = CAPTION_AUGMENTATION.without([change])
        found = [View(n, limits).changes(b"x", 100, 100) for n in range(1, 60)]
        done = {
            "flip": any(one.flip for one in found),
            "crop": any((one.rows, one.columns) != (100, 100) for one in found),
            "light": any(one.brightness != 1 or one.blend for one in found),
        }
        assert done == {name: name != change for name in done}
    assert CAPTION_AUGMENTATION.without([]) == CAPTION_AUGMENTATION


def test_an_image_is_in_views_that_leave_its_captions_true(tmp_path, store, capsys):
    captions = ["a thing", "on the left", "four things", "in the dark", "four on the left in the dark"]
    images = []
    for number, caption in enumerate(captions):
        path = Path(tmp_path / f"{number}.png")
        draw(number, 64).save(path)
        images.append(AnnotatedImage(path.name, path, (caption,)))
    backbone = load_backbone("test_resnet", "random", image_size=64)
    views = extract_views(images, TrainCaptioner(tmp_path, augmentations=2), backbone, store, Console())
    limits: dict[str, list[Augmentation]] = {image.name: [] for image in images}
    for view in views:
        assert view.view is not None
        for name in view.digests:
            limits[name].append(view.view.augmentation)
    plain = CAPTION_AUGMENTATION
    ways = [plain, plain.without(["flip"]), plain.without(["crop"]), plain.without(["light"])]
    assert list(limits.values()) == [*([one, one] for one in ways), []]
    said = capsys.readouterr().err
    assert "2 not mirrored, 2 not cropped, 2 not made lighter or darker" in said
