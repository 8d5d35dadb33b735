"""Captions of a whole library: written once each, whatever stops it, and nothing of a person's replaced."""

import csv
import errno
import json
import os
import signal
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from conftest import draw
from serving import CLASSES, make_captioner, make_classifier
from showtell import Predict, cli, predict
from showtell.data.readers import read_dataset
from showtell.data.source import DataSource
from showtell.errors import ConfigError
from showtell.files import lock_folder, take_lock
from showtell.kinds import library
from showtell.kinds.classifier.model import ClassifierModel
from showtell.kinds.xmp import read_description, write_description, xmp_beside
from showtell.store.store import FeatureStore

CAPTIONS = ["a red circle above two blue stars", "노란 별 하나", "three green squares in a row"]


@pytest.fixture(scope="module")
def captioner(tmp_path_factory) -> Path:
    return make_captioner(tmp_path_factory.mktemp("captioner"), CAPTIONS)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "사진"
    (folder / "여름").mkdir(parents=True)
    for number in range(5):
        draw(number).save(folder / f"{number}.png")
    draw(5).save(folder / "여름" / '고양이 "하나", 둘.jpg')
    return folder


def written(*arguments: object) -> int:
    return cli.run(["predict", *map(str, arguments)])


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_a_table_is_what_a_training_reads(captioner, photos, tmp_path, capsys):
    out = photos / "captions.csv"
    (photos / "broken.jpg").write_bytes(b"no image")
    assert written(captioner, photos, "--out", out) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "broken.jpg: the image is not an image" in said.err
    assert "6 predictions were written" in said.err and "1 cannot be read" in said.err
    head, *rows = rows_of(out)
    assert head == ["image", "caption"]
    expected = {
        found.image.relative_to(photos).as_posix(): found.text
        for found in predict(Predict(captioner, tuple(str(photos / row[0]) for row in rows)))
    }
    assert dict(rows) == expected
    dataset = read_dataset(DataSource(out))
    assert {image.name: image.captions for image in dataset.images} == {k: (v,) for k, v in expected.items()}


def test_many_images_are_answered_from_the_store_and_few_without(captioner, photos, tmp_path, monkeypatch):
    (photos / "broken.jpg").write_bytes(b"no image")
    asked = Predict(captioner, (str(photos),), store=tmp_path / "store")
    few = list(predict(asked))
    assert not asked.store.exists()
    monkeypatch.setattr("showtell.kinds.predict.BATCH_SIZE", 6)
    many = list(predict(asked))
    assert len(FeatureStore(asked.store).spaces()) == 1
    assert [(one.image, one.text) for one in many if not one.error] == [
        (one.image, one.text) for one in few if not one.error
    ]
    assert [one.image.name for one in many if one.error] == ["broken.jpg"]


def test_classes_are_written_with_their_probability(classifier, photos, tmp_path):
    out = tmp_path / "classes.csv"
    assert written(classifier, photos, "--out", out) == 0
    head, *rows = rows_of(out)
    assert head == ["image", "class", "probability"]
    assert len(rows) == 6
    assert all(row[1] in CLASSES and 1 / len(CLASSES) <= float(row[2]) <= 1 for row in rows)
    lines = tmp_path / "classes.jsonl"
    assert written(classifier, photos, "--out", lines) == 0
    records = [json.loads(line) for line in lines.read_text("utf-8").splitlines()]
    assert [[one["image"], one["class"]] for one in records] == [row[:2] for row in rows]


def test_a_width_of_a_search_is_refused_where_nothing_is_searched(classifier, photos, capsys):
    assert written(classifier, photos, "--beam-size", 3) == 2
    assert cli.run(["evaluate", str(classifier), str(photos), "--beam-size", "3"]) == 2
    said = capsys.readouterr().err
    assert said.count("--beam-size 3 is the width of a captioner's search, and this is a classifier") == 2


@pytest.mark.parametrize("command", ["evaluate {}", "report {}", "predict {} --split test"])
def test_what_needs_the_run_says_that_a_model_alone_is_none(classifier, tmp_path, capsys, command):
    alone = tmp_path / "from the Hub"
    alone.symlink_to(classifier / "model")
    for folder in (classifier, alone):
        first, *rest = command.split()
        assert cli.run([part.format(folder) for part in (first, *rest)]) == 2
        said = capsys.readouterr().err
        assert f"{folder} holds no run: what is known of data, splits and settings" in said
        assert "A model alone, as from the Hub, can be used, served and exported." in said


def texts_of(content: bytes) -> list[object]:
    """Return images and captions: the last bits of a probability depend on the company of an image."""
    lines = content.decode("utf-8").splitlines()
    if not lines[0].startswith("{"):
        return list(lines)
    return [(one["image"], one["caption"]) for one in map(json.loads, lines)]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_name_that_holds_an_end_of_a_line_is_one_line(captioner, tmp_path, name, capsys):
    draw(0).save(tmp_path / "one\N{LINE SEPARATOR}two\x85three.png")
    for _ in range(2):
        assert written(captioner, tmp_path, "--out", tmp_path / name) == 0
    assert "1 of 1 images have theirs already" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_line_that_was_cut_off_is_written_again_and_the_others_are_kept(
    captioner, photos, tmp_path, name, capsys
):
    out = tmp_path / name
    assert written(captioner, photos, "--out", out) == 0
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    for cut in (len(lines[-1]) // 2, 1, len(lines[-1]) - 1):
        out.write_bytes(b"".join(lines[:-1]) + lines[-1][:cut])
        assert written(captioner, photos, "--out", out) == 0
        assert out.read_bytes().startswith(b"".join(lines[:-1]))
        assert texts_of(out.read_bytes()) == texts_of(whole)
        assert "was cut off and is written again" in capsys.readouterr().err
    people = whole.replace(lines[-2], lines[-2].replace(b"star", b"STAR").replace(b"a ", b"THE ", 1))
    out.write_bytes(people)
    assert written(captioner, photos, "--out", out) == 0
    assert out.read_bytes() == people  # whoever wrote it
    assert written(captioner, photos, "--out", out, "--overwrite") == 0
    assert texts_of(out.read_bytes()) == texts_of(whole)


def slow_classes(self, grid, pooled, usual=ClassifierModel.predict):
    time.sleep(0.1)
    return usual(self, grid, pooled)


def child(arguments: list[str]) -> None:
    library.BATCH_SIZE = 4
    ClassifierModel.predict = slow_classes
    cli.run(arguments)


def test_killed_at_any_moment_it_goes_on_without_repeating_an_image(classifier, tmp_path, context):
    photos, out = tmp_path / "photos", tmp_path / "classes.csv"
    photos.mkdir()
    for number in range(40):
        draw(number, 32).save(photos / f"{number:02d}.png")
    arguments = [
        "predict",
        str(classifier),
        str(photos),
        "--out",
        str(out),
        "--store",
        str(tmp_path / "store"),
    ]
    counts = [0]
    for more in (1, 9, 17):
        process = context.Process(target=child, args=(arguments,))
        process.start()
        end = time.monotonic() + 60
        while process.is_alive() and time.monotonic() < end:
            if out.exists() and out.read_bytes().count(b"\n") > max(more, counts[-1] + 1):
                break
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        counts.append(out.read_bytes().count(b"\n"))
    assert counts == sorted(set(counts)), counts  # each went on from where the one before was killed
    assert counts[-1] < 41, "the last one was killed too late to tell"
    assert cli.run(arguments) == 0
    names = [row[0] for row in rows_of(out)[1:]]
    assert sorted(names) == sorted(path.name for path in photos.iterdir())
    fresh = tmp_path / "fresh.csv"
    assert cli.run([*arguments[:4], str(fresh), *arguments[5:]]) == 0
    assert rows_of(fresh) == rows_of(out)


def test_texts_beside_images_are_not_replaced_unless_asked(captioner, photos):
    mine = photos / "1.txt"
    mine.write_text("사람이 쓴 것\n", "utf-8")
    assert written(captioner, photos, "--out", "sidecar") == 0
    assert mine.read_text("utf-8") == "사람이 쓴 것\n"
    dataset = read_dataset(DataSource(photos, format="sidecar"))
    assert len(dataset.images) == 6 and all(len(image.captions) == 1 for image in dataset.images)
    assert written(captioner, photos, "--out", "sidecar", "--overwrite") == 0
    assert mine.read_text("utf-8") != "사람이 쓴 것\n"
    draw(7).save(photos / "1.jpg")
    with pytest.raises(ConfigError, match=r"would share .*1\.txt"):
        list(predict(Predict(captioner, (str(photos),), out=Path("sidecar"))))


XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="darktable"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmp:Rating="4"><dc:subject><rdf:Bag><rdf:li>ming</rdf:li></rdf:Bag></dc:subject>{}</rdf:Description>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""
DESCRIBED = '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">mine</rdf:li></rdf:Alt></dc:description>'


def test_xmp_keeps_what_a_photo_manager_wrote(classifier, photos):
    rated, described, broken = (xmp_beside(photos / f"{n}.png") for n in (0, 1, 2))
    rated.write_text(XMP.format(""), "utf-8")
    described.write_text(XMP.format(DESCRIBED), "utf-8")
    broken.write_text("<not", "utf-8")
    assert written(classifier, photos, "--out", "xmp") == 0
    assert described.read_text("utf-8") == XMP.format(DESCRIBED)
    assert broken.read_text("utf-8") == "<not"
    text = rated.read_text("utf-8")
    assert 'xmp:Rating="4"' in text and 'x:xmptk="darktable"' in text
    result = next(iter(predict(Predict(classifier, (str(photos / "0.png"),)))))
    assert read_description(rated) == result.text
    rdf = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
    subjects = [one.text for one in ET.fromstring(text).iterfind(f".//{rdf}Bag/{rdf}li")]
    assert subjects == list(dict.fromkeys(["ming", result.result.label]))
    assert read_description(xmp_beside(photos / "3.png"))
    assert written(classifier, photos, "--out", "xmp", "--overwrite") == 0
    assert read_description(described) != "mine"
    assert 'xmp:Rating="4"' in described.read_text("utf-8")


def test_xmp_is_well_formed_whatever_a_caption_holds(tmp_path):
    path = tmp_path / "a.jpg.xmp"
    for text in ('<b> & "둘" \U0001f600', "plain"):
        write_description(path, text, ("a<b",))
        assert read_description(path) == text
    line = ET.fromstring(path.read_text("utf-8")).find(".//{*}description/{*}Alt/{*}li")
    assert line.get("{http://www.w3.org/XML/1998/namespace}lang") == "x-default"


def test_two_processes_do_not_write_one_table(classifier, photos, tmp_path):
    out = tmp_path / "a.csv"
    held = take_lock(out)
    with pytest.raises(ConfigError, match="Another process is writing"):
        list(predict(Predict(classifier, (str(photos),), out=out)))
    os.close(held)
    with lock_folder(tmp_path):  # a lock of the folder is no matter
        assert len(list(predict(Predict(classifier, (str(photos),), out=out)))) == 6


@pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")
def test_a_table_is_written_on_a_disk_without_locks(classifier, photos, tmp_path, monkeypatch):
    out = tmp_path / "a.csv"

    def refuse(descriptor, _):
        if out.exists() and os.path.samestat(os.fstat(descriptor), out.stat()):
            raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert len(list(predict(Predict(classifier, (str(photos),), out=out)))) == 6


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"out": "captions.txt"}, "--out captions.txt is no file that predictions are written to"),
        ({"out": "captions"}, "--out captions is no file"),
        ({"random": 0}, "--random 0 is out of range"),
        ({"split": "val", "images": ("a", "b")}, "--split val takes the images of one data set, and 2"),
    ],
)
def test_what_cannot_be_is_refused(settings, words):
    with pytest.raises(ConfigError) as caught:
        Predict("run", **{"images": ("x",)} | settings)
    assert words in str(caught.value)


def test_a_table_of_something_else_is_not_added_to(captioner, photos, tmp_path):
    for name, text in (("a.csv", "id,breed\n1,corgi\n"), ("a.jsonl", '{"id": 1}\n')):
        (tmp_path / name).write_text(text, "utf-8")
        with pytest.raises(ConfigError, match="Name another file, or --overwrite replaces this one"):
            list(predict(Predict(captioner, (str(photos),), out=tmp_path / name)))
        assert (tmp_path / name).read_text("utf-8") == text


def test_some_are_drawn_at_random_and_again(classifier, photos, tmp_path, capsys):
    drawn = [
        [f.image.name for f in predict(Predict(classifier, (str(photos),), random=3, seed=s))]
        for s in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 3
    page = tmp_path / "page.html"
    assert written(classifier, photos, "--random", 2, "--out", page) == 0
    assert page.read_text("utf-8").count("data:image/jpeg") == 2
    assert "2 of 6 images, drawn with --seed" in capsys.readouterr().err
