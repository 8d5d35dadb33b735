"""Say what images show, with an exported model: onnxruntime, Pillow and NumPy are all it needs.

    python run.py PICTURE...

``model.json``, beside this file, tells how images become pixels and how numbers become words; the folder
``showtell_pixels`` reads images as the package does that made the model.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

from showtell.data.pixels.files import MAX_PIXELS, images_at
from showtell.data.pixels.opening import open_image
from showtell.data.pixels.preprocessing import Preprocessing
from showtell.errors import ImageError

Arrays = dict[str, np.ndarray]


class ExportedModel:
    """A captioner or a classifier, as exported.

    Args:
        folder: Where model.json lies.
        int8: Whether to take the smaller graphs.
        threads: Threads of one operation; 0 for one a core.
    """

    def __init__(self, folder: Path, *, int8: bool = False, threads: int = 0) -> None:
        self.about: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        if (longest := self.about.get("search", {}).get("max_length", 0)) > 1000:  # might not end
            raise ValueError(f"model.json asks for captions of {longest} tokens; 1,000 is the most.")
        self.preprocessing = Preprocessing(**self.about["preprocessing"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        files = self.about["int8_files"] if int8 else self.about["files"]
        self.graphs = {
            part: onnxruntime.InferenceSession(folder / file, options, providers=["CPUExecutionProvider"])
            for part, file in files.items()
        }

    def run(self, part: str, inputs: Arrays) -> Arrays:
        """Run a graph; return its outputs by name."""
        graph = self.graphs[part]
        return {out.name: value for out, value in zip(graph.get_outputs(), graph.run(None, inputs))}

    def pixels(self, path: Path) -> np.ndarray:
        """Read an image: (3, height, width), uint8; the graph normalises. ImageError where it cannot."""
        image = open_image(path, shrink_to=self.preprocessing)
        height, width = self.preprocessing.scaled_size(image.height, image.width)
        if height * width > MAX_PIXELS:
            raise ImageError(f"{path} is a strip of {image.width}x{image.height}, too long to crop.")
        # One level of 255 from the package's resizing at most; the same size is not resampled.
        image = image.resize((width, height), Image.Resampling[self.preprocessing.interpolation.upper()])
        rows, columns = self.preprocessing.window((height, width))
        return np.asarray(image)[rows, columns].transpose(2, 0, 1)

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Name images: (B, 3, height, width), uint8, to (B, classes)."""
        return self.run("classifier", {"pixels": pixels})["probabilities"]

    def captions(self, pixels: np.ndarray, beam_size: int | None = None) -> list[tuple[list[int], float]]:
        """Caption an image, (3, height, width), uint8, by beam search.

        Returns:
            Token ids and log-probability of up to ``beam_size`` captions, best first.
        """
        how = self.about["search"]
        beam_size = beam_size or how["beam_size"]
        seen = self.run("encoder", {"pixels": pixels[None]})
        memory = {name: seen[name] for name in how["memory"]}
        state = {name: seen[name] for name in how["state"]}
        growing: list[list[int]] = [[]]
        total, tokens = np.zeros(1, np.float32), np.array([[how["bos_id"]]])
        finished: list[tuple[float, int, int, list[int], float]] = []
        for length in range(1, how["max_length"] + 1):
            step = self.run("decoder", {"token_ids": tokens} | memory | state)
            log_probs = step["log_probs"][0]  # (beam, vocabulary)
            log_probs[:, how["never"]] = -np.inf
            candidates = total[:, None] + log_probs
            ending = candidates[:, how["eos_id"]].copy()
            candidates[:, how["eos_id"]] = -np.inf
            best = np.argsort(-candidates, axis=None, kind="stable")[:beam_size]
            total = candidates.ravel()[best]
            # A caption ends where its end ranks among the best continuations.
            for row in np.flatnonzero((ending >= total[-1]) & np.isfinite(ending)):
                score = ending[row] / length ** how["length_penalty"]
                finished.append((float(score), length, int(row), growing[row], float(ending[row])))
            finished = sorted(finished, reverse=True)[:beam_size]
            rows, words = np.divmod(best, candidates.shape[1])
            growing = [[*growing[row], int(word)] for row, word in zip(rows, words)]
            # Would a growing caption become one of the best if its next words were certain?
            bound = total[0] / min(how["max_length"], length + 1 + how["ahead"]) ** how["length_penalty"]
            full = len(finished) == beam_size and (beam_size == 1 or finished[-1][0] >= bound)
            if full or not np.isfinite(bound):
                break
            tokens, state = words[None], {name: step[f"next_{name}"][:, rows] for name in how["state"]}
        cut = [(ids, float(score)) for ids, score in zip(growing, total) if np.isfinite(score)]
        return ([(ids, score) for *_, ids, score in finished] + cut)[:beam_size]

    def text(self, token_ids: list[int]) -> str:
        """Write token ids as a person would."""
        words, text, glued = self.about["words"], "", True
        for token_id in token_ids:
            piece = words["pieces"][token_id]
            text += piece.lstrip(" ") if glued else piece
            glued = token_id in words["no_blank_after"]
        # Pieces of a byte-level vocabulary are bytes, written as the letters of those numbers.
        return (text.encode("latin-1").decode("utf-8", "replace") if words["bytes"] else text).strip()

    def say(self, path: Path) -> str:
        """Say what an image shows: its caption, or its five likeliest classes."""
        pixels = self.pixels(path)
        if "classes" not in self.about:
            return self.text(self.captions(pixels)[0][0])
        shares = self.probabilities(pixels[None])[0]
        top = np.argsort(-shares, kind="stable")[:5]
        return ", ".join(f"{self.about['classes'][place]} {shares[place]:.1%}" for place in top)


def main() -> int:
    """Say what the images show that the command line names; 2 where one cannot be read."""
    parser = argparse.ArgumentParser(description="Say what images show.")
    parser.add_argument("images", nargs="+", help="images, folders of them, and patterns")
    parser.add_argument("--int8", action="store_true", help="take the smaller graphs")
    arguments = parser.parse_args()
    model, status = ExportedModel(Path(__file__).parent, int8=arguments.int8), 0
    found = [path for given in arguments.images for path in images_at(given) or [Path(given)]]
    for path in dict.fromkeys(found):
        try:
            text, out = model.say(path), sys.stdout
        except ImageError as error:
            text, out, status = f"not read: {error.what}", sys.stderr, 2
        line = f"{path}\t{text}\n"  # a name that is not UTF-8 is shown escaped
        out.write(line.encode("utf-8", "backslashreplace").decode("utf-8"))
    return status


if __name__ == "__main__":
    sys.exit(main())
