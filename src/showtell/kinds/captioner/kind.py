"""The captioner as a kind of model."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from showtell.console import Console
from showtell.data.annotated import read_annotated
from showtell.data.records import Dataset
from showtell.data.source import DataSource
from showtell.evaluation.intervals import Ints
from showtell.evaluation.paired import Paired
from showtell.kinds.captioner.coco import write_coco_results
from showtell.kinds.captioner.comparison import compare_captions
from showtell.kinds.captioner.evaluation import CaptionEvaluation, evaluate_captions
from showtell.kinds.captioner.model import NAME, CaptionerModel
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.kind import Kind, Question, Reported
from showtell.runs.records import JsonObject
from showtell.runs.run import Run


class CaptionerKind(Kind):
    """From images and captions to a model that captions."""

    name = NAME
    Settings = TrainCaptioner
    Model = CaptionerModel
    exports = True

    def read(self, source: DataSource, console: Console) -> Dataset:
        """Read captions."""
        return read_annotated(source, "captions", console)

    def train(self, settings: TrainCaptioner, console: Console | None = None) -> Run:
        """Train a captioner."""
        from showtell.kinds.captioner.train import train_captioner  # imports the training, which use does not

        return train_captioner(settings, console)

    def evaluate(self, model: CaptionerModel, question: Question) -> CaptionEvaluation:
        """Caption the images and score the captions.

        Raises:
            DataError: No image has a caption.
        """
        beam_size = question.beam_size or model.beam_size
        return evaluate_captions(model.captioner, question, beam_size=beam_size)

    def export_results(self, lines: Iterable[JsonObject], out: Path) -> Path:
        """Write captions as COCO results; return the file of their references."""
        return write_coco_results(lines, out)

    def compare(
        self, first: Sequence[JsonObject], second: Sequence[JsonObject], groups: Ints | None
    ) -> Paired:
        """Compare two captioners on the same images."""
        return compare_captions(first, second, groups)

    def report(self, reported: Reported) -> Path:
        """Write the report of a captioner."""
        from showtell.kinds.captioner.report import report_captioner  # matplotlib takes a second to load

        return report_captioner(reported)
