"""Other ways to features, each as its own documentation writes it, for bench/extract.py.

Every way takes the same image files, the same network with random weights and all cores, and is timed from
its second batch on, so that a start, a trace or a first allocation count for nothing. Run as a program, one
way in one process, under the interpreter of an environment that has its packages:

    python bench/extract_peers.py WAY NETWORK FOLDER COUNT
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BATCH = 32
SIDES = {"inception_v3": 299, "mobilenetv2_100": 224}
Way = Callable[[str, list[Path]], Iterable[int]]


def keras(network: str, paths: list[Path], *, compiled: bool = False) -> Iterator[int]:
    """Decode with tf.data, run the Keras network, write one .npy an image: the way of the study notes."""
    import numpy as np
    import tensorflow as tf

    applications = tf.keras.applications
    side = SIDES[network]
    if network == "inception_v3":
        build, prepare = applications.InceptionV3, applications.inception_v3.preprocess_input
    else:
        build, prepare = applications.MobileNetV2, applications.mobilenet_v2.preprocess_input
    model = build(include_top=False, weights=None, input_shape=(side, side, 3))
    look = tf.function(model) if compiled else model

    def read(path):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return prepare(tf.image.resize(image, (side, side))), path

    images = tf.data.Dataset.from_tensor_slices([str(path) for path in paths])
    batches = images.map(read, num_parallel_calls=tf.data.AUTOTUNE).batch(16)
    with tempfile.TemporaryDirectory() as out:
        for images, names in batches:
            grids = look(images)
            grids = tf.reshape(grids, (grids.shape[0], -1, grids.shape[3]))
            for grid, name in zip(grids, names):
                np.save(Path(out) / Path(name.numpy().decode()).stem, grid.numpy())
            yield len(names)


def keras_compiled(network: str, paths: list[Path]) -> Iterator[int]:
    """Do the same with the network under ``tf.function``, which the notes do without."""
    return keras(network, paths, compiled=True)


def hugging_face(network: str, paths: list[Path]) -> Iterator[int]:
    """Run the image-feature-extraction pipeline over the paths, in batches."""
    import timm
    from transformers import TimmWrapperConfig, TimmWrapperImageProcessor, TimmWrapperModel, pipeline

    model = TimmWrapperModel(TimmWrapperConfig(architecture=network))
    processor = TimmWrapperImageProcessor(timm.get_pretrained_cfg(network).to_dict(), architecture=network)
    extract = pipeline("image-feature-extraction", model=model, image_processor=processor)
    features = []
    for part in extract((str(path) for path in paths), batch_size=BATCH, return_tensors=True):
        features.append(part)
        yield 1


def timm_loop(network: str, paths: list[Path]) -> Iterator[int]:
    """Run a timm network over a DataLoader of two worker processes."""
    import timm
    import torch
    from PIL import Image

    model = timm.create_model(network, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))

    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return len(paths)

        def __getitem__(self, index):
            return transform(Image.open(paths[index]).convert("RGB"))

    features = []
    with torch.inference_mode():
        for images in torch.utils.data.DataLoader(Images(), batch_size=BATCH, num_workers=2):
            features.append(model.forward_features(images))
            yield len(images)


def img2vec(network: str, paths: list[Path]) -> Iterator[int]:
    """Run a torchvision network image by image and copy a layer's output in a hook, as img2vec does."""
    import torch
    import torchvision
    from PIL import Image
    from torchvision.transforms import v2

    if network == "inception_v3":
        model = torchvision.models.inception_v3(weights=None, init_weights=False).eval()
    else:
        model = torchvision.models.mobilenet_v2(weights=None).eval()
    layer = model.avgpool if network == "inception_v3" else model.features
    transform = v2.Compose([
        v2.ToImage(), v2.ToDtype(torch.float, scale=True), v2.Resize((SIDES[network],) * 2),
        v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])  # fmt: skip
    vectors = []
    for path in paths:
        hook = layer.register_forward_hook(lambda module, inputs, output: vectors.append(output.clone()))
        with torch.no_grad():
            model(transform(Image.open(path).convert("RGB")).unsqueeze(0))
        hook.remove()
        yield 1


def forward_torch(network: str, paths: list[Path]) -> Iterator[int]:
    """Run showtell's own network over pixels that lie in memory: no decoding, no writing."""
    import torch

    from showtell.backbones.weights import load_backbone
    from showtell.process import tune_process

    tune_process()
    backbone = load_backbone(network, "random")
    values = torch.randn(BATCH, 3, SIDES[network], SIDES[network])
    values = values.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        for _ in range(0, len(paths), BATCH):
            backbone.network.forward_features(values)
            yield BATCH


def forward_side_by_side(network: str, paths: list[Path]) -> Iterator[int]:
    """Run the same with a batch on each core, as showtell does, in place of all cores on one batch."""
    import torch

    from showtell.backbones.weights import load_backbone
    from showtell.process import tune_process

    tune_process()
    model = load_backbone(network, "random").network
    values = torch.randn(BATCH, 3, SIDES[network], SIDES[network])
    values = values.to(memory_format=torch.channels_last)

    def look(_: int) -> None:
        with torch.inference_mode():
            model.forward_features(values)

    cores = torch.get_num_threads()
    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(look, range(cores)))
        yield BATCH
        for _ in pool.map(look, range(0, len(paths), BATCH)):
            yield BATCH


def forward_bfloat16(network: str, paths: list[Path]) -> Iterator[int]:
    """Run the same with weights and values in bfloat16."""
    import torch

    from showtell.backbones.weights import load_backbone
    from showtell.process import tune_process

    tune_process()
    model = load_backbone(network, "random").network.bfloat16()
    values = torch.randn(BATCH, 3, SIDES[network], SIDES[network], dtype=torch.bfloat16)
    values = values.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        for _ in range(0, len(paths), BATCH):
            model.forward_features(values)
            yield BATCH


def forward_onnxruntime(network: str, paths: list[Path]) -> Iterator[int]:
    """Run the network with onnxruntime, float32, over values that lie in memory."""
    import numpy as np
    import onnxruntime
    import torch

    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "network.onnx")
        example = (torch.randn(BATCH, 3, SIDES[network], SIDES[network]),)
        torch.onnx.export(_features_only(network), example, file, dynamo=True, verbose=False)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    values = np.random.default_rng(0).standard_normal(example[0].shape, np.float32)
    for _ in range(0, len(paths), BATCH):
        session.run(None, {name: values})
        yield BATCH


def forward_openvino(network: str, paths: list[Path], precision: str = "f32") -> Iterator[int]:
    """Run the network with OpenVINO over values that lie in memory; float32, which it must be asked for."""
    import numpy as np
    import openvino
    import torch

    shape = (BATCH, 3, SIDES[network], SIDES[network])
    model = openvino.convert_model(_features_only(network), example_input=torch.randn(shape), input=[shape])
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision})
    values = np.random.default_rng(0).standard_normal(shape, np.float32)
    for _ in range(0, len(paths), BATCH):
        compiled(values)
        yield BATCH


def forward_openvino_bfloat16(network: str, paths: list[Path]) -> Iterator[int]:
    """Run the same in bfloat16."""
    return forward_openvino(network, paths, "bf16")


def decode(network: str, paths: list[Path]) -> Iterator[int]:
    """Decode and resize as showtell does, an image on each core: no network, no writing."""
    import torch

    from showtell.backbones.weights import load_backbone
    from showtell.data.images import load_pixels
    from showtell.process import tune_process

    tune_process()
    how = load_backbone(network, "random").preprocessing
    cores = torch.get_num_threads()
    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for _ in pool.map(lambda path: load_pixels(path, how), paths):
            yield 1


def matrix_products(network: str, paths: list[Path]) -> Iterator[int]:
    """Multiply large float32 matrices, as many operations an image as the network needs."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    side, rows = SIDES[network], 1024
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            _features_only(network)(torch.randn(1, 3, side, side))
        one = torch.randn(rows, rows)
        for _ in range(0, len(paths), BATCH):
            for _ in range(round(BATCH * counter.get_total_flops() / (2 * rows**3))):
                one @ one
            yield BATCH


def _features_only(network: str):
    import timm

    model = timm.create_model(network).eval()
    model.forward = model.forward_features
    return model


WAYS: dict[str, Way] = {
    "study notes (Keras)": keras,
    "study notes, tf.function": keras_compiled,
    "Hugging Face pipeline": hugging_face,
    "timm and DataLoader": timm_loop,
    "img2vec's way": img2vec,
    "forward only, as one matrix product": matrix_products,
    "forward only, torch": forward_torch,
    "forward only, torch, a batch a core": forward_side_by_side,
    "forward only, torch bfloat16": forward_bfloat16,
    "forward only, onnxruntime": forward_onnxruntime,
    "forward only, OpenVINO": forward_openvino,
    "forward only, OpenVINO bfloat16": forward_openvino_bfloat16,
    "decoding only": decode,
}


def measure(way: Way, network: str, paths: list[Path]) -> dict[str, float]:
    """Return how many images a way handled after its first batch, and in what time."""
    done, warm, started = 0, 0, 0.0
    for count in way(network, paths):
        done += count
        if not warm and done >= BATCH:
            warm, started = done, time.perf_counter()
    return {"images": done - warm, "seconds": time.perf_counter() - started}


def main() -> None:
    """Run one way and print what it took as JSON, or the package that is missing."""
    name, network, folder, count = sys.argv[1:]
    paths = sorted(Path(folder).iterdir())[: int(count)]
    try:
        print(json.dumps(measure(WAYS[name], network, paths)))
    except ModuleNotFoundError as error:
        print(json.dumps({"missing": error.name}))


if __name__ == "__main__":
    main()
