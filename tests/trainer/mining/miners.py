"""Miners of a small model, and what they have mined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.networks import TINY
from trainer.config.lengths import receptive_field
from trainer.config.training_sections import HardNegativeMiningSection
from trainer.data.clip_rows import ClipRows
from trainer.data.drawn_sets import FeatureSet
from trainer.mining.in_training import JoinedNegatives, TrainingMiner
from trainer.mining.windows import Stretch

WINDOW = receptive_field(TINY, 8)
SEED = 2


def miner_of(
    folder: Path,
    negatives: JoinedNegatives,
    words: FeatureSet,
    *,
    threshold: float = 0.3,
    limit: int = 40,
    taken: Sequence[Stretch] = (),
) -> TrainingMiner:
    plain = FeatureSet("negatives", False, negatives.features, 3.0)

    def sets(mined: ClipRows) -> list[FeatureSet]:
        return [words, plain, *([FeatureSet("mined", False, mined, hard=True)] if len(mined) else [])]

    mining = HardNegativeMiningSection(fp_threshold=threshold, max_samples=limit, mining_interval_epochs=1)
    return TrainingMiner(TINY, WINDOW, negatives, mining, folder, sets, taken=taken)


def mined_of(sets: Sequence[FeatureSet]) -> ClipRows:
    clips = next(one.clips for one in sets if one.name == "mined")
    assert isinstance(clips, ClipRows)
    return clips
