"""What is mined within a training: the very windows that the model accepts, never more than allowed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests import networks
from tests.networks import TINY
from tests.trainer.evaluation.loudness import RATE
from tests.trainer.mining.miners import SEED, WINDOW, mined_of, miner_of
from trainer.data.clip_rows import ClipRows
from trainer.data.drawn_sets import FeatureSet
from trainer.data.features import FeatureSettings, joined_recordings
from trainer.data.ingest import SampleRecord
from trainer.data.mined import MinedClip, read_table, write_table
from trainer.mining import in_training
from trainer.mining.in_training import SHIFT_SLICES, JoinedNegatives
from trainer.mining.windows import Stretch
from trainer.networks.scaling import FEATURE_MIN, dequantise
from wakeword import contract
from wakeword.audio import read_samples
from wakeword.errors import ConfigError
from wakeword.simulation.streams import PresentedStream, SimulatedStream


def test_what_is_mined_is_what_the_model_accepts(negatives: JoinedNegatives, words: FeatureSet, tmp_path: Path) -> None:
    from trainer.networks.models import build_model

    model = build_model(TINY, WINDOW)
    networks.randomise(model, seed=3)
    miner = miner_of(tmp_path / "mined", negatives, words, limit=20)
    assert miner.restore(0).total == 0
    first = miner.mine(model, 3)
    rows = read_table(tmp_path / "mined")
    assert (first.new, first.total, first.recordings) == (10, 10, len({row.source for row in rows}))
    assert first.highest == rows[0].probability == max(row.probability for row in rows)
    clips = mined_of(first.sets)
    assert clips.rows is negatives.features.rows, "nothing is copied"
    for row, clip in zip(rows, clips, strict=True):
        # At the very beginning of a stream the model has heard silence before.
        heard = np.concatenate([np.full((WINDOW, 40), FEATURE_MIN, np.int8), clip[: len(clip) - SHIFT_SLICES]])[
            -WINDOW:
        ]
        # Rounded to the exported model's steps of 1/256; the device takes 255 of them for certainty.
        assert float(model(dequantise(heard)[None])[0, 0]) * 256 == pytest.approx(row.probability * 255, abs=0.51)
        assert row.probability > 0.3
        assert row.step == 3
        samples = read_samples(tmp_path / "mined" / row.file)
        np.testing.assert_array_equal(samples, read_samples(Path(row.source))[row.start_sample : row.end_sample])
    again = miner.mine(model, 6)
    assert again.total == 10 + again.new
    assert again.new <= 5
    stretches = [Stretch(row.source_sha256, row.start_sample, row.end_sample) for row in read_table(tmp_path / "mined")]
    assert not any(one.overlaps(other) for index, one in enumerate(stretches) for other in stretches[:index])


@dataclass
class ChanceModel:
    """Probabilities that a test chose, by stream; `FloatModel` with nothing to compute."""

    streams: list[NDArray[np.uint8]]
    count: int = 0

    def run(self, presented: PresentedStream) -> SimulatedStream:
        self.count += 1
        return presented.simulated(TINY.stride, self.streams[(self.count - 1) % len(self.streams)])

    def load(self, weights: Any, sha256: str) -> None:
        pass


@given(
    data=st.data(),
    limit=st.integers(1, 9),
    threshold=st.sampled_from([0.0, 0.5, 0.9]),
    per_stream=st.sampled_from([2.0, 6.0, 300.0]),
)
@settings(max_examples=25)
def test_places_order_and_memory_of_any_mining(
    records: list[SampleRecord],
    words: FeatureSet,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    limit: int,
    threshold: float,
    per_stream: float,
) -> None:
    folder = tmp_path_factory.mktemp("any") / "mined"
    with pytest.MonkeyPatch.context() as patch:
        short = FeatureSettings(stream_s=per_stream)
        patch.setattr(in_training, "FeatureSettings", lambda: short)
        lengths = [
            contract.slice_count(
                sum(round(record.duration * RATE) for record in stream) + 16_000 * 9 // 4 + 8_000 * (len(stream) - 1)
            )
            for stream in joined_recordings(records, seed=SEED, settings=short)
        ]
        features = ClipRows(np.zeros((sum(lengths), 40), np.int8), np.array(lengths))
        joined = JoinedNegatives.of(records, features, SEED)
        chance = np.random.default_rng(data.draw(st.integers(0, 1000)))
        streams = [chance.integers(0, 256, length // TINY.stride).astype(np.uint8) for length in lengths]
        patch.setattr(in_training, "FloatModel", lambda *_: ChanceModel(streams))
        patch.setattr(in_training, "weights_sha256", lambda _: "weights")
        taken = [Stretch(records[0].sha256, 0, 20_000)]
        miner = miner_of(folder, joined, words, threshold=threshold, limit=limit, taken=taken)
        states, total = [miner.restore(0)], 0
        for step in (3, 6, 9):
            mined = miner.mine(None, step)
            assert mined.new <= -(-(limit - total) // 2)
            total += mined.new
            assert mined.total == total <= limit
            states.append(mined)
        assert states[1].new > 0
        rows = read_table(folder)
        for step in (3, 6, 9):
            of_step = [row.probability for row in rows if row.step == step]
            assert of_step == sorted(of_step, reverse=True)
        stretches = [*taken, *(Stretch(row.source_sha256, row.start_sample, row.end_sample) for row in rows)]
        assert not any(one.overlaps(other) for index, one in enumerate(stretches) for other in stretches[:index])
        if total:
            clips = mined_of(states[-1].sets)
            for row, start, length in zip(rows, clips.starts.tolist(), clips.lengths.tolist(), strict=True):
                stream = int(np.searchsorted(features.starts, start, side="right")) - 1
                assert start + length <= features.starts[stream] + features.lengths[stream]
                ends = range(
                    start + length - int(features.starts[stream]) - SHIFT_SLICES,
                    start + length - int(features.starts[stream]) + 1,
                )
                inferences = [end // TINY.stride - 1 for end in ends if end % TINY.stride == 0]
                assert round(row.probability * 255) in streams[stream][inferences]
        # A session that goes on after any of the minings knows what was mined by then, and no more.
        for step, state in zip((9, 6, 3, 0), reversed(states), strict=True):
            later = miner_of(folder, joined, words, threshold=threshold, limit=limit, taken=taken)
            assert later.restore(step).digest == state.digest
            assert {path.name for path in folder.iterdir()} - {"mined.csv"} == {row.file for row in read_table(folder)}


def test_a_folder_of_another_mining_is_left_alone(
    negatives: JoinedNegatives, words: FeatureSet, tmp_path: Path
) -> None:
    other = MinedClip("a.wav", "0" * 64, "/elsewhere.wav", "1" * 64, 0, 9, 0.9, 0.8, "m", "2026-01-01", 9, None)
    write_table(tmp_path, [other])
    with pytest.raises(ConfigError, match=r"mined\.csv: a\.wav is not of this training; move the folder elsewhere"):
        miner_of(tmp_path, negatives, words).restore(0)
    assert read_table(tmp_path) == (other,)


def test_features_of_other_recordings_are_refused(records: list[SampleRecord], negatives: JoinedNegatives) -> None:
    with pytest.raises(ConfigError, match="of other recordings than those that were checked"):
        JoinedNegatives.of(records[1:], negatives.features, SEED)
