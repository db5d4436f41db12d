"""Wake words that are longer than the training window are told, with the setting that fits them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.config.batch_settings import END_SHIFT_SLICES
from trainer.config.checks import check_config
from trainer.config.lengths import window_slices
from trainer.config.loader import load_config
from trainer.config.sections import TrainerConfig
from trainer.data.ingest import Label, SampleRecord
from trainer.data.split import Split
from trainer.data.training_sets import SLICES_AFTER_WORD
from trainer.data.word_lengths import too_long_words
from trainer.training.progress import Silent
from trainer.training.run import checked_recordings
from wakeword.contract import STEP_MS, WINDOW_MS
from wakeword.corpus.utterances import utterance_bounds, utterance_end

RATE = 16_000


def config(*changes: str) -> TrainerConfig:
    return load_config("fast_test", (), ["export.wake_word=x", "augmentation.background_paths=[]", *changes])


def word(path: Path, seconds: float, lead: float = 0.3, tail: float = 0.4) -> SampleRecord:
    """Loud noise among the faint noise of a room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(round(1000 * seconds))
    sound = generator.normal(0, 5, round((lead + seconds + tail) * RATE))
    sound[round(lead * RATE) : round((lead + seconds) * RATE)] = generator.normal(
        0, 5000, len(sound[round(lead * RATE) : round((lead + seconds) * RATE)])
    )
    soundfile.write(path, sound.astype(np.int16), RATE)
    return SampleRecord(path, Label.POSITIVE, Split.TRAIN, "anna", len(sound) / RATE, RATE)


def test_both_ends_of_an_utterance_are_found(tmp_path: Path) -> None:
    record = word(tmp_path / "a.wav", 1.0)
    samples = soundfile.read(record.path, dtype="int16")[0]
    start, end = utterance_bounds(samples)
    assert start == pytest.approx(0.3 * RATE, abs=400)
    assert end == pytest.approx(1.3 * RATE, abs=400)
    assert end == utterance_end(samples)
    assert utterance_bounds(np.zeros(100, np.int16)) == (0, 100)


@settings(max_examples=25)
@given(
    st.integers(300, 3500).map(lambda ms: ms / 1000),
    st.sampled_from([500, 1000, 1500]),
    st.none() | st.integers(0, 19),
)
def test_words_that_are_never_whole_are_told_and_the_advice_fits(
    tmp_path_factory: pytest.TempPathFactory, seconds: float, duration: int, cutoff: int | None
) -> None:
    fixed = "training.truncation_strategies.positive=fixed_right_cutoff"
    cut = [] if cutoff is None else [fixed, f"training.right_cutoff_slices={cutoff}"]
    section = config(f"hardware.clip_duration_ms={duration}", "augmentation.copies=0", *cut)
    pause = STEP_MS * (SLICES_AFTER_WORD - (END_SHIFT_SLICES - 1 if cutoff is None else cutoff))
    record = word(tmp_path_factory.mktemp("words") / "a.wav", seconds)
    heard = (window_slices(section.model, duration) - 1) * STEP_MS + WINDOW_MS
    room = (heard - pause) / 1000
    told = too_long_words(section, [record], jobs=1)
    if abs(seconds - room) > 0.03:
        assert bool(told) == (seconds > room), told
    if told:
        assert told.startswith(
            f"1 of 1 wake words is longer than the window: it hears {heard / 1000:.2f} s and ends {pause} ms or more"
            " after the word, so its beginning"
        )
        (fits,) = re.findall(r"--set (hardware\.clip_duration_ms=\d+) fits them all", told)
        assert not too_long_words(config(fits, "augmentation.copies=0", *cut), [record], jobs=1)
        least = max(duration, int(fits.partition("=")[2]) - 50)
        heard = (window_slices(section.model, least) - 1) * STEP_MS + WINDOW_MS
        assert least == duration or heard / 1000 < seconds + 0.26, (
            "no longer than the word and its pause need, but for the grid"
        )


def test_the_advice_is_whole_with_augmentation(tmp_path: Path) -> None:
    long = [word(tmp_path / f"{index}.wav", 2.8 + index / 10) for index in range(2)]
    told = too_long_words(config("augmentation.copies=2"), [word(tmp_path / "short.wav", 0.7), *long], jobs=1)
    assert told.startswith("2 of 3 wake words are longer than the window: ")
    assert f"so their beginnings are never heard. Longest: {tmp_path / '1.wav'} (2.9" in told
    advice = re.findall(r"--set (\S+)", told)
    assert [one.partition("=")[0] for one in advice] == [
        "hardware.clip_duration_ms",
        "augmentation.augmentation_duration_s",
    ]
    advised = config("augmentation.copies=2", *advice)
    check_config(
        advised.model_copy(
            update={"augmentation": advised.augmentation.model_copy(update={"AddBackgroundNoise": 0.0, "RIR": 0.0})}
        )
    )
    assert not too_long_words(advised, long, jobs=1)
    assert not too_long_words(config(), [], jobs=1)


def test_whoever_checks_recordings_is_told(tmp_path: Path) -> None:
    rows = []
    for speaker, split in enumerate(("train", "val", "test")):
        for label in ("positive", "negative"):
            path = word(
                tmp_path / label / f"s{speaker}" / f"{label}.wav", 3.0 if (label, split) == ("positive", "val") else 0.6
            ).path
            rows.append(f"{path},{label}{speaker},{split}")
    (tmp_path / "splits.csv").write_text("\n".join(["path,group,split", *rows]))
    paths = [f"paths.{label}_dir={tmp_path / label}" for label in ("positive", "negative")]
    asked = config(*paths, f"paths.splits={tmp_path / 'splits.csv'}", "augmentation.copies=0")
    found = checked_recordings(asked, tmp_path / "run", Silent(), jobs=1)
    assert found.warnings[-1].startswith("1 of 3 wake words is longer than the window")
