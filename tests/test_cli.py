"""The command line: quick help, one message for every mistake, answers for what can be answered."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest

import showtell
from conftest import ENDED, draw, settings_file
from showtell import Predict, TrainCaptioner, __version__, cli
from showtell.commands import COMMANDS, find
from showtell.samples import write_captions_dataset

NETWORK = ["--backbone", "mobilenetv3_small_050", "--weights", "random"]
EXTRACTING = [*NETWORK, "--image-size", "32"]
SMALL = [*NETWORK, *settings_file(image_size=32, hidden_dim=16)]
FORKS = pytest.mark.filterwarnings("ignore:This process")  # is multi-threaded; those threads are idle
HEAVY = {"torch", "timm", "torchvision", "tokenizers", "matplotlib", "lmdb", "PIL", "numpy"}


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    """Run the command line in this process; return exit status, stdout and stderr."""
    capsys.readouterr()
    try:
        status = cli.run([str(argument) for argument in arguments])
    except SystemExit as stop:  # how the parser ends
        status = int(stop.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("자료")
    write_captions_dataset(folder, language="en", count=40, seed=1)
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "첫 번째"
    arguments = [
        "train-captioner",
        str(data / "captions.json"),
        "--out",
        str(folder),
        "--epochs",
        "1",
        *SMALL,
    ]
    assert cli.run(arguments) in ENDED
    return folder


HELP = """
import sys, time
started = time.perf_counter()
from showtell import cli
try:
    cli.run(sys.argv[1:])
except SystemExit as stop:
    assert not stop.code
print("SECONDS", time.process_time(), "HEAVY", *sorted(set(%r) & set(sys.modules)))
"""


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_quick_and_imports_nothing_heavy(command):
    """The budget is processor time, since other work may hold the cores: 0.3 s on a quiet machine."""
    arguments = [command, "--help"] if command else ["--help"]
    child = subprocess.run(
        [sys.executable, "-c", HELP % (HEAVY if command else HEAVY | {"tyro"},), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    *text, last = child.stdout.splitlines()
    seconds, heavy = re.fullmatch(r"SECONDS (\S+) HEAVY ?(.*)", last).groups()
    assert heavy == ""
    assert float(seconds) < 0.8
    assert "usage: showtell" in "\n".join(text)


def test_help_of_a_command_gives_each_setting_its_meaning(capsys):
    for command in COMMANDS:
        status, out, _ = run(capsys, command, "--help")
        assert status == 0
        assert re.sub(r"\s+", " ", out).count("Example: showtell " + command) >= 2, command
        assert len(re.findall(r"^│ --", out, re.M)) <= 20, command
        assert "None" not in out, command  # it says what happens without a setting


def test_the_overview_says_what_the_settings_say(capsys):
    """It is written without them, so that it need not import the parser."""
    for command in COMMANDS.values():
        assert command.summary == find(command.settings).__doc__.split("\n\n")[0]
    status, out, _ = run(capsys, "--help")
    assert status == 0
    assert all(command.summary in re.sub(r"\s+", " ", out) for command in COMMANDS.values())


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"showtell {__version__}\n", "")


def test_no_arguments_show_the_help(capsys):
    status, out, _ = run(capsys)
    assert status == 0
    assert "train-captioner" in out


def in_a_terminal(*arguments: str, **environment: str) -> str:
    """Return what a command writes where it sees a terminal."""
    mine, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "showtell", *arguments], stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm-256color", **environment},
    ):  # fmt: skip
        os.close(theirs)
        parts = []
        try:
            while part := os.read(mine, 4096):
                parts.append(part)
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(mine)
    return b"".join(parts).decode()


def test_no_color_is_respected():
    colour = re.compile(r"\x1b\[[0-9;]*3[0-9]")
    assert not colour.search(in_a_terminal("extract", "--help", NO_COLOR="1"))
    assert not colour.search(in_a_terminal("extract", NO_COLOR="1"))


def mistakes(data: Path, trained: Path, tmp: Path) -> list[tuple[list[object], str]]:
    photo = data / "images" / "test_00000.png"
    table = data / "captions.json"
    empty, plain, labels = tmp / "empty", tmp / "file", tmp / "labels.csv"
    empty.mkdir()
    plain.write_text("x")
    labels.write_text("image,label\na.png,cat\n")
    return [
        (["nonsense"], "nonsense"),
        (["extract"], "DATA"),
        (["extract", table, "--no-such-flag", "3"], "no-such-flag"),
        (["predict", trained, photo, "--beam-size", "zwei"], "beam-size"),
        (["predict", trained, photo, "--beam-size", "0"], "--beam-size 0 is out of range"),
        (["predict", trained, photo, "--seed", "3"], "--random does not say how many"),
        (["predict", trained], "No image was given"),
        (["predict", trained, tmp / "없음.jpg"], "There is no image at"),
        (["predict", trained, tmp / "*.jpg"], "There is no image at"),
        (["predict", trained, empty], "There is no image at"),
        (["predict", trained, photo, "--save-plot", plain / "a.png"], "file"),
        (["predict", empty, photo], "There is no model in"),
        (["predict", tmp / "nowhere", photo], "nowhere"),
        (["predict", trained.parent, photo], f"There is one in {trained}"),
        (["predict", "mobilenetv2_10", photo], "timm knows no network of that name"),
        (
            ["predict", trained, data / "images", "--save-plot", tmp / "one.png"],
            "is one file, for 40 images",
        ),
        (["evaluate", empty], "There is no"),
        (["evaluate", trained, "--split", "dev"], "split"),
        (["extract", tmp / "nowhere"], "There is no file or folder"),
        (["extract", empty, *NETWORK], "empty"),
        (["extract", table, "--backbone", "mobilenet_v9"], "knows no network"),
        (["extract", table, "--weights", tmp / "no.pth"], "There are no weights at"),
        (["extract", table, "--weights", empty], "holds no weights of a network"),
        (
            ["extract", table, "--weights", plain, "--backbone", "resnet18"],
            "damaged, or holds more than tensors",
        ),
        (["extract", table, *NETWORK, "--image-size", "31"], "--image-size 31 is out of range"),
        (["extract", table, *NETWORK, "--format", "xml"], "xml"),
        (["extract", table, *EXTRACTING, "--store", plain], "cannot be used"),
        (["train-captioner", labels, *SMALL, "--out", tmp / "o"], "labels"),
        (["train-captioner", table, *SMALL, "--out", trained], "holds a training already"),
        (["train-captioner", table, *SMALL, "--out", plain], "is a file"),
        (["train-captioner", data, *SMALL, "--out", data], "is the folder of what is learnt from"),
        (["train-captioner", table, *SMALL, "--seed", str(2**64)], "is out of range"),
        (["train-captioner", table, *SMALL, "--val-size", "inf"], "neither a share nor a count"),
        (["evaluate", trained, "--out", plain], "is a file"),
        (["evaluate", trained, "--out", trained], "keeps the scores of its own model and data"),
        (
            ["train-captioner", table, *SMALL, "--out", tmp / "o", *settings_file(learning_rate=2)],
            "out of range",
        ),
        (
            ["train-captioner", table, *SMALL, "--out", tmp / "o", "--epochs", "0"],
            "--epochs 0 is out of range",
        ),
        (["store", "--remove", "resnet1"], "has no space resnet1"),
        (["store", "--remove", "../.."], "has no space ../.."),
    ]


def test_every_mistake_ends_with_2_and_a_message(data, trained, tmp_path, capsys):
    for arguments, words in mistakes(data, trained, tmp_path):
        status, _, err = run(capsys, *arguments)
        assert status == 2, (arguments, err)
        assert words in re.sub(r"\s*│\s*", " ", err), (arguments, err)
        assert "Traceback" not in err, arguments


def test_debug_shows_the_traceback(capsys, tmp_path):
    for arguments in (["--debug", "extract", tmp_path / "x"], ["extract", tmp_path / "x", "--debug"]):
        status, _, err = run(capsys, *arguments)
        assert status == 2
        assert "Traceback" in err
        assert err.rstrip().splitlines()[-2].startswith("showtell: There is no file")


def test_a_full_disk_and_our_own_faults_are_said_without_a_traceback(capsys, monkeypatch):
    def fail(error: Exception):
        def call(settings):
            raise error

        return call

    monkeypatch.setattr(cli, "_call", fail(OSError(28, "No space left on device", "/mnt/x")))
    status, _, err = run(capsys, "store")
    assert (status, "Traceback" in err) == (2, False)
    assert "No space left on device" in err
    monkeypatch.setattr(cli, "_call", fail(ZeroDivisionError("by zero")))
    status, _, err = run(capsys, "store")
    assert (status, "Traceback" in err) == (1, False)
    assert "ZeroDivisionError: by zero" in err
    assert "--debug" in err
    assert "Traceback" in run(capsys, "store", "--debug")[2]


def test_extract_and_store_print_json(data, capsys, tmp_path):
    store = ["--store", tmp_path / "s"]
    status, out, err = run(capsys, "extract", data / "captions.json", *EXTRACTING, *store, "--json")
    result = json.loads(out)
    assert status == 0
    assert (result["images"], result["computed"], result["unreadable"]) == (40, 40, {})
    assert "40" in err
    _, out, _ = run(capsys, "extract", data / "images", *EXTRACTING, *store, "--json")
    assert json.loads(out)["computed"] == 0
    _, out, _ = run(capsys, "store", *store, "--json")
    (space,) = json.loads(out)
    assert (space["space"], space["records"]) == (result["space"], 40)
    assert space["architecture"] == "mobilenetv3_small_050"
    status, out, _ = run(capsys, "store", *store, "--remove", "mobilenetv3_small_050", "--json")
    assert (status, json.loads(out)) == (0, [])


def test_predict_answers_what_it_can(trained, capsys, tmp_path):
    folder = tmp_path / "사진"
    (folder / "안").mkdir(parents=True)
    for number, name in enumerate(("가.png", "b.jpg", "안/c.webp")):
        draw(number).save(folder / name)
    (folder / "bad.jpg").write_bytes(b"<html>")
    (folder / "notes.txt").write_text("no image")
    status, out, err = run(capsys, "predict", trained, folder)
    assert status == 2
    assert len(out.splitlines()) == 3
    assert all("\t" in line for line in out.splitlines())
    assert [line for line in err.splitlines() if line.startswith("showtell: ")] == [
        f"showtell: {folder / 'bad.jpg'} is not an image: it holds a web page or an XML text."
    ]
    status, out, _ = run(capsys, "predict", trained, folder, folder / "b.jpg", "--json")
    records = [json.loads(line) for line in out.splitlines()]
    assert status == 2
    assert [Path(record["image"]).name for record in records] == ["b.jpg", "bad.jpg", "가.png", "c.webp"]
    assert ["error" in record for record in records] == [False, True, False, False]
    for record in records:
        if "error" not in record:
            assert record["log_probability"] <= 0
            assert all(0 <= word["probability"] <= 1 for word in record["words"])
    status, out, err = run(capsys, "predict", trained, folder / "*.png")
    assert (status, len(out.splitlines())) == (0, 1)
    assert run(capsys, "predict", trained, folder / "**" / "*.webp")[0] == 0


def test_predict_finds_names_typed_composed_and_stored_decomposed(trained, capsys, tmp_path):
    draw(1).save(tmp_path / unicodedata.normalize("NFD", "고양이.png"))
    for typed in ("고양이.png", "고양*"):
        assert run(capsys, "predict", trained, tmp_path / unicodedata.normalize("NFC", typed))[0] == 0


def test_one_image_gives_its_caption_alone(trained, capsys, tmp_path):
    draw(1).save(tmp_path / "a [1].png")  # a pattern, if it were no file
    status, out, _ = run(capsys, "predict", trained, tmp_path / "a [1].png")
    assert status == 0
    assert "\t" not in out
    assert out.count("\n") == 1


def test_drawings_of_images_of_one_name_do_not_replace_each_other(trained, capsys, tmp_path):
    for number, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        draw(number).save(tmp_path / folder / "cat.png")
    out = tmp_path / "drawn"
    status, _, err = run(capsys, "predict", trained, tmp_path / "a", tmp_path / "b", "--save-plot", out)
    assert status == 0, err
    assert sorted(path.name for path in out.iterdir()) == ["cat-2.png", "cat.png"]
    one = tmp_path / "new" / "why.png"
    assert run(capsys, "predict", trained, tmp_path / "a" / "cat.png", "--save-plot", one)[0] == 0
    assert one.is_file()


def test_no_drawing_takes_the_place_of_an_image(trained, capsys, tmp_path):
    photo = tmp_path / "cat.png"
    draw(1).save(photo)
    before = photo.read_bytes()
    for asked, out in ((photo, photo), (photo, tmp_path), (tmp_path, tmp_path)):
        status, _, err = run(capsys, "predict", trained, asked, "--save-plot", out)
        assert status == 2
        assert f"would write a drawing over {photo}" in err
    other = tmp_path / "dog.jpg"
    draw(2).save(other)
    draw(2).save(tmp_path / "dog.png")  # somebody's, of which nothing is asked
    kept = (tmp_path / "dog.png").read_bytes()
    assert "beside the images" in run(capsys, "predict", trained, other, "--save-plot", tmp_path)[2]
    assert (tmp_path / "dog.png").read_bytes() == kept
    assert photo.read_bytes() == before


def forked(out: int | None, *arguments: object, encoding: str = "utf-8") -> int:
    """Run the whole program in a child that has torch already; return its process id."""
    process = os.fork()
    if process:
        if out is not None:
            os.close(out)
        return process
    status: object = 99
    try:
        sys.stdout = None if out is None else open(out, "w", encoding=encoding)  # noqa: SIM115, PTH123
        sys.argv = ["showtell", *map(str, arguments)]
        cli.main()
    except SystemExit as stop:
        status = stop.code
        sys.stdout.flush()  # as the interpreter does at its end
    finally:
        os._exit(status if isinstance(status, int) else 99)


def status_of(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@FORKS
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp949", "utf-8"])
def test_output_that_a_terminal_cannot_show_is_no_crash(trained, tmp_path, encoding):
    """A terminal of another alphabet, and a file name that is no text at all: what is JSON stays JSON."""
    draw(1).save(tmp_path / "그림 é😀.png")
    with open(os.fsencode(tmp_path) + b"/\xff.png", "wb") as file:  # noqa: PTH123
        draw(2).save(file, "PNG")
    hear, tell = os.pipe()
    process = forked(tell, "predict", trained, tmp_path, "--json", encoding=encoding)
    with open(hear, encoding="utf-8") as lines:  # noqa: PTH123
        names = [Path(json.loads(line)["image"]).name for line in lines]
    assert status_of(process) == 0
    assert names == ["\udcff.png", "그림 é😀.png"]


@FORKS
@pytest.mark.parametrize("given", [["--version"], ["predict", "nowhere", "nothing.png"]])
def test_a_stdout_that_is_closed_is_no_fault(given, capfd):
    """As for a service that is started with `>&-`."""
    assert status_of(forked(None, *given)) == (0 if given == ["--version"] else 2)
    assert "Traceback" not in capfd.readouterr().err


@FORKS
def test_a_closed_pipe_ends_quietly(trained, data, capfd):
    hear, tell = os.pipe()
    os.close(hear)  # before the fork: a child that held it open would wait for itself
    process = forked(tell, "predict", trained, data / "images", "--json")
    assert status_of(process) == 141
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"{data / 'images'}: "), "what the folder holds is said, and nothing else"


def test_evaluate_prints_json(trained, capsys):
    status, out, _ = run(capsys, "evaluate", trained, "--json")
    record = json.loads(out)
    assert status == 0
    assert record["split"] == "test"
    assert record["images"] > 0
    assert all(low <= record["scores"][name] <= high for name, (low, high) in record["intervals_95"].items())


@FORKS
def test_ctrl_c_leaves_a_training_that_goes_on(data, capsys, tmp_path):
    out = tmp_path / "run"
    command = ["train-captioner", data / "captions.json", "--out", out, "--epochs", "40", *SMALL]
    process = subprocess.Popen(
        [sys.executable, "-m", "showtell", *map(str, command)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    metrics = out / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not metrics.exists() or metrics.read_text(encoding="utf-8").count("\n") < 4:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGSTOP)  # or it may have ended when it is interrupted
    for more in ([], ["--resume"]):
        status, _, err = run(capsys, *command, *more)
        assert status == 2
        assert f"Another training writes into {out} at this moment." in err
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert said.endswith("stopped; what is finished is kept, --resume goes on with the training\n")
    assert "\r" not in said  # plain lines, where no terminal is
    assert (out / "checkpoints" / "last.safetensors").is_file()
    status, _, err = run(capsys, "predict", out, data / "images")
    assert status == 2
    assert "is not finished" in err
    assert "--resume" in err
    assert "holds a training already" in run(capsys, *command)[2]
    status, _, err = run(capsys, *command, "--resume")
    assert status in ENDED, err
    assert "Resuming after step" in err
    steps = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    numbers = [record["step"] for record in steps if "loss" in record]
    assert numbers == list(range(1, len(numbers) + 1))
    assert run(capsys, "predict", out, data / "images")[0] == 0


@pytest.mark.parametrize(
    ("given", "rounds"),
    [({}, "3000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")],
)
def test_waiting_threads_sleep_soon_unless_told_otherwise(given, rounds):
    code = (
        "import os, sys\n"
        "from showtell import cli\n"
        "cli.run = lambda _: print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)\n"
        "cli.main()\n"
    )
    kept = {name: value for name, value in os.environ.items() if "OMP_" not in name}
    environment = kept | {"PYTHONPATH": os.pathsep.join(sys.path)} | given
    child = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert child.stdout == f"{rounds} False\n"


def test_the_program_ends_at_once_but_not_before_all_is_done():
    """What was registered for the end is done, output into a pipe is whole, the status is the command's."""
    child = subprocess.run(
        [
            sys.executable,
            "-c",
            "import atexit, gc, sys\n"
            "from showtell import __main__, cli\n"
            "class Late:\n"
            "    def __del__(self): print('taken apart')\n"
            "cli.late = Late()\n"
            "cli.run = lambda _: (print('x' * 100_000), atexit.register(print, 'last'), 3)[2]\n"
            "__main__.program()\n",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (child.returncode, child.stderr) == (3, "")
    assert child.stdout == "x" * 100_000 + "\nlast\n"


@pytest.mark.parametrize("watch", ["sys.settrace(lambda *_: None)", "sys.modules['coverage'] = sys"])
def test_a_program_that_is_watched_ends_as_ever(watch):
    """A tracer may have registered what it does at the end before the program began."""
    code = (
        "import atexit, sys\n"
        "atexit.register(print, 'the tool writes')\n"
        f"{watch}\n"
        "from showtell import __main__, cli\n"
        "cli.run = lambda _: 3\n"
        "__main__.program()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (child.returncode, child.stderr, child.stdout) == (3, "", "the tool writes\n")


def test_a_command_that_does_not_exist_is_told_with_its_neighbour(capsys):
    status, _, said = run(capsys, "evalute", "runs/mine")
    assert status == 2
    assert "no command 'evalute'" in said and "Did you mean evaluate?" in said


def test_what_may_not_be_written_is_said_in_words(capsys, monkeypatch):
    def refuse(settings, console):
        raise PermissionError(13, "Permission denied", "ro/run")

    monkeypatch.setattr("showtell.store.command.list_store", refuse)
    status, _, said = run(capsys, "store")
    assert status == 2
    assert "ro/run may not be read or written by this user" in said and "Errno" not in said


def test_settings_take_names_of_files_as_text():
    settings = TrainCaptioner(data="photos/captions.csv", out="runs/mine", weights="random")
    assert (settings.data, settings.out) == (Path("photos/captions.csv"), Path("runs/mine"))
    assert settings.weights == "random"
    assert Predict(run="runs/mine", images=("a.jpg",)).run == Path("runs/mine")
    assert {"load", "train_captioner", "TrainCaptioner"} <= set(dir(showtell))
