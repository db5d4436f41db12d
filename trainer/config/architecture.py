"""What a configuration knows of an architecture without building it: which keys are its own, how many slices it reads,
what makes it wider.

Each architecture is a module of `trainer.config.architectures` with the constant `ARCHITECTURE`. Its graph and its
arithmetic are in `trainer.networks`; one that is a chain of convolutions and dense layers needs nothing there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

from trainer.config.network_keys import SharedKeys
from wakeword.contract import FEATURE_CHANNELS


class Architecture(Protocol):
    """One architecture; `keys` of its methods is the section `model` of a configuration."""

    @property
    def name(self) -> str:
        """As `model.architecture` names it."""
        ...

    @property
    def own(self) -> type[SharedKeys]:
        """Declares the keys that belong to it, beside those that it shares with others."""
        ...

    @property
    def widths(self) -> tuple[str, ...]:
        """Keys of how many filters or units layers have: what a wider network has more of."""
        ...

    @property
    def kernels(self) -> tuple[str, ...]:
        """Keys of kernel sizes whose half makes a smaller network."""
        ...

    @property
    def off_devices(self) -> str:
        """Why no device runs it; empty: devices do."""
        ...

    def check(self, keys: Any) -> None:
        """Raise `ValueError` for keys that do not go together."""
        ...

    def first_slices(self, keys: Any) -> int:
        """Slices that the first layer reads for one frame."""
        ...

    def frame_slices(self, keys: Any) -> int:
        """Slices from one frame to the next."""
        ...

    def context_frames(self, keys: Any) -> tuple[int, ...]:
        """Past frames that each layer between the first and the head needs, in order."""
        ...

    def outputs(self, keys: Any, frames: int) -> int:
        """Values that all layers before the head give for a window of which the head reads so many frames."""
        ...

    def chain(self, keys: Any) -> Chain | None:
        """The network as a chain; None where it is none."""
        ...


@dataclass(frozen=True)
class Convolution:
    """A convolution over time and mel with valid padding, batch normalisation and ReLU, and a maximum over mel."""

    filters: int
    time: int
    """Its kernel in frames; of the first one, in slices."""
    mel: int = 1
    """Its kernel in columns."""
    mel_stride: int = 1
    mel_pool: int = 1
    """Columns of which the largest value goes on; 1: all go on."""


@dataclass(frozen=True)
class Dense:
    """A fully connected layer with a bias."""

    units: int
    relu: bool = True


@dataclass(frozen=True)
class Chain:
    """A network of convolutions, one after the other, and dense layers over all frames that they give of a window."""

    convolutions: tuple[Convolution, ...]
    dense: tuple[Dense, ...]
    mel_is_channels: bool
    """Whether the 40 mel bins are the channels of one column, or 40 columns of one channel."""

    @property
    def context_frames(self) -> tuple[int, ...]:
        """As `Architecture.context_frames`."""
        return tuple(convolution.time - 1 for convolution in self.convolutions[1:])

    @property
    def columns(self) -> tuple[int, ...]:
        """Columns that each convolution gives, behind its pool; below 1 where too few come in."""
        result, columns = [], self.first_columns
        for one in self.convolutions:
            columns = ((columns - one.mel) // one.mel_stride + 1) // one.mel_pool
            result.append(columns)
        return tuple(result)

    @property
    def first_columns(self) -> int:
        """Columns that come in."""
        return 1 if self.mel_is_channels else FEATURE_CHANNELS

    @property
    def first_channels(self) -> int:
        """Channels that come in."""
        return FEATURE_CHANNELS if self.mel_is_channels else 1

    def outputs(self, frames: int) -> int:
        """As `Architecture.outputs`."""
        total = 0
        for one, columns in zip(reversed(self.convolutions), reversed(self.columns), strict=True):
            total += frames * columns * one.mel_pool * one.filters
            frames += one.time - 1
        return total


class ChainArchitecture(ABC):
    """What architectures that are chains have in common."""

    name: str
    own: type[SharedKeys]
    widths: tuple[str, ...]
    kernels: tuple[str, ...] = ()
    off_devices = ""

    @abstractmethod
    def chain(self, keys: Any) -> Chain:
        """The network as a chain."""

    def check(self, keys: Any) -> None:
        """Raise `ValueError` where a kernel reads less time than a stride, or more mel bins than there are."""
        chain, stride = self.chain(keys), keys.stride
        if chain.convolutions[0].time < stride:
            raise ValueError(
                f"model.{self.kernels[0]}: the first kernel reads {chain.convolutions[0].time} slices, below"
                f" model.stride, which is {stride}: slices would be skipped; give {stride} or more"
            )
        if min(chain.columns) < 1:
            place = next(place for place, columns in enumerate(chain.columns) if columns < 1)
            columns = chain.columns[place - 1] if place else chain.first_columns
            raise ValueError(
                f"model.{self.kernels[0]}: convolution {place + 1} gets {columns} columns of mel bins, too few for its"
                " kernel and its pool; give smaller ones"
            )

    def first_slices(self, keys: Any) -> int:
        """The first convolution's kernel."""
        return self.chain(keys).convolutions[0].time

    def frame_slices(self, keys: Any) -> int:
        """The stride."""
        stride: int = keys.stride
        return stride

    def context_frames(self, keys: Any) -> tuple[int, ...]:
        """Of each convolution behind the first: its kernel less one."""
        return self.chain(keys).context_frames

    def outputs(self, keys: Any, frames: int) -> int:
        """Of all convolutions."""
        return self.chain(keys).outputs(frames)
