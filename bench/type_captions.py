"""Type people's captions as the page of `teach` is typed on, and count the words that Tab would have offered.

    python bench/type_captions.py ../shared/data/flickr8k ../shared/weights/mobilenetv2_100_tf \
        [--images 300] [--store DIR] [--without captioner|neighbours] [--out captions]

Photos of Flickr8k's training list get their first caption each, word by word, as on the page. Before a word
is begun, the offer is asked for: it counts where the first word offered is the person's own. The background
training runs between two captions. A share is that of 50 captions. With `--out`, the table is kept there,
and `train-captioner` takes it as it is.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path

import showtell.teaching.captioning
from record import add_results, record
from showtell.backbones.weights import load_backbone
from showtell.data.answers import AnswerTable
from showtell.data.readers import read_dataset
from showtell.data.records import AnnotatedImage
from showtell.data.source import DataSource
from showtell.runtime import limit_threads
from showtell.store.store import FeatureStore
from showtell.teaching.captioning import TABLE, Captioning
from showtell.teaching.pool import Pool
from showtell.text.words import join_words, words

WINDOW = 50
"""Captions of which a share is told."""
HEAD = (
    "captions",
    "words",
    "offered first",
    "among five",
    "ms median",
    "ms 95%",
    "trained on",
)


def photos(data: Path, count: int) -> dict[str, AnnotatedImage]:
    """Return photos of the training list, drawn at random once and for all."""
    listed = (data / "Flickr_8k.trainImages.txt").read_text("utf-8").split()
    chosen = set(random.Random(0).sample(sorted(listed), count))
    return {image.name: image for image in read_dataset(DataSource(data)).images if image.name in chosen}


def typed(state: Captioning, name: str, caption: str, times: list[float]) -> tuple[int, int, int]:
    """Type a caption; return how many words it has, how many were offered first, and how many among five."""
    before: list[str] = []
    first = among = 0
    for word in words(caption):
        start = join_words(before) + " " if before else ""
        before.append(word)
        began = time.perf_counter()
        offered = [one["text"] for one in state.suggest(name, start)["words"]]
        times.append(time.perf_counter() - began)
        first += offered[:1] == [join_words(before)]
        among += join_words(before) in offered
    return len(before), first, among


def main() -> None:
    """Type, count, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--without", choices=("captioner", "neighbours"))
    parser.add_argument("--out", type=Path, help="keep the table here")
    add_results(parser)
    arguments = parser.parse_args()
    limit_threads(1)
    images = photos(arguments.data, arguments.images)
    captions = {name: image.captions[0] for name, image in images.items()}
    if arguments.without:
        showtell.teaching.captioning._LEARNT_SHARE = 0.0 if arguments.without == "captioner" else 1.0
    backbone = load_backbone(None, str(arguments.weights))
    folder = arguments.out or Path(tempfile.mkdtemp(prefix="showtell-"))
    folder.mkdir(parents=True, exist_ok=True)
    root = next(iter(images.values())).path.parent
    pool = Pool(root, images, backbone, FeatureStore(arguments.store))
    pool._encode_some(list(images.values()))
    state = Captioning(pool, AnswerTable(folder / TABLE, "caption"))
    rows: list[tuple[int, int, int]] = []
    times: list[float] = []
    print("  ".join(HEAD))
    learning = last = 0.0
    while (name := next(iter(state.record()["next"]), None)) is not None:
        rows.append(typed(state, name, captions[name], times))
        state.answer(name, captions[name], "bench")
        began = time.perf_counter()
        if arguments.without != "captioner":
            state._learn_once()
        learning += time.perf_counter() - began
        if len(rows) % WINDOW == 0 or len(rows) == len(images):
            count, first, among = map(sum, zip(*rows[-WINDOW:]))
            times.sort()
            middle, late = (1000 * times[int(len(times) * share)] for share in (0.5, 0.95))
            last = first / count
            print(f"{len(rows):8}  {count:5}  {first / count:13.1%}  {among / count:10.1%}  "
                  f"{middle:9.1f}  {late:6.1f}  {state.learner.learnt:10}", flush=True)  # fmt: skip
            times.clear()
    after = rows[WINDOW:]
    count, first, among = map(sum, zip(*after))
    figures = {
        "offered_first": first / count,
        "among_five": among / count,
    }
    shown = ", ".join(f"{name} {value:.1%}" for name, value in figures.items())
    print(f"from caption {WINDOW} on, {count} words: {shown}; {learning:.0f} s of training in all")
    record("type_captions", figures | {"last": last, "training_s": learning}, arguments)
    print(f"table: {state.table.path}; showtell train-captioner {state.table.path} --images {root}")


if __name__ == "__main__":
    main()
