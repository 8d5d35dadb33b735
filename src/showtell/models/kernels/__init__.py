"""What CPUs compute faster than :mod:`showtell.models.attention` says it, with the same numbers.

The plain equations are the specification, and what runs on CUDA devices and in graphs that are exported or
compiled: operations with backward passes of their own are opaque to a compiler.
"""

from showtell.models.kernels.operations import additive_score, linear, smoothed_cross_entropy
from showtell.models.kernels.packed import are_faster_on, packed_forward

__all__ = ["additive_score", "are_faster_on", "linear", "packed_forward", "smoothed_cross_entropy"]
