"""BC-ResNet: its graph over a training window, and its arithmetic for steps and whole recordings.

Kim, Chang, Lee and Sung, "Broadcasted Residual Learning for Efficient Keyword Spotting" (2021), table 1 and figure 2. A
block has a part of two dimensions, which convolves over mel, and one of a single dimension, which averages over mel and
convolves over time; the latter is broadcast over mel again and added, so most of the work is done on one row in place
of twenty. Normalisations of the first part are sub-spectral (Chang et al. 2021): each fifth of the mel bins has its
own. Differences: time advances by the model's stride in the first convolution, and the output is one logit.

Activations lie as `[batch, frames, mel, channels]`. Imports TensorFlow: import this module inside functions only.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from trainer.config.architectures.bc_resnet import FIRST_CHANNELS, FIRST_MEL, LAST_CHANNELS, STAGES, BcStage
from trainer.config.network import NetworkConfig
from trainer.networks import graph
from wakeword import contract

SUB_BANDS = 5
POSITIONS_AT_ONCE = 64
"""Windows of a recording that are computed together; bounds the memory."""


class PaddedDepthwise(layers.Layer):  # type: ignore[misc]  # Keras carries no types
    """A depthwise convolution that pads time on both sides, and may do so with mel. Keras's own pads both or neither.

    Input float32 `[batch, frames, mel, channels]`, output the same, with `mel` less the kernel plus 1 where mel is not
    padded, divided by its stride.
    """

    def __init__(
        self, time: int = 1, mel: int = 1, dilation: int = 1, mel_stride: int = 1, pad_mel: bool = True, **kwargs: Any
    ) -> None:
        """Of odd kernels.

        Args:
            time: Taps over time.
            mel: Taps over mel; 1 where there is a dilation.
            dilation: Frames from one tap over time to the next.
            mel_stride: Mel bins from one output to the next.
            pad_mel: Whether mel is padded on both sides too.
            kwargs: Of the Keras layer.
        """
        super().__init__(**kwargs)
        self._size, self._dilation, self._mel_stride = (time, mel), dilation, mel_stride
        self._padding = (time // 2 * dilation, mel // 2 if pad_mel else 0)

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Create the taps of each channel."""
        taps = self._size[0] * self._size[1]
        initializer = keras.initializers.RandomNormal(stddev=(2.0 / taps) ** 0.5)  # He et al. 2015
        self.kernel = self.add_weight(name="kernel", shape=(*self._size, input_shape[-1], 1), initializer=initializer)

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Of what `call` gives."""
        batch, frames, mel, channels = input_shape
        columns = mel + 2 * self._padding[1] - self._size[1] + 1
        return batch, frames, -(-columns // self._mel_stride), channels

    def call(self, inputs: Any) -> Any:
        """Convolve."""
        over_time, over_mel = self._padding
        net = tf.pad(inputs, ((0, 0), (over_time, over_time), (over_mel, over_mel), (0, 0)))
        net = tf.nn.depthwise_conv2d(net, self.kernel, (1, 1, 1, 1), "VALID", dilations=(self._dilation, 1))
        return net[:, :, :: self._mel_stride]


def probability(features: Any, config: NetworkConfig) -> Any:
    """Chain the layers: float32 `[batch, slices, 40]` to a probability `[batch, 1]`."""
    net = layers.Reshape((features.shape[1], contract.FEATURE_CHANNELS, 1), name="channels")(features)
    net = layers.Conv2D(
        config.scaled(FIRST_CHANNELS),
        5,
        strides=(config.stride, contract.FEATURE_CHANNELS // FIRST_MEL),
        padding="same",
        use_bias=False,
        kernel_regularizer=graph.regulariser(config),
        name="first_conv",
    )(net)
    net = layers.ReLU(name="first_relu")(layers.BatchNormalization(name="first_norm")(net))
    for number, stage in enumerate(STAGES):
        for block in range(stage.blocks):
            net = _block(net, stage, f"stage{number}_{block}", config, transition=not block)
    net = PaddedDepthwise(5, 5, pad_mel=False, name="last_depthwise")(net)
    net = _pointwise(net, config.scaled(LAST_CHANNELS), "last", config)
    net = layers.ReLU(name="last_relu")(layers.BatchNormalization(name="last_norm")(net))
    net = layers.GlobalAveragePooling2D(name=graph.EMBEDDING)(net)
    net = layers.Dense(1, kernel_regularizer=graph.regulariser(config), name=graph.HEAD)(net)
    return layers.Activation("sigmoid", name="probability")(net)


def _block(net: Any, stage: BcStage, name: str, config: NetworkConfig, *, transition: bool) -> Any:
    """A block; a `transition` changes the number of channels and of mel bins, and has no identity."""
    identity, channels = net, config.scaled(stage.channels)
    if transition:
        net = _pointwise(net, channels, f"{name}_transition", config)
        net = layers.ReLU(name=f"{name}_transition_relu")(
            layers.BatchNormalization(name=f"{name}_transition_norm")(net)
        )
    net = PaddedDepthwise(mel=3, mel_stride=stage.mel_stride if transition else 1, name=f"{name}_mel")(net)
    plane = net = _sub_spectral(net, f"{name}_sub_spectral")
    row = ops.mean(net, axis=2, keepdims=True)
    row = PaddedDepthwise(time=3, dilation=stage.dilation, name=f"{name}_time")(row)
    row = layers.Activation("silu", name=f"{name}_swish")(layers.BatchNormalization(name=f"{name}_norm")(row))
    row = _pointwise(row, channels, name, config)
    row = layers.SpatialDropout2D(config.dropout_rate, name=f"{name}_dropout")(row)
    net = plane + row  # the row is broadcast over mel
    return layers.ReLU(name=f"{name}_relu")(net if transition else net + identity)


def _pointwise(net: Any, channels: int, name: str, config: NetworkConfig) -> Any:
    return layers.Conv2D(
        channels, 1, use_bias=False, kernel_regularizer=graph.regulariser(config), name=f"{name}_pointwise"
    )(net)


def _sub_spectral(net: Any, name: str) -> Any:
    """Normalise each band of mel bins and each channel by itself."""
    _, frames, mel, channels = net.shape
    within = mel // SUB_BANDS
    bands = ops.reshape(net, (-1, frames, SUB_BANDS, within, channels))
    bands = ops.reshape(ops.transpose(bands, (0, 1, 3, 2, 4)), (-1, frames, within, SUB_BANDS * channels))
    bands = layers.BatchNormalization(name=name)(bands)
    bands = ops.reshape(bands, (-1, frames, within, SUB_BANDS, channels))
    return ops.reshape(ops.transpose(bands, (0, 1, 3, 2, 4)), (-1, frames, mel, channels))


class BcResNetArithmetic:
    """The logits of a BC-ResNet's model from `build_model`, whose variables are read at each call; see
    `Arithmetic`.

    On a CPU XLA takes minutes to compile its step, which then takes ten times as long as by TensorFlow's kernels.
    """

    compiled = False

    def __init__(self, model: Any, config: NetworkConfig, compute_dtype: str = "float32") -> None:
        """`compute_dtype` is what the pointwise convolutions and the first one multiply in."""
        self._stride, self._slices = config.stride, model.input_shape[1]
        if compute_dtype != "float32":
            for layer in model.layers:
                if isinstance(layer, layers.Conv2D):
                    layer.dtype_policy = keras.DTypePolicy(f"mixed_{compute_dtype}")
        head = model.get_layer(graph.HEAD)
        self._both = keras.Model(model.input, [model.get_layer(graph.EMBEDDING).output, head.output])

    def train(self, features: Any) -> Any:
        """See `Arithmetic.train`."""
        return self._both(features, training=True)[1][:, 0]

    def infer(self, features: Any) -> Any:
        """See `Arithmetic.infer`."""
        return self._both(features, training=False)[1][:, 0]

    def train_embedded(self, features: Any) -> tuple[Any, Any]:
        """See `Arithmetic.train_embedded`."""
        embedding, logits = self._both(features, training=True)
        return tf.cast(logits, tf.float32)[:, 0], tf.cast(embedding, tf.float32)

    def slide(self, features: Any) -> Any:
        """See `Arithmetic.slide`. Its padding belongs to a window, so each window is computed by itself."""
        positions = (features.shape[0] - self._slices) // self._stride + 1
        blocks = -(-positions // POSITIONS_AT_ONCE)
        reach = (POSITIONS_AT_ONCE - 1) * self._stride + self._slices
        step = POSITIONS_AT_ONCE * self._stride
        missing = max(0, (blocks - 1) * step + reach - features.shape[0])
        features = tf.pad(features, ((0, missing), (0, 0)))
        within = tf.range(POSITIONS_AT_ONCE)[:, None] * self._stride + tf.range(self._slices)

        def block(number: Any) -> Any:
            return self.infer(tf.gather(features, number * step + within))

        return tf.reshape(tf.map_fn(block, tf.range(blocks), fn_output_signature=tf.float32), (-1,))[:positions]
