"""The map of all images in the page of an inspection: its places are right, and pointer and keys use it."""

import numpy as np
import pytest

from conftest import draw, opened
from showtell import Extract, Inspect, extract, inspect
from showtell.data.records import AnnotatedImage
from showtell.inspection import image_map
from showtell.inspection.image_map import map_of, principal_plane

NETWORK = {"backbone": "test_resnet", "weights": "random", "image_size": 64}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("사진들")
    for number in range(24):
        place = folder / ("가</script>", "나", "다")[number % 3].replace("/", "∕") / f"{number:02d}.png"
        place.parent.mkdir(exist_ok=True)
        draw(number).save(place)
    return folder


def test_the_plane_is_that_of_the_singular_value_decomposition():
    vectors = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
    places, share = principal_plane(vectors)
    centred = vectors - vectors.mean(0)
    left, values, _ = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
    assert np.abs(places) == pytest.approx(np.abs(left[:, :2] * values[:2]), abs=1e-4)
    assert share == pytest.approx((values[:2] ** 2).sum() / (values**2).sum())
    again, _ = principal_plane(vectors)
    assert (again == places).all()


def test_odd_data_has_a_map_too():
    images = [AnnotatedImage(f"{n}.png", None) for n in range(3)]
    for vectors in (np.ones((3, 5)), np.zeros((3, 5)), np.arange(3.0).reshape(3, 1)):
        drawn = map_of(images, vectors.astype(np.float32), "x", "pca")
        assert np.isfinite(drawn.places).all() and (drawn.places >= 0).all() and (drawn.places <= 1).all()


def test_of_very_many_images_a_sample_is_shown_and_it_is_said(monkeypatch):
    monkeypatch.setattr(image_map, "MOST", 10)
    images = [AnnotatedImage(f"{n}.png", None) for n in range(25)]
    vectors = np.random.default_rng(0).normal(size=(25, 4)).astype(np.float32)
    drawn = map_of(images, vectors, "x", "pca")
    assert [one.name for one in drawn.images] == [f"{n}.png" for n in range(0, 25, 3)]
    assert drawn.by.endswith("; one in 3 images")


def test_umap_keeps_neighbours_together():
    pytest.importorskip("umap", reason="umap-learn is not installed")
    random = np.random.default_rng(0)
    centres = np.eye(2, 16) * 5
    vectors = np.concatenate([centre + random.normal(size=(20, 16)) * 0.3 for centre in centres])
    images = [AnnotatedImage(f"{n}.png", None) for n in range(40)]
    places = map_of(images, vectors.astype(np.float32), "x", "umap").places
    apart = np.linalg.norm(places[:20].mean(0) - places[20:].mean(0))
    assert apart > 2 * max(places[:20].std(), places[20:].std())


def test_without_features_nothing_is_extracted_and_the_page_says_how(photos, store, tmp_path, browser):
    found = inspect(Inspect(photos, out=tmp_path / "a.html", store=store.root))
    assert found.map == "" and store.spaces() == []
    with opened(browser, tmp_path / "a.html") as page:
        assert page.locator("#map").count() == 0
        assert "showtell extract" in page.locator(".facts").inner_text()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_map_is_used_by_pointer_and_by_keys(photos, store, tmp_path, browser, width, scheme):
    extract(Extract(photos, store=store.root, **NETWORK))
    out = tmp_path / "지도.html"
    found = inspect(Inspect(photos, out=out, store=store.root))
    assert found.map.startswith("features of test_resnet by PCA")
    with opened(browser, out, width=width, scheme=scheme) as page:
        canvas = page.locator("#map canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        pointed = page.locator("#map-shown").inner_text()
        assert pointed.endswith(".png")
        corners = [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99)]
        page.mouse.move(*(box[a] + box[b] * 0.01 for a, b in (("x", "width"), ("y", "height"))))
        page.mouse.down()
        for x, y in [*corners[1:], corners[0]]:
            page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y, steps=4)
        page.mouse.up()
        names = page.locator("#map textarea").input_value().split("\n")
        assert len(names) == 24 and all(name.endswith(".png") for name in names)
        assert page.locator(".tally").inner_text() == "24 listed"
        canvas.focus()
        page.keyboard.press("Escape")
        assert page.locator("#map textarea").input_value() == ""
        seen = set()
        for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp") * 2:
            page.keyboard.press(key)
            seen.add(page.locator("#map-shown").inner_text())
        assert len(seen) > 1
        page.keyboard.press("Enter")
        assert page.locator("#map textarea").input_value() in page.locator("#map-shown").inner_text()
        page.locator(".legend button").nth(1).click()
        listed = page.locator("#map textarea").input_value().split("\n")
        assert len(listed) == 8 and len({name.partition("/")[0] for name in listed}) == 1
        page.locator(".as-images").check()
        page.locator("[data-zoom='1.5']").click()
        page.wait_for_timeout(100)
        painted = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0)"
        assert canvas.evaluate(painted)
