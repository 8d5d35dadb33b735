"""Say what pictures show, with an exported model: onnxruntime, Pillow and NumPy are all it needs.

    python run.py PICTURE...

``model.json``, beside this file, tells how pictures become pixels and how numbers become words.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

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
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        files = self.about["int8_files" if int8 else "files"]
        self.graphs = {
            part: onnxruntime.InferenceSession(folder / file, options, providers=["CPUExecutionProvider"])
            for part, file in files.items()
        }

    def run(self, part: str, inputs: Arrays) -> Arrays:
        """Run a graph; return its outputs by name."""
        graph = self.graphs[part]
        return {out.name: value for out, value in zip(graph.get_outputs(), graph.run(None, inputs))}

    def pixels(self, path: Path) -> np.ndarray:
        """Read a picture upright, on white, and resized: (3, height, width), uint8; the graph normalises."""
        want = self.about["preprocessing"]
        image: Image.Image = Image.open(path)
        if image.format in ("JPEG", "MPO"):  # let the decoder shrink, to at least twice the size needed
            on_its_side = image.getexif().get(0x0112, 1) >= 5
            across, down = image.size[::-1] if on_its_side else image.size
            width, height = self._scaled_size(across, down)
            image.draft(None, (2 * height, 2 * width) if on_its_side else (2 * width, 2 * height))
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # 16 bits: the upper 8 of them
            image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
        if image.has_transparency_data:
            rgba = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        image = image.convert("RGB")
        scaled = self._scaled_size(*image.size)
        image = image.resize(scaled, Image.Resampling[want["interpolation"].upper()])
        height, width = want["height"], want["width"]
        left, top = (scaled[0] - width) // 2, (scaled[1] - height) // 2
        return np.asarray(image)[top : top + height, left : left + width].transpose(2, 0, 1)

    def _scaled_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the size to which a picture is scaled: the input's, or where a crop follows, no less."""
        want = self.about["preprocessing"]
        if want["fit"] == "whole":
            return want["width"], want["height"]
        target = int(want["width"] / want["crop_pct"]), int(want["height"] / want["crop_pct"])
        scale = max(target[0] / width, target[1] / height)
        return max(target[0], round(width * scale)), max(target[1], round(height * scale))

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Name pictures: (B, 3, height, width), uint8, to (B, classes)."""
        return self.run("classifier", {"pixels": pixels})["probabilities"]

    def captions(self, pixels: np.ndarray, beam_size: int | None = None) -> list[tuple[list[int], float]]:
        """Caption a picture, (3, height, width), uint8, by beam search.

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
            # Log-probabilities only fall: can a growing caption still become one of the best?
            bound = total[0] / how["max_length"] ** how["length_penalty"]
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


def main() -> None:
    """Say what the pictures show that the command line names."""
    parser = argparse.ArgumentParser(description="Say what pictures show.")
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--int8", action="store_true", help="take the smaller graphs")
    arguments = parser.parse_args()
    model = ExportedModel(Path(__file__).parent, int8=arguments.int8)
    for path in arguments.pictures:
        pixels = model.pixels(path)
        if model.about["kind"] == "captioner":
            said = model.text(model.captions(pixels)[0][0])
        else:
            shares = model.probabilities(pixels[None])[0]
            top = np.argsort(-shares, kind="stable")[:5]
            said = ", ".join(f"{model.about['classes'][place]} {shares[place]:.1%}" for place in top)
        sys.stdout.write(f"{path}\t{said}\n")


if __name__ == "__main__":
    main()
