"""The arithmetic of a network, whatever its architecture: what a step trains, what teaches, what hears recordings."""

from __future__ import annotations

from typing import Any, Protocol

from trainer.config.network import NetworkConfig


class Arithmetic(Protocol):
    """The logits of a `keras.Model` of `build_model`, whose variables are read at each call."""

    @property
    def compiled(self) -> bool:
        """Whether XLA is to compile what calls it."""
        ...

    def train(self, features: Any) -> Any:
        """Float32 `[batch, slices, 40]` to float32 `[batch]`; normalises by the batch's statistics, moves the running
        ones, and drops out.
        """
        ...

    def infer(self, features: Any) -> Any:
        """Float32 `[batch, slices, 40]` to float32 `[batch]`; normalises by the running statistics, drops nothing out
        and changes nothing.
        """
        ...

    def slide(self, features: Any) -> Any:
        """Float32 `[slices, 40]` to one float32 logit a stride, `[(slices - window) // stride + 1]`: each is what
        `infer` gives the window that ends there.
        """
        ...

    def train_embedded(self, features: Any) -> tuple[Any, Any]:
        """As `train`, and besides what the encoder gave the head, float32 `[batch, values]`."""
        ...


def arithmetic_of(model: Any, config: NetworkConfig, compute_dtype: str = "float32") -> Arithmetic:
    """Of a `keras.Model` of `build_model`; `compute_dtype` is what products multiply in. Imports TensorFlow."""
    from trainer.networks.bc_resnet import BcResNetArithmetic
    from trainer.networks.chain import ChainArithmetic
    from trainer.networks.channel_first import ChannelFirst

    if config.chain is not None:
        return ChainArithmetic(model, config, compute_dtype)
    if config.architecture == "bc_resnet":
        return BcResNetArithmetic(model, config, compute_dtype)
    return ChannelFirst(model, config, compute_dtype)
