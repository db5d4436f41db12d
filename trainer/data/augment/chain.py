"""One clip through all effects, the same result for the same seed, clip and draw.

Six effects are `audiomentations`' own. They draw from the global generators of `random` and NumPy, which are seeded
anew before each effect from (seed, clip, draw, effect) and put back afterwards: nothing outside notices, no order of
clips or number of workers matters, and an effect that is switched off changes nothing that the others draw. Backgrounds
and impulse responses are mixed by this module, from the store of decoded sounds, since the library decodes a file a
draw.

Where this differs from the reference implementation, and why:

- A word keeps its place: impulse responses begin at their direct sound (`trainer.data.augment.sounds.impulse_samples`).
- The drawn gain counts: `audiomentations.ApplyImpulseResponse` scales its result to a peak of 0.5, whatever gain came
  before it.
- What a recording holds after its word stays under the jitter; zeros are only put where it has ended.

What is drawn does not depend on the machine. The samples come from floating-point filters and Fourier transforms of
NumPy and SciPy and are rounded to int16 at the end; on processors with other vector units a sample may differ by one
unit.
"""

from __future__ import annotations

import importlib
import random
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.config.sections import AugmentationSection
from trainer.data.augment import microphone
from trainer.data.augment.context import PlacedClip, speech_after, speech_before
from trainer.data.augment.sounds import Sounds, impulse_samples
from trainer.data.words import WordPlace
from wakeword import contract
from wakeword.audio import to_int16
from wakeword.draws import derived_generator
from wakeword.errors import ConfigError
from wakeword.extras import require

Waveform = NDArray[np.float32]
_Effect = Callable[[Waveform, np.random.Generator], Waveform]

# Strengths of the reference's training notebook; the library's own defaults are far stronger.
_EQ_GAIN_DB = 6.0
_MIN_DISTORTION, _MAX_DISTORTION = 0.0001, 0.10
_SEMITONES = 3.0
_SLOWEST, _FASTEST = 0.9, 1.1
_COLOR_MIN_SNR_DB, _COLOR_MAX_SNR_DB = 10.0, 30.0

_QUIETEST_BACKGROUND_RMS = 1e-4
"""-80 dB below full scale, about three units of int16: raising less would add rounding noise and no background."""
_BACKGROUND_TRIES = 4
_ONSET_FROM_S, _ONSET_UNTIL, _ONSET_WITHIN = 0.3, 0.67, 0.5

_STREAM = re.compile("(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Where "_" goes into an effect's key: so each names its random numbers, which are those of earlier releases."""

_globals_in_use = threading.Lock()
"""Threads of one process share the global generators."""


def place_word(
    samples: NDArray[np.int16], word: WordPlace, settings: AugmentationSection, generator: np.random.Generator
) -> PlacedClip:
    """A word near the end of a clip: its end, of `[n]`, comes to lie a drawn jitter before the end, int16
    `[settings.samples]`.
    """
    jitter = round(generator.uniform(settings.min_jitter_s, settings.max_jitter_s) * contract.SAMPLE_RATE_HZ)
    end = settings.samples - jitter
    start = word.end - end
    return PlacedClip(_part(samples, start, settings.samples), end, (max(0, word.start - start), end))


def place_anywhere(
    samples: NDArray[np.int16], settings: AugmentationSection, generator: np.random.Generator
) -> PlacedClip:
    """A drawn part of a longer recording, or the whole of a shorter one at a drawn place among zeros, int16
    `[settings.samples]`.
    """
    room = len(samples) - settings.samples
    start = (
        int(generator.integers(0, room, endpoint=True))
        if room >= 0
        else -int(generator.integers(0, -room, endpoint=True))
    )
    return _own(samples, start, settings.samples)


def place_onset(
    samples: NDArray[np.int16], settings: AugmentationSection, generator: np.random.Generator
) -> PlacedClip:
    """A recording that begins within the clip, in its first two thirds after at least 0.3 s of zeros, at its own
    beginning or anywhere in it.
    """
    silence = round(generator.uniform(_ONSET_FROM_S * contract.SAMPLE_RATE_HZ, settings.samples * _ONSET_UNTIL))
    skipped = (
        int(generator.integers(0, max(0, len(samples) - settings.samples), endpoint=True))
        if generator.random() < _ONSET_WITHIN
        else 0
    )
    return _own(samples[skipped:], -silence, settings.samples)


def _own(samples: NDArray[np.int16], start: int, count: int) -> PlacedClip:
    return PlacedClip(_part(samples, start, count), None, (max(0, -start), min(count, len(samples) - start)))


def _part[T: np.generic](samples: NDArray[T], start: int, count: int) -> NDArray[T]:
    """Samples `start` to `start + count`, zeros where there are none."""
    window = np.zeros(count, samples.dtype)
    first, last = max(start, 0), min(start + count, len(samples))
    if first < last:
        window[first - start : last - start] = samples[first:last]
    return window


class Augmenter:
    """The chain of effects with its sounds.

    Raises `ConfigError` when backgrounds or impulse responses are to be mixed in and there are none.
    """

    def __init__(self, settings: AugmentationSection, sounds: Sounds | None = None) -> None:
        self.settings, self.sounds = settings, sounds or Sounds()
        _require_sounds(
            "background_paths", "AddBackgroundNoise", settings.AddBackgroundNoise, len(self.sounds.backgrounds.sounds)
        )
        _require_sounds("impulse_paths", "RIR", settings.RIR, len(self.sounds.impulses.sounds))
        self._effects: dict[str, _Effect] = {}

    def placed(self, samples: NDArray[np.int16], word: WordPlace | None, seed: int, clip: str, draw: int) -> PlacedClip:
        """A clip `[n]` in its place, int16 `[settings.samples]`, with what is said around it.

        `word` is the place of a word that the clip is to end with; None for a clip without one, in whose place a
        background may be heard. A word in flow has its own context and gets no other. `clip` names the clip: the same
        seed, name and draw give the same result.
        """
        settings, generator = self.settings, derived_generator("place", seed, clip, draw)
        around, other = derived_generator("context", seed, clip, draw), derived_generator("alone", seed, clip, draw)
        onset, before, after = around.random(3) < (settings.Onset, settings.SpeechBefore, settings.SpeechAfter)
        alone = word is None and bool(self.sounds.backgrounds.sounds) and other.random() < settings.BackgroundAlone
        if word is not None:
            placed = place_word(samples, word, settings, generator)
        elif onset:
            placed = place_onset(samples, settings, around)
            return self._background_from(placed, placed.own[0], other) if alone else placed
        else:
            placed = place_anywhere(samples, settings, generator)
        if alone:
            return self._background_from(placed, 0, other)
        if (word is not None and word.in_flow) or not self.sounds.speech.sounds:
            return placed
        if before:
            placed = speech_before(placed, self.sounds.speech, around)
        if after:
            placed = speech_after(placed, self.sounds.speech, around)
        return placed

    def augment(self, samples: NDArray[np.int16], seed: int, clip: str, draw: int) -> NDArray[np.int16]:
        """Apply the effects to int16 `[n]` and return int16 `[n]`.

        `clip` names the clip: the same seed, name and draw give the same random numbers. A result beyond full scale is
        scaled down to it.
        """
        if not self._effects:
            library = _audiomentations()
            self._effects = {name: make(self, library) for name, make in EFFECTS.items()}
        sound = samples.astype(np.float32) / np.float32(32768)
        for name in EFFECTS:
            generator = derived_generator("augment", seed, clip, draw, _STREAM.sub("_", name).lower())
            if generator.random() < getattr(self.settings, name):
                sound = self._effects[name](sound, generator)
        peak = float(np.abs(sound).max(initial=0))
        return to_int16(sound / np.float32(peak) if peak > 1 else sound)

    def _add_background(self, sound: Waveform, generator: np.random.Generator) -> Waveform:
        """Add an excerpt of a background so that RMS(sound) / RMS(excerpt) is the drawn ratio, as
        `audiomentations.AddBackgroundNoise` does.

        Nothing is added to digital silence. An excerpt that is as good as silent is drawn anew.
        """
        ratio_db = generator.uniform(self.settings.background_min_snr_db, self.settings.background_max_snr_db)
        clean = _rms(sound)
        for _ in range(_BACKGROUND_TRIES):
            excerpt = self._background(len(sound), generator)
            noise = _rms(excerpt)
            if noise >= _QUIETEST_BACKGROUND_RMS:
                return sound + excerpt * np.float32(clean / noise * 10 ** (-ratio_db / 20))
        return sound

    def _background_from(self, placed: PlacedClip, start: int, generator: np.random.Generator) -> PlacedClip:
        """A background from sample `start` to the end, with the peak of the clip in whose place it stands."""
        samples = np.zeros(len(placed.samples), np.float32)
        samples[start:] = self._background(len(samples) - start, generator)
        peaks = [float(np.abs(sound.astype(np.float32)).max(initial=0)) for sound in (placed.samples, samples)]
        # Digital silence stays as it is.
        louder = np.float32(peaks[0] / 32768 / peaks[1] if all(peaks) else 1)
        return PlacedClip(to_int16(samples * louder), None, (start, len(samples)))

    def _background(self, count: int, generator: np.random.Generator) -> Waveform:
        sounds = self.sounds.backgrounds.sounds
        chosen = sounds[int(generator.integers(len(sounds)))]
        if chosen.samples >= count:
            excerpt = chosen.read(int(generator.integers(chosen.samples - count, endpoint=True)), count)
        else:
            # Repeated, beginning anywhere.
            excerpt = np.resize(np.roll(chosen.read(), -int(generator.integers(chosen.samples))), count)
        return excerpt.astype(np.float32) / np.float32(32768)

    def _stretch(self, library: Any) -> _Effect:
        """Another rate of the whole clip. What lies where a word ends stays there: the sound before it reaches less or
        further back, and zeros stand where there is none.
        """
        seeded = _seeded(library.TimeStretch(_SLOWEST, _FASTEST, leave_length_unchanged=False, p=1.0))
        settings = self.settings
        pause = round((settings.min_jitter_s + settings.max_jitter_s) / 2 * contract.SAMPLE_RATE_HZ)

        def apply(sound: Waveform, generator: np.random.Generator) -> Waveform:
            stretched = seeded(sound, generator)
            end = max(0, len(sound) - pause)
            start = round(end * len(stretched) / len(sound)) - end
            return _part(stretched, start, len(sound))

        return apply

    def _reverberate(self, sound: Waveform, generator: np.random.Generator) -> Waveform:
        from scipy.signal import fftconvolve

        impulses = self.sounds.impulses.sounds
        response = impulse_samples(impulses[int(generator.integers(len(impulses)))], len(sound))
        reverberated: Waveform = fftconvolve(sound, response)[: len(sound)]
        return reverberated


EFFECTS: Mapping[str, Callable[[Augmenter, Any], _Effect]] = {
    "SevenBandParametricEQ": lambda _, library: _seeded(
        library.SevenBandParametricEQ(-_EQ_GAIN_DB, _EQ_GAIN_DB, p=1.0)
    ),
    "TanhDistortion": lambda _, library: _seeded(library.TanhDistortion(_MIN_DISTORTION, _MAX_DISTORTION, p=1.0)),
    "PitchShift": lambda _, library: _seeded(library.PitchShift(-_SEMITONES, _SEMITONES, p=1.0)),
    "TimeStretch": lambda chain, library: chain._stretch(library),
    "BandStopFilter": lambda _, library: _seeded(library.BandStopFilter(p=1.0)),
    "AddColorNoise": lambda _, library: _seeded(library.AddColorNoise(_COLOR_MIN_SNR_DB, _COLOR_MAX_SNR_DB, p=1.0)),
    "AddBackgroundNoise": lambda chain, _: chain._add_background,
    "Gain": lambda chain, library: _seeded(library.Gain(chain.settings.min_gain_db, chain.settings.max_gain_db, p=1.0)),
    "RIR": lambda chain, _: chain._reverberate,
    "BandLimits": lambda *_: microphone.band_limits,
    "Level": lambda chain, _: partial(
        microphone.level, limits_dbfs=(chain.settings.min_level_dbfs, chain.settings.max_level_dbfs)
    ),
    "SelfNoise": lambda *_: microphone.self_noise,
    "AutomaticGain": lambda *_: microphone.automatic_gain,
    "Clipping": lambda *_: microphone.clipping,
}
"""By the key of its probability, what makes each effect of a chain and its library, in the order in which the effects
are applied."""


def _rms(sound: Waveform) -> float:
    return float(np.sqrt(np.mean(sound.astype(np.float64) ** 2)))


def _seeded(transform: Any) -> _Effect:
    def apply(sound: Waveform, generator: np.random.Generator) -> Waveform:
        with _seeded_globals(int(generator.integers(2**32))):
            changed: Waveform = transform(sound, contract.SAMPLE_RATE_HZ)
        return changed.astype(np.float32, copy=False)

    return apply


@contextmanager
def _seeded_globals(seed: int) -> Iterator[None]:
    """The global generators of `random` and NumPy, from which audiomentations draws, begin at `seed`; afterwards they
    are as before.
    """
    with _globals_in_use:
        python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the library knows no other generator
        try:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def _audiomentations() -> ModuleType:
    """The library, which takes a second to import. Raises `InfrastructureError` when it is not installed."""
    require("augmentation", "audiomentations")
    with warnings.catch_warnings():
        # Its 0.43 has a docstring with the escape "\s", of which Python warns when it compiles that file.
        warnings.simplefilter("ignore", SyntaxWarning)
        return importlib.import_module("audiomentations")


def _require_sounds(key: str, effect: str, probability: float, sounds: int) -> None:
    if probability and not sounds:
        raise ConfigError(
            f"augmentation.{key} gives no usable sound for training, and augmentation.{effect} is {probability:g}; add"
            " recordings to it (where it has some, more of them: each belongs to one split), or set the probability"
            " to 0"
        )
