"""The shape of the network: its section of a configuration."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, model_validator

from trainer.config import architectures
from trainer.config.architecture import Architecture, Chain
from trainer.config.architectures.bc_resnet import BcResNetKeys
from trainer.config.architectures.cnn import CnnKeys
from trainer.config.architectures.dnn import DnnKeys
from trainer.config.architectures.mixednet import MixedNetKeys
from trainer.config.architectures.tiny_conv import TinyConvKeys
from trainer.config.network_keys import SharedKeys
from wakeword.registry import registered

RECURRENT = (
    "a recurrent cell, LSTM or GRU, becomes the operators TANH and SPLIT, a GRU also SUB, and ESPHome's micro_wake_word"
    " registers none of them, so no device would load it; its state also never forgets, so that a stream could not"
    " equal windows; give mixednet, cnn, dnn or tiny_conv"
)


def _not_recurrent(given: object) -> object:
    if given == "crnn":
        raise ValueError(RECURRENT)
    return given


class NetworkConfig(MixedNetKeys, DnnKeys, CnnKeys, TinyConvKeys, BcResNetKeys):
    """The shape of the network. Each architecture has keys of its own; `stride`, `dropout_rate` and `l2_regularization`
    belong to all. The keys without an architecture's name are MixedNet's, one entry a block in the lists; their
    defaults are those of the official v2 models.
    """

    architecture: Annotated[
        Literal["mixednet", "dnn", "cnn", "tiny_conv", "bc_resnet"], BeforeValidator(_not_recurrent)
    ] = "mixednet"
    """mixednet: microWakeWord's, which ESPHome's official models have; the best known for a device. dnn: dense layers
    over the past (Chen et al. 2014), to compare with. cnn: convolutions over time and mel (Sainath and Parada 2015),
    where patterns in mel matter and a processor has time. tiny_conv: one convolution (TensorFlow's speech_commands),
    for the smallest memory. bc_resnet: for computers alone (Kim et al. 2021), as a teacher or a judge; it cannot be
    exported."""

    @model_validator(mode="after")
    def _keys_fit_the_architecture(self) -> Self:
        of = self.of
        for other in _architectures().values():
            if other is of:
                continue
            usual = other.own()
            for name in other.own.model_fields.keys() - SharedKeys.model_fields.keys():
                if getattr(self, name) != getattr(usual, name):
                    raise ValueError(
                        f"model.{name} is given, and model.architecture {of.name} has no use for it; give --set"
                        f" model.architecture={other.name}, or leave model.{name} out"
                    )
        of.check(self)
        return self

    @property
    def of(self) -> Architecture:
        """The architecture itself."""
        return _architectures()[self.architecture]

    @property
    def chain(self) -> Chain | None:
        """The network as a chain of convolutions and dense layers; None where it is none."""
        return self.of.chain(self)

    @property
    def own_keys(self) -> dict[str, Any]:
        """The keys that the architecture has, in the order of their names, as they are written."""
        values = self.model_dump(mode="json")
        return {name: values[name] for name in sorted(self.of.own.model_fields)}

    @property
    def first_slices(self) -> int:
        """Slices that the first layer reads for one frame."""
        return self.of.first_slices(self)

    @property
    def frame_slices(self) -> int:
        """Slices from one frame to the next."""
        return self.of.frame_slices(self)

    @property
    def context_frames(self) -> tuple[int, ...]:
        """Past frames that each layer between the first and the head needs, in order."""
        return self.of.context_frames(self)


@cache
def _architectures() -> dict[str, Architecture]:
    return {one.name: one for one in registered(architectures, "ARCHITECTURE")}


def architecture_names() -> list[str]:
    """Names of all architectures."""
    return sorted(_architectures())


def owned_keys(architecture: str) -> set[str]:
    """The keys that an architecture of this name has."""
    return set(_architectures()[architecture].own.model_fields)
