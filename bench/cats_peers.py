"""Other ways from photos to an evaluated classifier, as their documentation writes them, for bench/cats.py.

Run as a program, one way in one process, under the interpreter of an environment that has its packages:

    python bench/cats_peers.py WAY DATA WEIGHTS FROZEN_EPOCHS TUNED_EPOCHS

Nothing is downloaded: both load the weights that ours loads. Augmentation is left out, which saves them time.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Found = dict[str, Any]


def keras(data: Path, weights: Path, frozen: int, tuned: int) -> Found:
    """Train a head on MobileNetV2 at 160 px, then the layers from 100 up, too: the study notes' way."""
    import tensorflow as tf

    api = tf.keras
    api.utils.set_random_seed(0)

    class Clock(api.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.started = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            seconds[-1].append(time.perf_counter() - self.started)

    def load(split):
        return api.utils.image_dataset_from_directory(str(data / split), image_size=(160, 160), batch_size=32)

    training, validation = (load(split).prefetch(tf.data.AUTOTUNE) for split in ("Train", "Validation"))
    body = api.applications.MobileNetV2(input_shape=(160, 160, 3), include_top=False, weights=None)
    _fill(body, weights)
    body.trainable = False
    inputs = api.Input(shape=(160, 160, 3))
    grid = body(api.applications.mobilenet_v2.preprocess_input(inputs), training=False)
    pooled = api.layers.Dropout(0.2)(api.layers.GlobalAveragePooling2D()(grid))
    model = api.Model(inputs, api.layers.Dense(len(list((data / "Train").iterdir())))(pooled))
    seconds: list[list[float]] = []
    for epochs, rate in ((frozen, 1e-4), (tuned, 1e-5)):
        model.compile(
            optimizer=api.optimizers.RMSprop(learning_rate=rate),
            loss=api.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        seconds.append([])
        model.fit(training, epochs=epochs, validation_data=validation, callbacks=[Clock()], verbose=0)
        body.trainable = True
        for layer in body.layers[:100]:
            layer.trainable = False
    return {"epochs": seconds, "accuracy": model.evaluate(validation, verbose=0)[1]}


def _fill(body: Any, weights: Path) -> None:
    """Put timm's weights into the Keras network: the same layers in the same order."""
    from safetensors.numpy import load_file

    state = load_file(weights / "model.safetensors")
    places = sorted({tuple(map(int, name.split(".")[1:3])) for name in state if name.startswith("blocks.")})
    names = ["conv_stem", "bn1"]
    for stage, block in places:
        parts = ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"]
        if f"blocks.{stage}.{block}.conv_pwl.weight" not in state:
            parts = ["conv_dw", "bn1", "conv_pw", "bn2"]
        names += [f"blocks.{stage}.{block}.{part}" for part in parts]
    names += ["conv_head", "bn2"]
    for name, layer in zip(names, [one for one in body.layers if one.weights], strict=True):
        weight = state[f"{name}.weight"]
        if weight.ndim == 1:
            rest = [state[f"{name}.{part}"] for part in ("bias", "running_mean", "running_var")]
            layer.set_weights([weight, *rest])
        else:
            order = (2, 3, 0, 1) if name.endswith("conv_dw") else (2, 3, 1, 0)
            layer.set_weights([weight.transpose(order)])


def fastai(data: Path, weights: Path, frozen: int, tuned: int) -> Found:
    """Call ``fine_tune`` of a ``vision_learner`` at 224 px, its own settings throughout."""
    from fastai.vision.all import Callback, ImageDataLoaders, Resize, accuracy, set_seed, vision_learner

    set_seed(0)
    seconds: list[float] = []

    class Clock(Callback):
        def before_epoch(self):
            self.started = time.perf_counter()

        def after_epoch(self):
            seconds.append(time.perf_counter() - self.started)

    batches = ImageDataLoaders.from_folder(data, train="Train", valid="Validation", item_tfms=Resize(224))
    learner = vision_learner(batches, f"local-dir:{weights}", metrics=accuracy, cbs=Clock())
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(tuned, freeze_epochs=frozen)
        score = learner.validate()[1]
    return {"epochs": [seconds[:frozen], seconds[frozen : frozen + tuned]], "accuracy": score}


WAYS: dict[str, Callable[[Path, Path, int, int], Found]] = {"keras": keras, "fastai": fastai}


def main() -> None:
    """Run one way and print what it took as JSON, or the package that is missing."""
    way, data, weights, frozen, tuned = sys.argv[1:]
    try:
        print(json.dumps(WAYS[way](Path(data), Path(weights), int(frozen), int(tuned))))
    except ModuleNotFoundError as error:
        print(json.dumps({"missing": error.name}))


if __name__ == "__main__":
    main()
