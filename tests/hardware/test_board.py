"""A board, whichever it is: `pytest -m hardware --board NAME`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from firmware.boards.board import Board, Player
from firmware.boards.registry import kind_of
from harness.collect.collector import Collector
from harness.pytest_plugin import Run
from harness.results.schema import Result
from tests.spoken import Spoken, listed
from wakeword.contract import SAMPLE_RATE_HZ
from wakeword.model.manifest import read_manifest

pytestmark = pytest.mark.hardware


def test_the_board_runs_the_model(collector: Collector, run: Run, manifest: Path) -> None:
    _, model = read_manifest(manifest)
    identity = run(collector.identify())
    assert hashlib.sha256(model.read_bytes()).hexdigest() in [one.sha256 for one in identity.models]


def test_the_clock_goes_forward(collector: Collector, run: Run) -> None:
    first, second = run(collector.clock()), run(collector.clock())
    assert second.stamp.t_ms >= first.stamp.t_ms
    assert second.stamp.boot_id == first.stamp.boot_id


def test_silence_is_heard_and_detects_nothing(board: Board, player: Player, collector: Collector, run: Run) -> None:
    before = run(collector.clock())
    run(player.play(np.zeros(5 * SAMPLE_RATE_HZ, np.int16)))
    run(player.drain())
    position = player.position
    run(collector.flush())
    # Of a loudspeaker it is known to its latency.
    assert 0 <= 5 * SAMPLE_RATE_HZ - position <= (0 if kind_of(board.entry).fed else SAMPLE_RATE_HZ)
    assert run(collector.clock()).stamp.seq == before.stamp.seq


@pytest.mark.timeout(3600)  # a real board hears in real time: a quarter of an hour
def test_the_board_hears_what_the_simulation_hears(
    session: Callable[..., Result], spoken: Spoken, tmp_path: Path
) -> None:
    result = session(
        wake=[listed(tmp_path / "words.txt", spoken.words)], none=[listed(tmp_path / "speech.txt", spoken.speech[:12])]
    )
    assert result.agreement is not None
    assert result.agreement.equivalence is not None
    # Sixty words cannot show equivalence within three points, however well the two agree; as many as people spoke can.
    assert result.agreement.equivalence.equivalent or not spoken.recorded
    assert result.agreement.utterances.discordant <= 0.05 * result.agreement.utterances.total
    assert result.session is not None
    assert result.session.model_sha256_on_board == result.model.tflite_sha256
    assert result.scores.recall is not None
    assert result.scores.recall.rate is not None
    # Of eSpeak's sixty words the official model finds 55 in simulation, and three may differ (above).
    assert result.scores.recall.rate > (0.9 if spoken.recorded else 0.85)
