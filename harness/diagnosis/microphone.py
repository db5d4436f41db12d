"""What a board's microphone lacks, as findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.diagnosis.facts import EarResult, Facts
from harness.diagnosis.finding import Finding
from harness.diagnosis.hearing import BANDS_HZ
from wakeword.contract import SAMPLE_RATE_HZ

LARGEST_RATE_ERROR = 0.02
"""A crystal is right to 0.01 %; what a board's clock tells of some seconds, to 1 %."""
CLIPPED_SAMPLES = 32
"""Flat tops of 2 ms in all; one door that falls shut has less."""
LARGEST_OFFSET = 0.05
LEVEL_MARGIN_DB = 3.0
"""One step in which the quietest level is looked for."""
SPECTRUM_DB = 15.0
"""Of a region against the training data. Loudspeakers, rooms and cheap microphones differ by 10 dB."""
REGIONS = (("below 400 Hz", 0, 400), ("from 400 to 2000 Hz", 400, 2000), ("above 2000 Hz", 2000, 8000))


def microphone_findings(facts: Facts) -> Iterator[Finding]:
    """In the order of the way of the sound."""
    if facts.mute:
        yield Finding("mute", "Microphone", "fault", "the microphone gives no samples", facts.mute)
    ear = facts.ear
    if ear is None:
        return
    yield _rate(ear)
    source = facts.identity
    how = "" if source.channel is None else f" (channel {source.channel}, gain {source.gain})"
    if ear.noise.empty and ear.speech.empty:
        yield Finding(
            "empty",
            "Channel",
            "fault",
            f"the channel is empty: every sample is the same{how}",
            "check the microphone's mute switch and its wires; a microphone of two channels has the sound in the other"
            " one (channels in the target's micro_wake_word)",
        )
        return
    yield Finding("empty", "Channel", "good", f"holds sound{how}")
    yield from _gaps(ear)
    yield _clipping(ear)
    yield from _offset(ear)
    yield Finding("floor", "Noise floor", "good", f"{ear.noise.floor_dbfs:.0f} dBFS while nothing was played")
    yield from _level(facts, ear)
    yield from _spectrum(facts, ear)


def _rate(ear: EarResult) -> Finding:
    rate = ear.facts.rate
    if rate is None:
        return Finding("rate", "Sampling rate", "not looked at", "was not heard for long enough; listen longer")
    if abs(rate / SAMPLE_RATE_HZ - 1) > LARGEST_RATE_ERROR:
        ratio = rate / SAMPLE_RATE_HZ
        how = f"{ratio:.1f} times too slow" if ratio > 1 else f"{1 / ratio:.1f} times too fast"
        return Finding(
            "rate",
            "Sampling rate",
            "fault",
            f"the microphone gives {rate:,.0f} samples a second and not {SAMPLE_RATE_HZ:,}: all is heard {how}",
            "give the microphone its clock for 16 kHz; a codec or XMOS may need another firmware of its own",
        )
    return Finding("rate", "Sampling rate", "good", f"{rate:,.0f} samples a second by the board's clock")


def _gaps(ear: EarResult) -> Iterator[Finding]:
    if ear.facts.lost:
        yield Finding(
            "gaps",
            "Gaps",
            "fault",
            f"the sound has gaps: the board lost {ear.facts.lost / SAMPLE_RATE_HZ:.2f} s of it",
            "its network or its main loop is too slow for the sound; look at loop time and Wi-Fi",
        )
    if ear.facts.unheard:
        all_of_it = ear.stopped
        yield Finding(
            "stopped" if all_of_it else "slow",
            "Detection",
            "fault",
            "detection does not run on the board"
            if all_of_it
            else f"detection did not hear {ear.facts.unheard / SAMPLE_RATE_HZ:.2f} s of the sound: it is too slow",
            "start it (mww_start, or micro_wake_word.start)" if all_of_it else "fewer or smaller models; see loop time",
        )


def _clipping(ear: EarResult) -> Finding:
    clipped = ear.noise.clipped + ear.speech.clipped
    if clipped >= CLIPPED_SAMPLES:
        return Finding(
            "clipped",
            "Clipping",
            "fault",
            f"the microphone is overdriven: {clipped:,} samples are cut off at {ear.speech.peak_dbfs:z.1f} dBFS",
            "lower the gain (gain_factor of the target's micro_wake_word, or the codec's)",
        )
    return Finding("clipped", "Clipping", "good", f"none; the peak is {ear.speech.peak_dbfs:z.1f} dBFS")


def _offset(ear: EarResult) -> Iterator[Finding]:
    if abs(ear.noise.offset) > LARGEST_OFFSET:
        yield Finding(
            "offset",
            "Offset",
            "note",
            f"the sound lies {100 * ear.noise.offset:.0f} % of full scale beside zero",
            "correct_dc_offset of the microphone takes it away",
        )


def _level(facts: Facts, ear: EarResult) -> Iterator[Finding]:
    what = "the probe" if ear.played else "speech"
    level, needed, reference = ear.speech.level_dbfs, facts.quietest_dbfs, facts.reference
    if level is None:
        yield (
            Finding(
                "quiet",
                "Level",
                "fault",
                "the microphone hears nothing of what is played: it does not stand out of the noise",
                "check loudspeaker, volume and the microphone's gain",
            )
            if ear.played
            else Finding(
                "level", "Level", "not looked at", "nobody spoke; say the wake word while it listens, or give --speaker"
            )
        )
        return
    heard = f"{what} is heard at {level:.0f} dBFS, {level - ear.noise.floor_dbfs:.0f} dB above the noise"
    if reference is not None and reference.level_dbfs is not None:
        beside = level - reference.level_dbfs
        heard += f", {abs(beside):.0f} dB {'below' if beside < 0 else 'above'} the training data's median"
    if needed is not None and level < needed - LEVEL_MARGIN_DB:
        yield Finding(
            "quiet",
            "Level",
            "fault",
            f"the microphone is {needed - level:.0f} dB too quiet",
            f"{heard}; over this noise the model detects from {needed:.0f} dBFS on. Raise the gain (gain_factor of the"
            " target's micro_wake_word), or go nearer",
        )
    else:
        yield Finding("quiet", "Level", "good", heard)
    if reference is None or reference.lowest_dbfs is None or reference.highest_dbfs is None:
        return
    span = f"{reference.lowest_dbfs:.0f} to {reference.highest_dbfs:.0f} dBFS"
    if not reference.lowest_dbfs - LEVEL_MARGIN_DB <= level <= reference.highest_dbfs + LEVEL_MARGIN_DB:
        yield Finding(
            "level",
            "Level in training",
            "fault",
            f"the model never saw this level: {level:.0f} dBFS, and in training {span}",
            "change the board's gain, or train with these levels (augmentation.Gain)",
        )
    else:
        yield Finding("level", "Level in training", "good", f"within that of the training data, {span}")


def _spectrum(facts: Facts, ear: EarResult) -> Iterator[Finding]:
    heard, wanted = ear.speech.bands_db, None if facts.reference is None else facts.reference.bands_db
    if heard is None or wanted is None:
        return
    differences = [
        (name, float(np.mean(found)))
        for name, low, high in REGIONS
        if (
            found := [
                one - other
                for hz, one, other in zip(BANDS_HZ, heard, wanted, strict=True)
                if low <= hz < high and one is not None and other is not None
            ]
        )
    ]
    told = ", ".join(f"{difference:+z.0f} dB {name}" for name, difference in differences)
    worst = max(differences, key=lambda one: abs(one[1]), default=None)
    if worst is not None and abs(worst[1]) > SPECTRUM_DB:
        how = "weaker" if worst[1] < 0 else "stronger"
        yield Finding(
            "spectrum",
            "Spectrum",
            "fault",
            f"{worst[0]} the sound is {abs(worst[1]):.0f} dB {how} than in the training data",
            f"against the training data: {told}. Look for a covered or a wrongly clocked microphone, or train with such"
            " microphones",
        )
    else:
        yield Finding("spectrum", "Spectrum", "good", f"against the training data: {told or 'too little of it'}")
