"""A depthwise convolution over time as multiply-adds of shifted copies, for activations that lie as `[channels, frames, batch]`.

With the batch innermost, a shift by one frame is a shift by `batch` numbers: every tap reads one contiguous stretch a channel, and XLA makes one
vectorised loop of all taps. A convolution library's depthwise kernel is slower on a CPU, XLA's own by an order of magnitude, and a product with a
banded matrix multiplies mostly zeros.

Imports TensorFlow: import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow carries no types
def depthwise(net: Any, taps: Any) -> tuple[Any, Callable[[Any], tuple[Any, Any]]]:
    """Float32 `[channels, frames, batch]` and `[channels, k]` to `[channels, frames - k + 1, batch]`, each channel with its own kernel.

    As in `keras.layers.DepthwiseConv2D` with valid padding: output frame n is the sum over j of `taps[j]` times input frame n + j.
    The gradients are written out as shifted multiply-adds too: TensorFlow would pad and add one copy a tap for the one, and
    write a product a tap to memory for the other.
    """
    size = taps.shape[1]
    result = _shifted(net, taps)
    frames = result.shape[1]

    def gradient(upstream: Any) -> tuple[Any, Any]:
        around = tf.pad(upstream, ((0, 0), (size - 1, size - 1), (0, 0)))
        # One number a tap and sample, added over the frames; then over the samples.
        of_taps = tf.add_n([upstream[:, frame, None] * net[:, frame : frame + size] for frame in range(frames)])
        return _shifted(around, taps[:, ::-1]), tf.reduce_sum(of_taps, axis=2)

    return result, gradient


def _shifted(net: Any, taps: Any) -> Any:
    size = taps.shape[1]
    frames = net.shape[1] - size + 1
    return tf.add_n([taps[:, tap, None, None] * net[:, tap : tap + frames] for tap in range(size)])
