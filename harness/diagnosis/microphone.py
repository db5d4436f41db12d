"""What a board's microphone lacks, as findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.diagnosis.facts import LARGEST_RATE_ERROR, EarResult, Facts
from harness.diagnosis.finding import Finding, Status
from harness.diagnosis.hearing import BANDS_HZ
from wakeword.contract import SAMPLE_RATE_HZ

CLIPPED_SAMPLES = 32
"""Flat tops of 2 ms in all; one door that falls shut has less."""
SILENCE = "silence"
"""Kind of the finding that nothing was heard of a voice: nothing can be said of the microphone then."""
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
    rate = _rate(ear)
    yield rate
    if rate.status == "fault":
        yield _left_out(ear)
        return
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
        yield _left_out(ear)
        return
    yield Finding("empty", "Channel", "good", f"holds sound{how}")
    yield from _gaps(ear)
    yield _clipping(ear)
    yield from _offset(ear)
    yield Finding("floor", "Noise floor", "good", f"{ear.noise.floor_dbfs:.0f} dBFS while nothing was played")
    if ear.unsound:
        yield _left_out(ear)
        return
    yield from _level(facts, ear)
    yield from _spectrum(facts, ear)


def _left_out(ear: EarResult) -> Finding:
    return Finding("left out", "Level and spectrum", "not looked at", f"{ear.unsound}: mend that first")


def _told_fault(facts: Facts) -> Status:
    """What keeps no word from being detected is no fault."""
    return "note" if facts.acoustic is not None and facts.acoustic.detected else "fault"


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
            "not looked at",
            f"{ear.facts.lost / SAMPLE_RATE_HZ:.2f} s of the sound were lost on the way to this machine; again,"
            " nearer to the access point",
        )
    if ear.facts.slow:
        yield Finding(
            "slow",
            "Detection",
            "fault",
            f"detection is too slow for the board: {ear.facts.slow / SAMPLE_RATE_HZ:.2f} s of the sound were lost",
            "fewer or smaller models; see loop time",
        )
    if ear.facts.unheard:
        all_of_it = ear.stopped
        yield Finding(
            "stopped" if all_of_it else "paused",
            "Detection",
            "fault",
            "detection does not run on the board"
            if all_of_it
            else f"detection did not run for {ear.facts.unheard / SAMPLE_RATE_HZ:.2f} s of the sound",
            "start it (mww_start, or micro_wake_word.start)"
            if all_of_it
            else "its log says why: stopped by an automation, by an error, or not started yet",
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
                SILENCE,
                "Level",
                "not looked at",
                "nobody spoke, or the microphone is too quiet to tell",
                "say the wake word while it listens, nearer; or give --speaker",
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
            _told_fault(facts),
            f"the microphone is {needed - level:.0f} dB too quiet",
            f"{heard}; over this noise the model detects from {needed:.0f} dBFS on. Raise the gain (gain_factor of the"
            " target's micro_wake_word), or go nearer",
        )
    else:
        yield Finding("quiet", "Level", "note" if needed is None else "good", heard)
    if reference is None or reference.lowest_dbfs is None or reference.highest_dbfs is None:
        return
    span = f"{reference.lowest_dbfs:.0f} to {reference.highest_dbfs:.0f} dBFS"
    if not reference.lowest_dbfs - LEVEL_MARGIN_DB <= level <= reference.highest_dbfs + LEVEL_MARGIN_DB:
        yield Finding(
            "level",
            "Level in training",
            _told_fault(facts),
            f"the model never saw this level: {level:.0f} dBFS, and in training {span}",
            "change the board's gain, or train with these levels (augmentation.min_level_dbfs, max_level_dbfs)",
        )
    else:
        yield Finding("level", "Level in training", "good", f"within that of the training data, {span}")


def _spectrum(facts: Facts, ear: EarResult) -> Iterator[Finding]:
    heard, bounds = ear.speech.bands_db, ear.speech.noise_bands_db
    wanted = None if facts.reference is None else facts.reference.bands_db
    if heard is None or bounds is None or wanted is None:
        why = (
            "too little stands out of the noise" if wanted is not None else "give recordings of the wake word by --data"
        )
        yield Finding("spectrum", "Spectrum", "not looked at", why)
        return
    differences, hidden = [], []
    for name, low, high in REGIONS:
        places = [index for index, hz in enumerate(BANDS_HZ) if low <= hz < high]
        found = [_band(heard[at], bounds[at], trained) for at in places if (trained := wanted[at]) is not None]
        told = [one for one in found if one is not None]
        if told:
            differences.append((name, float(np.mean(told))))
        elif found:
            hidden.append(name)
    told_all = ", ".join(
        [f"{difference:+z.0f} dB {name}" for name, difference in differences]
        + [f"hidden in the noise {name}" for name in hidden]
    )
    worst = max(differences, key=lambda one: abs(one[1]), default=None)
    if worst is not None and abs(worst[1]) > SPECTRUM_DB:
        how = "weaker" if worst[1] < 0 else "stronger"
        # Many loudspeakers have no bass.
        by_loudspeaker = ear.played and worst[0] == REGIONS[0][0]
        yield Finding(
            "spectrum",
            "Spectrum",
            "note" if by_loudspeaker else _told_fault(facts),
            f"{worst[0]} the sound is {abs(worst[1]):.0f} dB {how} than in the training data",
            f"against the training data: {told_all}. Look for a covered or a wrongly clocked microphone, or train with"
            " such microphones",
        )
    else:
        yield Finding("spectrum", "Spectrum", "good", f"against the training data: {told_all or 'too little of it'}")


def _band(heard: float | None, bound: float, trained: float) -> float | None:
    """Difference of a band in dB. Of one that the noise hides the sound is no louder than the noise: where even that is
    far less than in training, the band is missing. None where nothing can be said.
    """
    if heard is not None:
        return heard - trained
    return bound - trained if bound - trained < -SPECTRUM_DB else None
