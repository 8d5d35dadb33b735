"""A captioner that learns while captions are written: trained again in the background, from where it stood.

Small and short, so that it is there after a few dozen captions; ``train-captioner`` makes the real one of the
table. The features are those of the store.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from showtell.data.records import AnnotatedImage
from showtell.errors import ModelError
from showtell.extraction.features import Features
from showtell.kinds.captioner.data import CaptionData
from showtell.kinds.captioner.model import CaptionerModel
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.captioner.task import CaptionTask
from showtell.kinds.captioner.train import build_captioner
from showtell.kinds.model_folder import load_model
from showtell.models.captioner import Captioner
from showtell.runtime import choose_device
from showtell.text.tokenizer import CaptionTokenizer
from showtell.training.gradient import compute_gradient
from showtell.training.schedule import LoopConfig, adamw, learning_rate

FIRST = 24
"""Captions from which there is something to learn: the second dozen."""
_GROWTH, _LEAST = 0.3, 8
"""Share of more captions, and their least number, after which it is trained again."""
_STEPS, _MORE_STEPS = 160, 80
"""Of the first training, and of each further one."""
_RATE = 2e-3
_SETTINGS = TrainCaptioner(Path(), batch_size=8, hidden_dim=128, dropout=0.3, scst_epochs=0, beam_size=1)


class CaptionLearner:
    """Trains a captioner on what has been written so far.

    Args:
        start: A captioner to begin from, of the same network's features; None to begin from nothing.

    Attributes:
        captioner: The newest one, in evaluation mode; replaced as a whole, never changed. None before that.
        learnt: Captions that it was trained on.
    """

    def __init__(self, start: Captioner | None = None) -> None:
        self.captioner, self.learnt = start, 0

    def is_due(self, captions: int) -> bool:
        """Say whether so many captions are worth another training."""
        if captions < FIRST:
            return False
        return captions - self.learnt >= (max(_LEAST, _GROWTH * self.learnt) if self.learnt else 1)

    def learn(
        self, features: Features, captions: Mapping[str, Sequence[str]], going_on: Callable[[], bool]
    ) -> bool:
        """Train on captions; return whether it came to its end.

        Args:
            features: Of the images, and perhaps of more.
            captions: By the image's name.
            going_on: Asked at every step whether to go on.
        """
        images = [AnnotatedImage(name, Path(name), tuple(said)) for name, said in captions.items()]
        texts = [text for image in images for text in image.captions]
        data = CaptionData(features, images, images[:1])
        if self.captioner is None:
            tokenizer = CaptionTokenizer.train(texts, min_count=1)
            captioner = build_captioner(_SETTINGS, tokenizer, data)
        else:
            captioner = self.captioner.grown(self.captioner.tokenizer.grown(texts))
        task = CaptionTask(captioner, data, _SETTINGS)
        if self.captioner is None:
            captioner.decoder.fit_word_bias(task.token_counts())
        steps = _STEPS if self.captioner is None else _MORE_STEPS
        config = LoopConfig(1, learning_rate=_RATE, warmup_steps=steps // 10)
        optimizer = adamw(captioner.decoder, config)
        captioner.train()
        for step in range(steps):
            if not going_on():
                return False
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step, steps)
            compute_gradient(task, task.loss, *divmod(step, task.steps_per_epoch), config.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
        self.captioner, self.learnt = captioner.eval(), len(texts)
        return True


def load_captioner(run: Path, device: str) -> CaptionerModel:
    """Load the captioner of a run; its decoder learns on the CPU, beside whatever encodes.

    Raises:
        ModelError: There is none.
    """
    model = load_model(run, choose_device(device))
    if not isinstance(model, CaptionerModel):
        raise ModelError(f"{run} holds a {model.config.kind}.", hint="Expected the run of a captioner.")
    model.captioner.to("cpu")
    return model
