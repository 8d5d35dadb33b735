"""A model in a program: ``model = load("RUN"); model("cat.jpg").text``."""

from showtell.inference.model import Captions, Classes, LoadedCaptioner, LoadedClassifier, load

__all__ = ["Captions", "Classes", "LoadedCaptioner", "LoadedClassifier", "load"]
