"""A loaded model takes images of any kind, one or many, and says the same of them in every form."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import showtell
from conftest import draw, encoded
from showtell.backbones.weights import load_backbone
from showtell.errors import ConfigError, ImageError, ModelError
from showtell.kinds.captioner.model import CaptionerModel
from showtell.kinds.classifier.model import ClassifierModel
from showtell.kinds.model_folder import save_model
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.models.heads import HeadConfig, build_head
from showtell.text.tokenizer import CaptionTokenizer

CLASSES = ("레오", "ming", "zoe")


@pytest.fixture(scope="module")
def captioner(tmp_path_factory):
    run = tmp_path_factory.mktemp("captioner")
    backbone = load_backbone("test_resnet", "random", image_size=64)
    words = ["a red circle", "빨간 동그라미 두 개", "three hearts above a star"]
    tokenizer = CaptionTokenizer.train(words, kind="word", vocab_size=300, min_count=1)
    torch.manual_seed(0)
    sizes = DecoderConfig(tokenizer.vocab_size, backbone.description.grid_shape[1], 16, 16, 8)
    decoder = Captioner(sizes, tokenizer, backbone.description.grid_size).eval()
    save_model(run / "model", CaptionerModel.of(backbone, decoder, beam_size=3))
    return showtell.load(run, device="cpu")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    run = tmp_path_factory.mktemp("classifier")
    backbone = load_backbone("test_resnet", "random", image_size=64)
    torch.manual_seed(0)
    head = build_head(HeadConfig("linear", backbone.description.pooled_dim, len(CLASSES))).eval()
    torch.nn.init.normal_(next(p for p in head.parameters() if p.dim() == 2), std=3.0)
    save_model(run / "model", ClassifierModel.of(backbone, head, CLASSES, temperature=1.0))
    return showtell.load(run, device="cpu")


def test_an_image_is_the_same_in_every_form(classifier, tmp_path):
    image = draw(3)
    image.save(tmp_path / "사진.png")
    content = encoded(image, "PNG")
    array = np.asarray(image)
    forms = [
        tmp_path / "사진.png",
        str(tmp_path / "사진.png"),
        content,
        bytearray(content),
        io.BytesIO(content),
        image,
        array,
        torch.from_numpy(array.copy()).permute(2, 0, 1),
        np.dstack([array, np.full(array.shape[:2], 255, np.uint8)]),
    ]
    expected = classifier(forms[0])
    for form in forms[1:]:
        assert classifier(form).probabilities == expected.probabilities, type(form)


def test_a_grey_array_is_an_image(classifier):
    grey = np.asarray(draw(3).convert("L"))
    assert classifier(grey) == classifier(grey[..., None]) == classifier(np.dstack([grey] * 3))


def test_a_model_looks_as_in_training_unless_asked_otherwise(tmp_path, classifier):
    backbone = load_backbone("test_resnet", "random", image_size=64, precision="bfloat16")
    head = classifier.head
    save_model(tmp_path / "model", ClassifierModel.of(backbone, head, CLASSES, temperature=1.0))
    rough, full = (showtell.load(tmp_path, device="cpu", precision=one) for one in (None, "float32"))
    assert rough.backbone.description.precision == "bfloat16"
    assert full(draw(1)) == classifier(draw(1)) != rough(draw(1))
    assert rough(draw(1)).probabilities == pytest.approx(full(draw(1)).probabilities, abs=0.1)


def test_classes_are_ranked_and_sum_to_one(classifier):
    found = classifier(draw(1))
    values = list(found.probabilities.values())
    assert set(found.probabilities) == set(CLASSES)
    assert values == sorted(values, reverse=True)
    assert sum(values) == pytest.approx(1, abs=1e-5)
    assert found.top(1) == [(found.label, values[0])]
    assert len(found.top(5)) == 3


def test_a_caption_comes_with_words_attention_and_others(captioner):
    found = captioner(draw(1))
    assert found.text
    assert len(found.words) == len(found.attention)
    assert found.attention.flatten(1).sum(1).tolist() == pytest.approx([1.0] * len(found.words), abs=1e-4)
    assert 1 <= len(found.others) <= 2
    scores = [found.log_probability, *(other.log_probability for other in found.others)]
    assert all(score < 0 for score in scores)


def test_lists_are_batched_and_streams_are_lazy(captioner, classifier):
    images = [draw(n) for n in range(5)]
    for model in (captioner, classifier):
        singles = [model(image) for image in images]
        together = model(images)
        assert isinstance(together, list)
        if model is captioner:
            assert [found.text for found in together] == [found.text for found in singles]
        else:
            assert [found.label for found in together] == [found.label for found in singles]
    asked = []

    def endless():
        while True:
            asked.append(1)
            yield images[0]

    found = classifier(endless())
    assert next(found) == next(found)
    assert len(asked) == 16  # one batch


def test_what_cannot_be_read_is_raised_or_returned_in_its_place(classifier, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(encoded(draw(1), "JPEG")[:200])
    images = [draw(0), tmp_path / "broken.jpg", b"", draw(1)]
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        classifier(images)
    good, broken, empty, last = classifier.stream(images, errors="return", batch_size=3)
    assert isinstance(broken, ImageError)
    assert isinstance(empty, ImageError)
    assert good == classifier(images[0])
    assert last == classifier(images[3])


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("https://example.org/cat.jpg", "this machine only"),
        ("file:///etc/passwd", "this machine only"),
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((2, 4, 4, 3), np.uint8), "as a list"),
        (np.zeros((0, 4, 3), np.uint8), "no pixel"),
        (io.StringIO("text"), "bytes"),
    ],
)
def test_what_is_no_image_is_refused_with_the_reason(classifier, given, reason):
    with pytest.raises(ImageError, match=reason):
        classifier(given)


def test_things_that_are_no_image_within_a_list_are_named(classifier):
    with pytest.raises(ImageError, match="int is not an image"):
        classifier([3])


def test_threads_do_not_disturb_one_another(captioner):
    images = [draw(n) for n in range(8)]
    alone = [captioner(image).text for image in images]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda image: captioner(image).text, images * 3)) == alone * 3


def test_where_a_classifier_looked(classifier):
    heat = classifier.grad_cam(classifier.pixels(draw(1)), "레오")
    assert heat.shape == classifier.backbone.description.grid_size
    assert (heat >= 0).all()
    with pytest.raises(ConfigError, match="tiger"):
        classifier.grad_cam(classifier.pixels(draw(1)), "tiger")


def test_no_model_is_said_in_words(tmp_path):
    with pytest.raises(ModelError, match="no model"):
        showtell.load(tmp_path)
