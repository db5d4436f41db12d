"""What a board leaves to a model, and whether a model of a trial keeps within it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trainer.analysis.analyse import MOST_LOAD, RESOURCE_VARIABLES_ARENA, ModelAnalysis, analyse_model
from trainer.analysis.boards import KIB, BoardProfile
from trainer.analysis.layers import layer_costs
from trainer.config.sections import SizeTargetsSection, TrainerConfig

MEGA = 1_000_000


@dataclass(frozen=True)
class ModelCost:
    """What a model takes of a board. Counted, but for the arena and the cycles, which are estimated
    (`trainer.analysis`).
    """

    flash: int
    """Bytes of the int8 file."""
    arena: int
    """Bytes of the tensor arena on an ESP32-S3, with the margin that a manifest gets."""
    cycles: float
    """Of the processor, a second."""

    def __str__(self) -> str:
        return f"flash {self.flash:,} bytes, arena {self.arena:,} bytes, {self.cycles / MEGA:.1f} million cycles/s"


@dataclass(frozen=True)
class Budget:
    """The most that a model may take: bytes, bytes, cycles a second."""

    board: str
    flash: int
    arena: int
    cycles: float
    cycles_per_mac: int

    @classmethod
    def of(
        cls,
        board: BoardProfile,
        max_flash_kb: float | None = None,
        max_arena_kb: float | None = None,
        max_cycles: float | None = None,
    ) -> Budget:
        """What a board leaves, or less where it is given: KiB, KiB, million cycles a second."""
        flash, arena = board.flash_for_model, board.ram_for_model - RESOURCE_VARIABLES_ARENA
        cycles = MOST_LOAD * board.clock_hz
        return cls(
            board.name,
            flash if max_flash_kb is None else min(flash, round(max_flash_kb * KIB)),
            arena if max_arena_kb is None else min(arena, round(max_arena_kb * KIB)),
            cycles if max_cycles is None else min(cycles, max_cycles * MEGA),
            board.cycles_per_mac,
        )

    def within(self, targets: SizeTargetsSection) -> Budget:
        """The same, and no more than the targets of a configuration, which would refuse the training."""
        flash = self.flash if targets.max_flash_kb is None else min(self.flash, int(targets.max_flash_kb * KIB))
        ram = self.arena + RESOURCE_VARIABLES_ARENA
        ram = ram if targets.max_ram_kb is None else min(ram, int(targets.max_ram_kb * KIB))
        return replace(self, flash=flash, arena=ram - RESOURCE_VARIABLES_ARENA)

    def exceeded(self, cost: ModelCost) -> str:
        """What of a cost is over the budget; empty where nothing is."""
        parts = [
            *([f"flash {cost.flash:,} of {self.flash:,} bytes"] if cost.flash > self.flash else []),
            *([f"arena {cost.arena:,} of {self.arena:,} bytes"] if cost.arena > self.arena else []),
            *(
                [f"{cost.cycles / MEGA:.1f} of {self.cycles / MEGA:.1f} million cycles/s"]
                if cost.cycles > self.cycles
                else []
            ),
        ]
        return ", ".join(parts)

    def __str__(self) -> str:
        return f"{self.board}: {ModelCost(self.flash, self.arena, self.cycles)}"


def least_cost(config: TrainerConfig, cycles_per_mac: int) -> ModelCost:
    """What a model takes at least, without building it: its weights, its states, its products (these exactly)."""
    layers = layer_costs(config.model, config.slices)
    analysis = ModelAnalysis(
        config.slices,
        config.model.stride,
        layers,
        sum(layer.weight_bytes for layer in layers),
        sum(layer.state_bytes for layer in layers),
    )
    return _cost(analysis, cycles_per_mac)


def model_cost(config: TrainerConfig, cycles_per_mac: int) -> ModelCost:
    """What a model takes, built and converted untrained: some seconds. Raises as `analyse_model` does."""
    return _cost(analyse_model(config.model, config.hardware.clip_duration_ms), cycles_per_mac)


def _cost(analysis: ModelAnalysis, cycles_per_mac: int) -> ModelCost:
    return ModelCost(analysis.model_bytes, analysis.arena_bytes, analysis.macs_per_second * cycles_per_mac)
