"""Keras layers of MixedNet that Keras lacks. Imports TensorFlow: import this module inside functions only."""

from __future__ import annotations

from typing import Any

from keras import layers, ops


class RingBuffer(layers.Layer):  # type: ignore[misc]  # Keras carries no types
    """Puts the last `frames` frames before the new ones and remembers the newest.

    Input float32 `[1, new, 1, channels]`, output `[1, frames + new, 1, channels]`. Before the first frame the buffer
    holds zeros, which is also what the device's variables are initialised to.
    """

    def __init__(self, frames: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.frames = frames

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Create the state variable for inputs of this shape."""
        self.state = self.add_weight(
            name="state", shape=(1, self.frames, *input_shape[2:]), initializer="zeros", trainable=False
        )

    def call(self, inputs: Any) -> Any:
        """Return past and new frames in order, and keep the newest."""
        joined = ops.concatenate([self.state, inputs], axis=1)
        self.state.assign(joined[:, -self.frames :])
        return joined
