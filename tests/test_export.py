"""An export says what its original says, without torch; one that does not is an error and stays marked."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image, ImageCms

import showtell
from conftest import draw, encoded
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.data.images import load_pixels, open_image
from showtell.errors import ConfigError, MissingExtraError, ModelError
from showtell.kinds.asked import find_images
from showtell.kinds.captioner.graphs import detokenization_table
from showtell.kinds.captioner.model import CaptionerModel
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.classifier.model import ClassifierModel
from showtell.kinds.model_folder import load_model, save_model
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.models.heads import HeadConfig, build_head
from showtell.onnx_export import export as task
from showtell.onnx_export.settings import Export
from showtell.text.lengths import LONGEST
from showtell.text.tokenizer import CaptionTokenizer

pytest.importorskip("onnxscript")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from showtell.onnx_export.runner import ExportedModel  # noqa: E402

CAPTIONS = ["a red circle's dog", "빨간 동그라미 두 개", "three hearts above a star", "赤い丸 tシャツ"]
CLASSES = ("레오", "ming", "zoe")


def captioner(run, *, cell="lstm", kind="word", backbone="test_resnet", width=16, seed=0):
    eye = load_backbone(backbone, "random", image_size=64)
    tokenizer = CaptionTokenizer.train(CAPTIONS, kind=kind, vocab_size=300, min_count=1)
    torch.manual_seed(seed)
    sizes = DecoderConfig(tokenizer.vocab_size, eye.description.grid_shape[1], width, width, 8, kind=cell)
    decoder = Captioner(sizes, tokenizer, eye.description.grid_size).eval()
    torch.nn.init.normal_(decoder.decoder.embed.weight, std=2.0)  # words that differ: captions that end
    save_model(run / "model", CaptionerModel.of(eye, decoder, beam_size=3))
    return run


def classifier(run, *, kind="linear", backbone="test_resnet", seed=0):
    eye = load_backbone(backbone, "random", image_size=64)
    torch.manual_seed(seed)
    wide = eye.description.pooled_dim
    head = build_head(HeadConfig(kind, wide, len(CLASSES), neighbours=3, remembered=8)).eval()
    if kind == "knn":
        head.fit_scale(torch.rand(8, wide))
        head.remember(torch.rand(8, wide), torch.arange(8) % 3)
    else:
        torch.nn.init.normal_(next(p for p in head.parameters() if p.dim() == 2), std=3.0)
    save_model(run / "model", ClassifierModel.of(eye, head, CLASSES, temperature=1.5))
    return run


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Two captioners and a classifier, exported with their int8 variants."""
    runs = {
        "captioner": captioner(tmp_path_factory.mktemp("말")),
        "transformer": captioner(tmp_path_factory.mktemp("머리 둘"), cell="transformer", width=128),
        "classifier": classifier(tmp_path_factory.mktemp("이름")),
    }
    found = {kind: showtell.export(Export(run, int8=True, num_images=8)) for kind, run in runs.items()}
    return runs, found


@pytest.mark.parametrize("kind", ["captioner", "transformer", "classifier"])
def test_an_export_says_what_its_original_says(exported, kind):
    runs, found = exported
    record = found[kind]
    assert record["images"] == record["graphs"]["same"] == 8
    assert record["source"] == "drawn images"
    assert 0 <= record["graphs"]["largest_difference"] < 1e-3
    folder = runs[kind] / "onnx"
    assert not (folder / "UNCHECKED.txt").exists()
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert about["check"]["graphs"]["same"] == 8
    assert "8 drawn images" in (folder / "README.md").read_text(encoding="utf-8")
    for file in folder.glob("*.onnx"):
        graph = onnx.load(file)
        onnx.checker.check_model(graph)
        told = {entry.key: entry.value for entry in graph.metadata_props}
        assert json.loads(told["showtell.preprocessing"])["interpolation"] in ("bilinear", "bicubic")
        assert os.path.dirname(timm.__file__).encode() not in file.read_bytes()  # noqa: PTH120
    assert len(list(folder.glob("*.int8.onnx"))) == len(about["int8_files"]) == len(about["files"])


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (captioner, {"cell": "gru", "kind": "bpe"}),
        (captioner, {"backbone": "test_vit"}),
        (classifier, {"kind": "mlp", "backbone": "test_vit"}),
        (classifier, {"kind": "knn"}),
    ],
)
def test_other_cells_tokenizers_heads_and_transformers(tmp_path, make, options):
    run = make(tmp_path / "run", **options)
    record = showtell.export(Export(run, out=tmp_path / "out", num_images=4))
    assert record["graphs"]["same"] == 4


@pytest.mark.parametrize("beam_size", [1, 2, 5])
@pytest.mark.parametrize("run", ["captioner", "transformer"])
def test_every_beam_finds_the_same_captions_and_others(exported, run, beam_size):
    runs, _ = exported
    model = showtell.load(runs[run], device="cpu", beam_size=beam_size)
    export = ExportedModel(runs[run] / "onnx", threads=1)
    for number in range(6):
        pixels = model.pixels(draw(number))
        grid = model.backbone(pixels[None])[0]
        hypotheses = model.captioner.search(grid, beam_size=beam_size)[0]
        captions = export.captions(pixels.numpy(), beam_size)
        assert [ids for ids, _ in captions] == [h.token_ids for h in hypotheses]
        assert [score for _, score in captions] == pytest.approx(
            [h.log_probability for h in hypotheses], abs=1e-3
        )
        said = [export.text(ids) for ids, _ in captions]
        assert said == [model.captioner.tokenizer.decode(h.token_ids) for h in hypotheses]


@pytest.mark.parametrize("kind", ["word", "bpe"])
def test_words_are_written_as_the_tokenizer_writes_them(kind):
    tokenizer = CaptionTokenizer.train(CAPTIONS, kind=kind, vocab_size=300, min_count=1)
    reader = object.__new__(ExportedModel)
    reader.about = {"words": detokenization_table(tokenizer)}
    draws = np.random.default_rng(0)
    for ids in [tokenizer.encode(caption) for caption in CAPTIONS] + [
        [int(i) for i in draws.integers(4, tokenizer.vocab_size, 12)] for _ in range(300)
    ]:
        assert reader.text(ids) == tokenizer.decode(ids)


def kinds_of_images(folder):
    """Write images of many kinds, each of which is read by another part of the code."""
    image = draw(4, 600).resize((700, 500))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "lying.jpg", exif=exif, quality=95)
    image.save(folder / "lying.webp", exif=exif)
    clear = image.convert("RGBA")
    clear.putalpha(image.convert("L").point(lambda value: 255 - value))
    clear.save(folder / "투명.png")
    image.quantize(16).save(folder / "palette.png", transparency=3)
    image.convert("CMYK").save(folder / "press.jpg")
    grey = np.asarray(image.convert("L")).astype(np.uint16)
    for bits in (8, 12, 16):
        Image.fromarray(grey << (bits - 8)).save(folder / f"deep{bits}.png")
        Image.fromarray(grey << (bits - 8)).save(folder / f"deep{bits}.tif")
    other = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    image.save(folder / "profile.tif", icc_profile=other)
    blank = Image.new("RGB", image.size, "white")
    blank.save(folder / "late.gif", save_all=True, append_images=[image])
    blank.resize((50, 50)).save(folder / "pages.tif", save_all=True, append_images=[image])
    content = encoded(image, "JPEG")
    (folder / "no end.jpg").write_bytes(content[:-2])
    (folder / "raw.raf").write_bytes(b"FUJIFILMCCD-RAW " + bytes(90) + content)
    (folder / "extensionless").write_bytes(content)


def test_the_script_sees_the_pixels_that_the_library_sees(exported, tmp_path):
    """To within the one level by which two resizers round; the very same where nothing is resized."""
    runs, _ = exported
    model = showtell.load(runs["classifier"], device="cpu")
    export = ExportedModel(runs["classifier"] / "onnx", threads=1)
    kinds_of_images(tmp_path)
    program = (
        "import sys, pathlib, numpy as np\n"
        "for name in ('torch', 'showtell'): sys.modules[name] = None\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from showtell_pixels.opening import open_image\n"
        "found = {p.name: np.asarray(open_image(p)) for p in pathlib.Path(sys.argv[2]).iterdir()}\n"
        "np.savez(sys.argv[3], **found)\n"
    )
    out = tmp_path.with_name("found.npz")
    folder = runs["classifier"] / "onnx"
    subprocess.run([sys.executable, "-c", program, str(folder), str(tmp_path), str(out)], check=True)
    with np.load(out) as found:
        assert len(found.files) == len(list(tmp_path.iterdir())) >= 17
        for path in tmp_path.iterdir():
            assert np.array_equal(found[path.name], np.asarray(open_image(path))), path.name
            mine, theirs = model.pixels(path).numpy().astype(int), export.pixels(path).astype(int)
            assert mine.shape == theirs.shape
            assert np.abs(mine - theirs).max() <= 1, path.name


@pytest.mark.parametrize("kind", ["captioner", "classifier"])
def test_the_script_answers_every_image_and_names_those_it_cannot_read(exported, tmp_path, kind):
    runs, _ = exported
    folder = tmp_path / "사진"
    (folder / "inner").mkdir(parents=True)
    for name in ("a.png", "inner/c.png", ".hidden.png"):
        draw(3).save(folder / name)
    (folder / "b.jpg").write_bytes(b"<html>404</html>")
    (folder / "notes.txt").write_text("no image")
    command = [sys.executable, str(runs[kind] / "onnx" / "run.py"), str(tmp_path / "gone.png"), str(folder)]
    done = subprocess.run(
        command, capture_output=True, check=False, text=True, env=os.environ | {"PYTHONUTF8": "1"}
    )
    assert done.returncode == 2
    said = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert said == [str(folder / "a.png"), str(folder / "inner" / "c.png")]
    bad = dict(line.split("\t") for line in done.stderr.splitlines())
    assert "No such file" in bad[str(tmp_path / "gone.png")]
    assert "web page" in bad[str(folder / "b.jpg")]
    listed = find_images([str(folder)], Console(quiet=True))
    assert [str(path) for path in listed] == [said[0], str(folder / "b.jpg"), said[1]]


@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_the_script_crops_where_the_model_does(exported, tmp_path, fit):
    runs, _ = exported
    eye = load_backbone("test_resnet", "random", image_size=64, fit=fit)
    export = ExportedModel(runs["classifier"] / "onnx", threads=1)
    export.preprocessing = eye.preprocessing
    draw(2, 300).crop((0, 0, 300, 171)).save(tmp_path / "wide.png")
    mine = load_pixels(tmp_path / "wide.png", eye.preprocessing).numpy()
    assert np.abs(mine.astype(int) - export.pixels(tmp_path / "wide.png").astype(int)).max() <= 1


@pytest.mark.parametrize("kind", ["captioner", "classifier"])
def test_the_script_runs_without_this_package_and_without_torch(exported, tmp_path, kind):
    runs, _ = exported
    folder = shutil.copytree(runs[kind] / "onnx", tmp_path / "옮긴 곳")
    draw(3).save(tmp_path / "사진.png")
    program = (
        "import runpy, sys\n"
        "for name in ('torch', 'showtell', 'tokenizers'): sys.modules[name] = None\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    command = [sys.executable, "-c", program, str(folder / "run.py"), str(tmp_path / "사진.png")]
    done = subprocess.run(command, capture_output=True, check=False, env=os.environ | {"PYTHONUTF8": "1"})
    assert done.returncode == 0, done.stderr.decode()
    name, said = done.stdout.decode().rstrip("\n").split("\t")
    assert name.endswith("사진.png")
    found = showtell.load(runs[kind], device="cpu")(tmp_path / "사진.png")
    assert said == found.text if kind == "captioner" else said.startswith(found.label)
    assert len((folder / "run.py").read_text(encoding="utf-8").splitlines()) < 150


def write_again(graphs, monkeypatch):
    """Let an export write what an earlier one wrote, which saves the time of the exporter."""

    def write(model, folder):
        about = json.loads((graphs / "model.json").read_text(encoding="utf-8"))
        for name in ("run.py", *about["files"].values()):
            shutil.copy(graphs / name, folder)
        about = {name: value for name, value in about.items() if name not in ("int8_files", "check")}
        (folder / "model.json").write_text(json.dumps(about), encoding="utf-8")
        return about

    monkeypatch.setattr(task, "write_graphs", write)


@pytest.mark.parametrize("make", [captioner, classifier])
def test_an_export_of_something_else_is_refused_and_stays_marked(exported, tmp_path, monkeypatch, make):
    runs, _ = exported
    write_again(runs[make.__name__] / "onnx", monkeypatch)
    with pytest.raises(ModelError, match=r"original") as caught:
        showtell.export(Export(make(tmp_path / "other", seed=1), out=tmp_path / "out", num_images=4))
    assert caught.value.exit_status == 2
    assert "The check failed" in (tmp_path / "out" / "UNCHECKED.txt").read_text(encoding="utf-8")
    # The folder is ours, and may be written anew.
    showtell.export(Export(runs[make.__name__], out=tmp_path / "out", num_images=4))
    assert not (tmp_path / "out" / "UNCHECKED.txt").exists()


def test_a_folder_of_images_to_check_with_names_what_cannot_be_read(exported, tmp_path, capsys, monkeypatch):
    runs, _ = exported
    write_again(runs["classifier"] / "onnx", monkeypatch)
    folder = tmp_path / "사진들"
    folder.mkdir()
    for number in range(3):
        draw(number).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"nothing")
    config = Export(runs["classifier"], out=tmp_path / "out", check=folder)
    assert showtell.export(config, Console())["images"] == 3
    assert "broken.png" in capsys.readouterr().err


def test_a_folder_with_other_files_is_left_alone(exported, tmp_path):
    runs, _ = exported
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(ConfigError, match="other files"):
        showtell.export(Export(runs["classifier"], out=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]
    (tmp_path / "diary.txt").rename(tmp_path / "README.md")
    (tmp_path / "model.json").write_text('{"format": "layers-model", "weightsManifest": []}')
    with pytest.raises(ConfigError, match="other files"):  # as TensorFlow.js calls its model
        showtell.export(Export(runs["classifier"], out=tmp_path))
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_network_is_found_by_its_name_after_its_export(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = task._claim(Export(Path("test_resnet")))
    assert folder == Path("test_resnet-onnx")
    assert not Path("test_resnet").exists()
    Path("runs/mine").mkdir(parents=True)
    assert task._claim(Export(Path("runs/mine"))) == Path("runs/mine/onnx")


@pytest.mark.parametrize("longest", [LONGEST + 1, 2**70])
def test_captions_without_end_are_refused(exported, tmp_path, longest):
    """A search that finds no end of a sentence went on for ever."""
    runs, _ = exported
    shutil.copytree(runs["captioner"] / "onnx", tmp_path / "onnx")
    shutil.copytree(runs["captioner"] / "model", tmp_path / "model")
    for path, place in (
        (tmp_path / "onnx/model.json", "search"),
        (tmp_path / "model/config.json", "captioner"),
    ):
        about = json.loads(path.read_text(encoding="utf-8"))
        about[place]["max_length"] = longest
        path.write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(ValueError, match=f"captions of {longest} tokens"):
        ExportedModel(tmp_path / "onnx")
    with pytest.raises(ModelError, match="max_length"):
        load_model(tmp_path / "model")
    with pytest.raises(ConfigError, match="max_length"):
        TrainCaptioner(Path("photos"), max_length=longest)


def test_a_missing_package_names_the_extra(exported, tmp_path, monkeypatch):
    runs, _ = exported
    find = task.need_onnx.__globals__["importlib"].util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnx" else find(name))
    with pytest.raises(MissingExtraError, match=r"showtell\[export\]"):
        showtell.export(Export(runs["classifier"], out=tmp_path / "out"))
