"""How many clips a core augments: each effect alone, the whole chain, the device's features, both together, rooms and
backgrounds, SpecAugment by batch.

Prints times and clips a second and core; it asserts nothing, since machines are shared. Sounds are made here: noise and
decaying rooms.

    python benchmarks/augmentation.py [FOLDER...]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks.timing import CORPUS, REPETITIONS, one_thread, timed
from trainer.config.sections import AugmentationSection
from trainer.data.augment.chain import EFFECTS, Augmenter, place_anywhere
from trainer.data.augment.computed import computed_backgrounds, computed_rooms
from trainer.data.augment.features import augmented_features
from trainer.data.augment.sounds import Sounds, find_sounds, store_backgrounds, store_impulses
from trainer.data.ingest import Label, SampleRecord
from trainer.data.spec_augment import MaskSettings, spec_augment
from trainer.data.split import Split
from trainer.data.words import WordPlace
from wakeword.audio import read_samples
from wakeword.frontend import device_features

CORPUS_FOLDERS = ("computer",)
CLIPS = 100
DRAWS = 12
BATCHES = 50
COMPUTED = 40


def main() -> None:
    """Measure and print."""
    one_thread()
    with tempfile.TemporaryDirectory(prefix="mww-bench-") as scratch_name:
        scratch = Path(scratch_name)
        records = _clips(scratch)
        sounds = _sounds(scratch)
        settings = AugmentationSection()
        generator = np.random.default_rng(0)
        recorded = [read_samples(record.path) for record in records]
        clips = [place_anywhere(samples, settings, generator).samples for samples in recorded]
        cores = len(os.sched_getaffinity(0))
        print(
            f"{len(clips)} clips of {settings.augmentation_duration_s} s, {cores} cores, best of {REPETITIONS}\n",
            flush=True,
        )
        print(f"{'':44}{'cores':>6}{'ms a clip':>11}{'clips/s a core':>16}")
        around = Augmenter(
            settings.model_copy(update={"SpeechBefore": 1.0, "SpeechAfter": 1.0}),
            replace(sounds, speech=sounds.backgrounds),
        )
        places = [WordPlace(0, len(samples)) for samples in recorded]
        _row(
            "speech before and after, always",
            1,
            len(clips),
            timed(lambda: [around.placed(*one, 0, "", 0) for one in zip(recorded, places, strict=True)]),
        )
        for effect in EFFECTS:
            taken = timed(partial(_augment, Augmenter(_only(effect), sounds), clips))
            _row(f"{effect}, always", 1, len(clips), taken)
        _row(
            "the chain with its probabilities",
            1,
            len(clips),
            timed(lambda: _augment(Augmenter(settings, sounds), clips)),
        )
        _row("the device's features", 1, len(clips), timed(lambda: [device_features(clip) for clip in clips]))
        for processes in sorted({1, cores}):
            drawn = partial(augmented_features, records, settings, 0, DRAWS, processes, sounds)
            taken = timed(lambda drawn=drawn: list(drawn()))  # type: ignore[misc]
            _row(f"decoding, chain and features, {DRAWS} draws a clip", processes, DRAWS * len(clips), taken)
        _rooms_and_backgrounds(scratch / "computed", cores)
    batch = generator.integers(-128, 128, (128, 204, 40)).astype(np.int8)
    masks = MaskSettings(time_mask_max_size=5, time_mask_count=2, freq_mask_max_size=5, freq_mask_count=2)
    taken = timed(lambda: [spec_augment(batch, masks, 0, step) for step in range(BATCHES)])
    print(f"\nSpecAugment on NumPy, 128 windows of 204 slices: {1000 * taken / BATCHES:.2f} ms a batch")
    print("Several processes include their start, 1 to 2 s each.")


def _rooms_and_backgrounds(folder: Path, cores: int) -> None:
    """What is computed once where there are no recordings."""
    began = time.perf_counter()
    rooms = len(computed_rooms(folder, Split.TRAIN, COMPUTED))
    between = time.perf_counter()
    computed_backgrounds(folder, Split.TRAIN, COMPUTED)
    taken = between - began, time.perf_counter() - between
    print(
        f"\n{rooms} computed rooms: {taken[0]:.1f} s on {cores} cores; as many computed backgrounds without speech:"
        f" {taken[1]:.1f} s"
    )


def _row(label: str, cores: int, clips: int, taken: float) -> None:
    print(f"{label:44}{cores:6}{1000 * taken * cores / clips:11.2f}{clips / taken / cores:16.0f}", flush=True)


def _only(effect: str) -> AugmentationSection:
    return AugmentationSection.model_validate({name: float(name == effect) for name in EFFECTS})


def _augment(augmenter: Augmenter, clips: list[NDArray[np.int16]]) -> None:
    for number, clip in enumerate(clips):
        augmenter.augment(clip, 0, str(number), 0)


def _clips(scratch: Path) -> list[SampleRecord]:
    folders = [Path(argument) for argument in sys.argv[1:]] or (
        [CORPUS / name for name in CORPUS_FOLDERS] if CORPUS.is_dir() else []
    )
    paths = [*find_sounds(folders).recordings[:CLIPS]]
    if not paths:
        print("no recordings given: noise takes their place\n", flush=True)
        paths = [
            _write(scratch / f"clip{number}.wav", np.random.default_rng(number).normal(0, 3000, 16_000))
            for number in range(CLIPS)
        ]
    return [SampleRecord(path, Label.POSITIVE, Split.TRAIN, "speaker", 1.0, 16_000) for path in paths]


def _sounds(scratch: Path) -> Sounds:
    generator = np.random.default_rng(1)
    noises = [_write(scratch / f"noise{number}.wav", generator.normal(0, 2000, 16_000 * 20)) for number in range(8)]
    decay = np.exp(-np.arange(16_000) / 3000)
    rooms = [_write(scratch / f"room{number}.wav", generator.normal(0, 9000, 16_000) * decay) for number in range(8)]
    return Sounds(
        store_backgrounds(noises, scratch / "store", jobs=1), store_impulses(rooms, scratch / "store", jobs=1)
    )


def _write(path: Path, samples: NDArray[np.float64]) -> Path:
    soundfile.write(path, samples.clip(-32768, 32767).astype(np.int16), 16_000)
    return path


if __name__ == "__main__":
    main()
