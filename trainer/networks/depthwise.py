"""A depthwise convolution over time as multiply-adds of shifted copies, for activations that lie as
`[channels, frames, batch]`.

With the batch innermost, a shift by one frame is a shift by `batch` numbers: every tap reads one contiguous stretch a
channel, and XLA makes one vectorised loop of all taps. A convolution library's depthwise kernel is slower on a CPU,
XLA's own by an order of magnitude, and a product with a banded matrix multiplies mostly zeros.

Imports TensorFlow: import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

MOST_FRAMES_UNROLLED = 128
"""Output frames; a window of the standard recipe has 63 at most."""


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow carries no types
def depthwise(net: Any, taps: Any) -> tuple[Any, Callable[[Any], tuple[Any, Any]]]:
    """Float32 `[channels, frames, batch]` and `[channels, k]` to `[channels, frames - k + 1, batch]`, each channel with
    its own kernel.

    As in `keras.layers.DepthwiseConv2D` with valid padding: output frame n is the sum over j of `taps[j]` times input
    frame n + j. The gradients are written out as shifted multiply-adds too; TensorFlow would pad and add one copy a tap
    for that of the input.
    """
    size = taps.shape[1]

    def gradient(upstream: Any) -> tuple[Any, Any]:
        around = tf.pad(upstream, ((0, 0), (size - 1, size - 1), (0, 0)))
        return _shifted(around, taps[:, ::-1]), tf.reduce_sum(_of_taps(net, upstream, size), axis=2)

    return _shifted(net, taps), gradient


def _shifted(net: Any, taps: Any) -> Any:
    size = taps.shape[1]
    frames = net.shape[1] - size + 1
    return tf.add_n([taps[:, tap, None, None] * net[:, tap : tap + frames] for tap in range(size)])


def _of_taps(net: Any, upstream: Any, size: int) -> Any:
    """The gradient of each tap and sample, `[channels, k, batch]`: over the frames, a product of what went in and what
    came back.

    One loop over all frames is the fastest and grows with them; where there are many, it is a sum a tap, which compiles
    in half the time.
    """
    frames = upstream.shape[1]
    if frames <= MOST_FRAMES_UNROLLED:
        return tf.add_n([upstream[:, frame, None] * net[:, frame : frame + size] for frame in range(frames)])
    return tf.stack([tf.reduce_sum(upstream * net[:, tap : tap + frames], axis=1) for tap in range(size)], axis=1)
