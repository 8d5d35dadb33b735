"""Watching a video, a camera or a stream: every frame or the newest one, smoothed, drawn on, never stuck."""

import itertools
import json
import sys
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

import showtell
from conftest import draw
from films import film
from showtell import cli
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.errors import ConfigError, DataError, MissingExtraError, ShowtellError
from showtell.kinds.captioner.model import CaptionerModel
from showtell.kinds.classifier.model import ClassifierModel
from showtell.kinds.model_folder import save_model
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.models.heads import HeadConfig, build_head
from showtell.text.tokenizer import CaptionTokenizer
from showtell.video import live as watching
from showtell.video.live import Watch, live
from showtell.video.recorder import Recorder
from showtell.video.settings import Live
from showtell.video.sources import Clock, Frame, Newest, Source, load_opencv

pytest.importorskip("cv2")
cv2 = load_opencv()  # as the command does: what FFmpeg may print is settled at its first use
CLASSES = ("레오", "ming", "zoe")
COUNT, RATE, SIZE = 20, 10, (160, 120)
"""Of the test's video: frames, frames a second, width and height."""


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    run = tmp_path_factory.mktemp("분류기")
    backbone = load_backbone("test_resnet", "random", image_size=64)
    torch.manual_seed(0)
    head = build_head(HeadConfig("linear", backbone.description.pooled_dim, len(CLASSES))).eval()
    torch.nn.init.normal_(next(p for p in head.parameters() if p.dim() == 2), std=3.0)
    save_model(run / "model", ClassifierModel.of(backbone, head, CLASSES, temperature=1.0))
    return run


@pytest.fixture(scope="module")
def captioner(tmp_path_factory):
    run = tmp_path_factory.mktemp("captioner")
    backbone = load_backbone("test_resnet", "random", image_size=64)
    tokenizer = CaptionTokenizer.train(["a red circle", "빨간 동그라미 두 개"], kind="word", min_count=1)
    torch.manual_seed(0)
    sizes = DecoderConfig(tokenizer.vocab_size, backbone.description.grid_shape[1], 16, 16, 8)
    decoder = Captioner(sizes, tokenizer, backbone.description.grid_size).eval()
    save_model(run / "model", CaptionerModel.of(backbone, decoder, beam_size=2))
    return run


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Two scenes of ten frames each."""
    path = tmp_path_factory.mktemp("영상") / "고양이.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, SIZE)
    for number in range(COUNT):
        scene = np.asarray(draw(number // 10).resize(SIZE))
        writer.write(cv2.cvtColor(scene, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def frames_of(path) -> list[np.ndarray]:
    with Source(str(path)) as source:
        return [frame.pixels for frame in source.frames()]


# Frame by frame


def test_every_frame_of_a_video_is_named(classifier, video):
    records = list(live(Live(classifier, str(video), headless=True, smooth=0)))
    assert [record["frame"] for record in records] == list(range(COUNT))
    assert [record["seconds"] for record in records] == pytest.approx([n / RATE for n in range(COUNT)])
    model = showtell.load(classifier, device="cpu")
    for record, pixels in zip(records, frames_of(video), strict=True):
        expected = model(pixels)
        assert record["class"] == expected.label
        assert record["classes"] == pytest.approx(dict(expected.probabilities), abs=1e-4)


def test_every_frame_of_a_video_is_captioned(captioner, video):
    records = list(live(Live(captioner, str(video), headless=True, frames=12)))
    model = showtell.load(captioner, device="cpu")
    expected = [model(pixels) for pixels in frames_of(video)[:12]]
    assert [record["caption"] for record in records] == [found.text for found in expected]
    assert [len(record["words"]) for record in records] == [len(found.words) for found in expected]


def test_colors_are_not_swapped(tmp_path):
    path = tmp_path / "red.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, SIZE)
    writer.write(np.full((SIZE[1], SIZE[0], 3), (0, 0, 255), np.uint8))  # red, as OpenCV orders colors
    writer.release()
    red, green, blue = frames_of(path)[0].reshape(-1, 3).mean(0)
    assert red > 200 > 50 > max(green, blue)


@pytest.mark.parametrize("name", ["out.mp4", "아웃.avi", "out.mkv"])
def test_a_recorded_video_is_the_video_with_words_on_it(captioner, video, tmp_path, name):
    out = tmp_path / "새 폴더" / name
    records = list(live(Live(captioner, str(video), record=out, frames=15)))
    drawn, plain = frames_of(out), frames_of(video)
    assert len(records) == len(drawn) == 15
    height, width = drawn[0].shape[:2]
    assert (width, height % 2) == (480, 0)  # enlarged, for words to be read
    for before, after in zip(plain, drawn):
        large = np.asarray(Image.fromarray(before).resize((480, 360)))
        assert np.abs(large.astype(int) - after[:360]).mean() < 12
        assert after[360:].max() > 200  # words
        assert np.median(after[360:]) < 40  # on a dark ground
    with Source(str(out)) as source:
        assert source.rate == pytest.approx(RATE, rel=0.01)


def test_the_command_prints_json_lines_and_counts(classifier, video, tmp_path, capsys):
    out = tmp_path / "out.avi"
    arguments = ["live", classifier, "--source", video, "--headless", "--record", out, "--frames", "7"]
    assert cli.run([str(argument) for argument in arguments]) == 0
    printed = capsys.readouterr()
    records = [json.loads(line) for line in printed.out.splitlines()]
    assert [record["frame"] for record in records] == list(range(7))
    assert set(records[0]["classes"]) == set(CLASSES)
    assert "레오" in printed.out
    assert "7 frames are in" in printed.err


def test_a_video_that_breaks_off_is_told_of(classifier, video, tmp_path, capsys):
    cut = tmp_path / "cut.avi"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    whole = Source(str(video)).expected
    try:
        with Source(str(cut)) as source:
            claimed = source.expected
    except DataError:
        pytest.skip("this build of OpenCV does not open it at all")
    assert cli.run(["live", str(classifier), "--source", str(cut), "--headless"]) == 0
    printed = capsys.readouterr()
    seen = len(printed.out.splitlines())
    assert 0 < seen < whole
    assert claimed <= seen or "may be damaged" in printed.err


# The clock of a film

APART = [40, 40, 500, 33, 17, 1200, 40, 40]
"""Milliseconds that frames are shown: a phone in changing light, and a gap."""
SHOWN = [sum(APART[:n]) / 1000 for n in range(len(APART))]


def cornered(count: int = len(APART)) -> list[Image.Image]:
    """Return frames, darker than grey and wider than high, whose upper left corner is green."""
    frames = [Image.new("RGB", (160, 96), (10 * n, 0, 0)) for n in range(count)]
    for frame in frames:
        frame.paste((0, 255, 0), (0, 0, 40, 40))
    return frames


@pytest.mark.parametrize("late", [0, 700])
def test_frames_are_timed_by_the_films_own_timestamps(classifier, tmp_path, capsys, late):
    path = tmp_path / "phone.mov"
    path.write_bytes(film(cornered(), APART, late=late))
    records = list(live(Live(classifier, str(path), headless=True), Console()))
    assert [record["seconds"] for record in records] == pytest.approx(SHOWN, abs=0.001)
    assert "timestamp" not in capsys.readouterr().err


def test_a_film_is_shown_in_step_with_its_timestamps(tmp_path):
    path = tmp_path / "phone.mov"
    path.write_bytes(film(cornered(5), [20, 20, 20, 600, 20]))
    with Source(str(path)) as source, Newest(source) as newest:
        started = time.monotonic()
        seen = [(frame.number, time.monotonic() - started) for frame in newest.frames()]
    assert seen[-1][0] == 4
    assert 0.6 < seen[-1][1] < 5
    assert all(at < 0.6 for number, at in seen if number < 4)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_film_that_lies_on_its_side_comes_upright(tmp_path, turn):
    path = tmp_path / "phone.mov"
    path.write_bytes(film(cornered(1), [40], turn=turn))
    (pixels,) = frames_of(path)
    upright = np.asarray(cornered(1)[0].rotate(-turn, expand=True)).astype(int)
    assert pixels.shape == upright.shape
    assert np.abs(pixels - upright).mean() < 10


def test_without_timestamps_the_rate_tells_and_that_is_said_once(tmp_path):
    path = tmp_path / "still.mov"
    path.write_bytes(film(cornered(), [40, 40, 0, 0, 0, 0, 40, 40]))
    said = []
    with Source(str(path), said.append) as source:
        seconds = [frame.seconds for frame in source.frames()]
        rate = source.rate
    assert np.diff(seconds).min() > 0
    assert seconds[:3] == pytest.approx([0, 0.04, 0.08], abs=0.001)
    assert np.diff(seconds[2:7]) == pytest.approx([1 / rate] * 4)
    (line,) = said
    assert line.startswith("Frame 3 ")


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([5.0, 5.1, 5.4], [0, 0.1, 0.4]),
        ([0.0, 0.0, 0.0], [0, 0.5, 1.0]),
        ([float("nan")] * 3, [0, 0.5, 1.0]),
        ([9.0, 9.1, 0.0, 0.1], [0, 0.1, 0.6, 1.1]),  # it starts over
        ([0.0, 0.2, 0.1, 2.0], [0, 0.2, 0.7, 2.0]),  # one frame is out of order
    ],
)
def test_a_clock_never_stops_or_goes_back(stamps, expected):
    said = []
    clock = Clock(2, said.append)
    assert [clock(stamp) for stamp in stamps] == pytest.approx(expected)
    usable = all(later > earlier for earlier, later in itertools.pairwise(stamps))
    assert len(said) == (0 if usable else 1)


def test_a_frame_that_is_damaged_is_passed_over_and_decoders_say_nothing(tmp_path, capfd):
    content = bytearray(film([draw(number) for number in range(4)], [40, 40, 300, 40]))
    second = content.index(b"\xff\xd8", content.index(b"\xff\xd9"))
    table = content.index(b"\xff\xc4", second)
    content[table + 4 : table + 30] = b"\xff" * 26  # FFmpeg would print that it knows no such table
    path = tmp_path / "damaged.mov"
    path.write_bytes(content)
    said = []
    with Source(str(path), said.append) as source:
        frames = list(source.frames())
    assert [frame.number for frame in frames] == [0, 2, 3]
    assert [frame.seconds for frame in frames] == pytest.approx([0, 0.08, 0.38], abs=0.001)
    (line,) = said
    assert "1 frames of" in line
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""


# The newest frame


class Camera:
    """A camera of numbered frames; like a real one, it waits for nobody."""

    is_file, rate, expected, name = False, 100.0, 0, "camera"

    def __init__(self, count: int, apart: float = 0.002, error: Exception | None = None) -> None:
        self.count, self.apart, self.error, self.given = count, apart, error, 0

    def frames(self):
        for number in range(self.count):
            self.given = number
            yield Frame(number, number * self.apart, np.full((120, 160, 3), number % 256, np.uint8))
            time.sleep(self.apart)
        if self.error:
            raise self.error


def test_a_slow_looker_gets_the_newest_frame_and_no_queue():
    camera, seen = Camera(200), []
    with Newest(camera) as newest:
        for frame in newest.frames():
            seen.append((frame.number, camera.given))
            time.sleep(0.03)
    numbers = [number for number, _ in seen]
    assert numbers == sorted(set(numbers))
    assert len(numbers) < 50  # of 200: the others were never kept
    assert all(given - number <= 2 for number, given in seen)  # what was handed over was the newest there was


def test_the_end_and_an_error_of_a_camera_reach_who_waits():
    with Newest(Camera(3)) as newest:
        assert [frame.number for frame in newest.frames()][-1] == 2
    with (
        Newest(Camera(2, error=DataError("unplugged"))) as newest,
        pytest.raises(DataError, match="unplugged"),
    ):
        list(newest.frames())


def test_leaving_does_not_wait_for_the_end():
    started = time.monotonic()
    with Newest(Camera(10**6)) as newest:
        assert newest.after(-1) is not None
    assert time.monotonic() - started < 10  # to the end would be half an hour


def test_a_video_is_shown_at_its_own_speed(video):
    with Source(str(video)) as source, Newest(source) as newest:
        started = time.monotonic()
        last = list(newest.frames())[-1]
        assert last.number == COUNT - 1
        assert time.monotonic() - started >= (COUNT - 1) / RATE - 0.05


def test_a_recording_keeps_the_pace_of_what_it_shows(tmp_path):
    out = tmp_path / "paced.avi"
    grey = [np.full((120, 160, 3), shade, np.uint8) for shade in (40, 120, 200)]
    with Recorder(out, 10) as recorder:
        for pixels, seconds in zip(grey, (0.0, 0.3, 0.31)):
            recorder.write(pixels, seconds)
    shades = [round(float(frame.mean()), -1) for frame in frames_of(out)]
    # The first stays until the second comes; the third came too soon after that to be seen.
    assert shades == [40, 40, 40, 120]


# The window


class FakeWindow:
    """Stands for the screen: keeps what is shown, and presses q in the end."""

    def __init__(self, most: int = 10**9) -> None:
        self.shown, self.most, self.thread = [], most, threading.current_thread()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def show(self, pixels):
        assert threading.current_thread() is self.thread  # as OpenCV's windows want it
        self.shown.append(pixels.copy())

    def ended(self):
        return len(self.shown) >= self.most


def test_the_window_shows_frames_faster_than_the_model_looks(classifier, monkeypatch):
    model = showtell.load(classifier, device="cpu")
    quick = model.from_pixels
    monkeypatch.setattr(model, "from_pixels", lambda pixels: (time.sleep(0.2), quick(pixels))[1])
    window = FakeWindow()
    found = list(Watch(model, Camera(150, 0.01), smooth=0).in_window(window))
    assert 2 <= len(found) < 20
    assert len(window.shown) > 2 * len(found)
    assert window.shown[0].shape == (360, 480, 3)
    last = window.shown[-1]
    assert len(np.unique(last[-40:, :100])) > 5  # bars and names are drawn
    assert len(np.unique(last[:40, -200:])) > 5  # and frames a second


def test_q_ends_the_window(classifier):
    model = showtell.load(classifier, device="cpu")
    started = time.monotonic()
    list(Watch(model, Camera(10**6), smooth=0).in_window(FakeWindow(most=5)))
    assert time.monotonic() - started < 5


def test_frames_limit_what_is_looked_at_in_a_window(classifier, video):
    model = showtell.load(classifier, device="cpu")
    with Source(str(video)) as source:
        found = list(Watch(model, source, smooth=0, max_frames=3).in_window(FakeWindow()))
    assert 1 <= len(found) <= 3


def test_a_fault_of_the_model_is_not_swallowed(classifier, monkeypatch):
    model = showtell.load(classifier, device="cpu")
    monkeypatch.setattr(model, "from_pixels", lambda pixels: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(Watch(model, Camera(10**6), smooth=0).in_window(FakeWindow()))


def test_the_command_opens_a_window_and_records_a_camera(classifier, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("showtell.video.live.Source", lambda name, say: FakeSource())
    monkeypatch.setattr("showtell.video.live.Window", FakeWindow)
    out = tmp_path / "out.avi"
    assert cli.run(["live", str(classifier), "--record", str(out)]) == 0
    assert capsys.readouterr().out == ""  # the window is what is looked at
    assert 20 <= len(frames_of(out)) <= 60  # 0.4 seconds at 100 frames a second


class FakeSource(Camera):
    def __init__(self) -> None:
        super().__init__(40, 0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


# What goes wrong


def refused(kind: type[ShowtellError], match: str, **settings) -> ShowtellError:
    with pytest.raises(kind, match=match) as caught:
        list(live(Live(**settings)))
    assert "\n" not in caught.value.what
    return caught.value


def test_what_is_no_source_is_named(classifier, tmp_path):
    (tmp_path / "text.mp4").write_text("not a video", encoding="utf-8")
    refused(DataError, "no video at .*없음.mp4", run=classifier, source=str(tmp_path / "없음.mp4"))
    refused(DataError, "cannot be opened", run=classifier, source=str(tmp_path / "text.mp4"))
    refused(DataError, "is a folder", run=classifier, source=str(tmp_path))
    refused(DataError, "no camera 99", run=classifier, source="99")
    refused(DataError, "no camera 9{25}", run=classifier, source="9" * 25)
    signed = f"http://127.0.0.1:9/film.mp4?signature={'x' * 400}"  # longer than the name of any file
    refused(DataError, "cannot be opened", run=classifier, source=signed, record=tmp_path / "out.mp4")
    error = refused(DataError, "stream", run=classifier, source="rtsp://me:secret@127.0.0.1:9/door")
    assert "secret" not in str(error)


def test_a_decomposed_name_is_found(classifier, tmp_path, video):
    import unicodedata

    path = tmp_path / unicodedata.normalize("NFD", "고양이.avi")
    path.write_bytes(video.read_bytes())
    assert list(live(Live(classifier, str(tmp_path / "고양이.avi"), headless=True, frames=1)))


def test_a_recording_that_cannot_be_is_refused_first(classifier, video, tmp_path):
    refused(ConfigError, "names no video", run="none", source="0", record=tmp_path / "out.gif")
    refused(ConfigError, "is the source", run=classifier, source=str(video), record=video)


def test_without_a_screen_the_message_says_what_works(classifier, video, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    error = refused(ConfigError, "no screen", run=classifier, source=str(video))
    assert "--headless" in error.hint


def test_an_opencv_without_windows_is_named(monkeypatch):
    def no_window(*_):
        raise cv2.error("The function is not implemented")

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "namedWindow", no_window)
    with pytest.raises(ConfigError, match="without windows") as caught, watching.Window():
        pass
    assert "opencv-python" in caught.value.run


def test_a_missing_opencv_names_the_extra(classifier, video, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    error = refused(MissingExtraError, "opencv-python", run=classifier, source=str(video))
    assert "showtell[live]" in error.run
