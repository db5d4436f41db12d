"""Wake words that are longer than what a training window hears: the network learns their ends alone, and nothing else
would say so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from trainer.config.checks import clip_seconds
from trainer.config.lengths import window_slices
from trainer.config.network import NetworkConfig
from trainer.config.sections import TrainerConfig
from trainer.data.ingest import Label, SampleRecord
from trainer.data.parallel import Progress, map_in_processes
from trainer.data.training_sets import SLICES_AFTER_WORD
from trainer.data.words import word_place
from wakeword import contract
from wakeword.audio import read_samples

_STEP_MS = 50
"""The advice is a round number."""
_LONGEST_MS = 10_000
"""Of `hardware.clip_duration_ms`."""


def too_long_words(
    config: TrainerConfig, records: Sequence[SampleRecord], jobs: int | None = None, progress: Progress | None = None
) -> str:
    """A line that says how many wake words are longer than the window, and which `clip_duration_ms` fits them; empty
    where all fit.

    A window ends 110 to 200 ms after the word (augmented copies: up to `max_jitter_s`), or with `fixed_right_cutoff` at
    a moment of 10 to 200 ms. Counted are words that are never whole in it; what is advised has room for the longest of
    them and all of the pause. Reads recordings that are longer than the window. Raises `ConfigError` as `read_samples`
    does.
    """
    network, duration = config.model, config.hardware.clip_duration_ms
    window = _window_ms(network, duration)
    sets = ("positive", "positive_augmented") if config.augmentation.copies else ("positive",)
    latest = max(max(config.training.end_shifts(name)) for name in sets)
    least_pause = (SLICES_AFTER_WORD - latest) * contract.STEP_MS
    pause = max(
        SLICES_AFTER_WORD * contract.STEP_MS,
        round(1000 * config.augmentation.max_jitter_s) if config.augmentation.copies else 0,
    )
    words = [record for record in records if record.label is Label.POSITIVE]
    candidates = [record for record in words if 1000 * record.duration > window - least_pause]
    lengths = list(map_in_processes(_word_ms, candidates, jobs=jobs, progress=progress)) if candidates else []
    long = sorted(
        (length, record.path)
        for length, record in zip(lengths, candidates, strict=True)
        if length > window - least_pause
    )
    if not long:
        return ""
    longest, where = long[-1]
    fits = next(
        (
            ms
            for ms in range(_rounded_up(duration), _LONGEST_MS, _STEP_MS)
            if _window_ms(network, ms) >= longest + pause
        ),
        _LONGEST_MS,
    )
    settings = [f"--set hardware.clip_duration_ms={fits}"]
    section, read = config.augmentation, clip_seconds(window_slices(network, fits), config.training)
    if section.copies and section.augmentation_duration_s < read:
        settings.append(f"--set augmentation.augmentation_duration_s={math.ceil(10 * read) / 10:g}")
    are, their = ("is", "its beginning is") if len(long) == 1 else ("are", "their beginnings are")
    return (
        f"{len(long)} of {len(words)} wake words {are} longer than the window: it hears {window / 1000:.2f} s and ends"
        f" {least_pause} ms or more after the word, so {their} never heard. Longest: {where} ({longest / 1000:.2f} s)."
        f" {' '.join(settings)} fits them all; or cut the recordings to the word"
    )


def _rounded_up(milliseconds: int) -> int:
    return -(-milliseconds // _STEP_MS) * _STEP_MS


def _window_ms(network: NetworkConfig, clip_duration_ms: int) -> int:
    """Milliseconds of sound that the slices of a window hear."""
    return (window_slices(network, clip_duration_ms) - 1) * contract.STEP_MS + contract.WINDOW_MS


def _word_ms(record: SampleRecord) -> float:
    word = word_place(record.path, read_samples(record.path))
    return 1000 * (word.end - word.start) / contract.SAMPLE_RATE_HZ
