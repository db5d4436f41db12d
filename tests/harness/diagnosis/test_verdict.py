"""From facts to findings, without a board."""

from __future__ import annotations

import html
import wave
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware.answers import Identity, ModelIdentity, Stamp
from firmware.boards.ear import EarFacts
from harness.diagnosis.examination import tries_with
from harness.diagnosis.facts import EarResult, Facts, ProbeResult
from harness.diagnosis.finding import Finding
from harness.diagnosis.hearing import examine_sound, flat_tops
from harness.diagnosis.record import make_diagnosis, write_diagnosis
from harness.diagnosis.reference import Reference, _TrainedLevels, examine_reference
from harness.diagnosis.verdict import findings, verdict
from trainer.config.data_sections import AugmentationSection
from wakeword.contract import SAMPLE_RATE_HZ

RANDOM = np.random.default_rng(3)
NOISE = RANDOM.normal(0, 20, 4 * SAMPLE_RATE_HZ)
MODEL = ModelIdentity("ww_a", "A", "a" * 64, 50_000, 229, 5, True, 20_000)


def spoken(level: float) -> NDArray[np.int16]:
    """Two seconds of noise with words of this rms in it, 1000 ms in all."""
    sound = NOISE[: 2 * SAMPLE_RATE_HZ].copy()
    for start in (4000, 14_000):
        sound[start : start + 8000] += np.random.default_rng(1).normal(0, level, 8000)
    return np.clip(np.rint(sound), -32767, 32767).astype(np.int16)


def ear(level: float = 2000, **changed: object) -> EarResult:
    facts = EarFacts(6 * SAMPLE_RATE_HZ, 0, 0, 0, 16_000.0)
    noise = NOISE.astype(np.int16)
    return EarResult(replace(facts, **changed), examine_sound(noise), examine_sound(spoken(level), noise, 1.0), True)  # type: ignore[arg-type]


def facts(**changed: object) -> Facts:
    identity = Identity(Stamp("0" * 8, 0, 100_000), "esp32-s3-box-3", (MODEL,), "bench", 0, 4)
    healthy = Facts(
        board="desk",
        wake_word="A",
        model_sha256="a" * 64,
        cutoff=229,
        window=5,
        manifest_arena=22_000,
        cutoff_warning="",
        identity=identity,
        sensors={"Loop time": 20.0, "Heap free": 120_000.0, "Heap low-water mark": 90_000.0},
        uptime_ms=100_000,
        reference=Reference("recordings", 20, None, None, None, ear().speech.bands_db),
        quietest_dbfs=-70.0,
        digital=ProbeResult(True, 250, 251),
        acoustic=ProbeResult(True, 240, 251),
        ear=ear(),
    )
    return replace(healthy, **changed)  # type: ignore[arg-type]


def faults(given: Facts) -> list[Finding]:
    return [one for one in findings(given) if one.status == "fault"]


def test_a_healthy_board() -> None:
    assert faults(facts()) == []
    assert verdict(findings(facts())) == "no fault was found"
    told = {one.about: one.found for one in findings(facts())}
    assert told["Tensor arena"] == "20,000 bytes needed on this board, 22,000 in the manifest"
    assert told["Heap"] == "90,000 bytes free at its lowest"
    assert told["Channel"] == "holds sound (channel 0, gain 4)"


def test_what_was_not_looked_at_is_said() -> None:
    left = facts(ear=None, digital=None, acoustic=None, not_looked_at={"Microphone": "build it with --digital"})
    assert verdict(findings(left)) == "no fault was found, but not all was looked at: Microphone"


@pytest.mark.parametrize(
    ("changed", "kind", "words"),
    [
        ({"quietest_dbfs": -6.0, "acoustic": None}, "quiet", "the microphone is 18 dB too quiet"),
        ({"ear": ear(3.0)}, "quiet", "hears nothing of what is played"),
        ({"ear": ear(slow=1600)}, "slow", "detection is too slow for the board: 0.10 s"),
        ({"ear": ear(unheard=48_000)}, "paused", "detection did not run for 3.00 s of the sound"),
        ({"ear": ear(unheard=6 * SAMPLE_RATE_HZ)}, "stopped", "detection does not run on the board"),
        ({"ear": ear(rate=8000.0)}, "rate", "all is heard 2.0 times too fast"),
        ({"ear": None, "mute": "no samples"}, "mute", "the microphone gives no samples"),
        ({"sensors": {"Heap low-water mark": 9000.0}}, "heap", "memory is nearly used up: 9,000 bytes"),
        ({"sensors": {"Loop time": 2500.0}}, "loop", "stands still for 2500 ms"),
        ({"faults_logged": ("audio lost, ring buffer overflow",)}, "log", "the board says: audio lost"),
        ({"digital": ProbeResult(False, 80, 251)}, "digital", r"highest probability 80/255, 251 in the simulation"),
        (
            {"digital": ProbeResult(False, None, 251, "no room at 1.00 s", too_slow=True)},
            "digital",
            "not heard to its end: no room",
        ),
        (
            {"acoustic": ProbeResult(False, 9, 251), "ear_simulated": 1, "ear": replace(ear(), played=False)},
            "acoustic",
            "the board did not detect what was said, and the simulation",
        ),
        ({"acoustic": ProbeResult(False, 9, 251), "ear_simulated": 1}, "acoustic", "the simulation detects it in"),
        ({"window": 7}, "cutoff", "the manifest says cutoff 229/255, window 7"),
        ({"cutoff_warning": "At cutoff 229/255 nothing."}, "cutoff", "At cutoff 229/255 nothing"),
    ],
)
def test_a_fault(changed: dict[str, object], kind: str, words: str, tmp_path: Path) -> None:
    found = faults(facts(**changed))
    assert [one.kind for one in found] == [kind]
    assert words in found[0].found
    assert found[0].remedy or kind == "mute"
    page = write_diagnosis(make_diagnosis(facts(**changed), "on-device", None), tmp_path)
    assert html.escape(found[0].found[1:], quote=False)[:40] in page.read_text().replace("&#39;", "'")


@pytest.mark.parametrize(
    ("changed", "about", "words"),
    [
        ({"ear": ear(lost=1600)}, "Gaps", "0.10 s of the sound were lost on the way"),
        ({"ear": ear(lost=1600)}, "Probe through the air", "sound was lost on its way: mend that first"),
        ({"ear": ear(lost=1600)}, "Level and spectrum", "sound was lost on its way: mend that first"),
        ({"digital": ProbeResult(False, None, 251, "the network was too slow")}, "Probe as samples", "too slow"),
        ({"reference": None}, "Spectrum", "give recordings of the wake word by --data"),
        ({"ear": replace(ear(3.0), played=False)}, "Level", "nobody spoke, or the microphone is too quiet to tell"),
    ],
)
def test_what_the_measurement_lacks_is_no_fault_of_the_board(
    changed: dict[str, object], about: str, words: str, tmp_path: Path
) -> None:
    given = facts(**{"acoustic": ProbeResult(False, 9, 251), **changed})
    if about != "Probe through the air":
        given = replace(given, acoustic=None)
    assert faults(given) == []
    (found,) = [one for one in findings(given) if one.about == about]
    assert (found.status, words in found.found) == ("not looked at", True)
    write_diagnosis(make_diagnosis(given, "on-device", None), tmp_path)


def test_a_wrong_rate_brings_no_other_fault() -> None:
    bad = replace(ear(rate=48_000.0, slow=16_000), speech=examine_sound(spoken(3.0), NOISE.astype(np.int16), 1.0))
    given = facts(ear=bad, acoustic=ProbeResult(False, 9, 251), ear_simulated=0, quietest_dbfs=-6.0)
    assert [one.kind for one in faults(given)] == ["rate"]


@pytest.mark.parametrize(
    "changed",
    [
        {"quietest_dbfs": -6.0},
        {"reference": Reference("recordings", 20, -12.0, -20.0, -8.0, None)},
        {"acoustic": ProbeResult(True, 240, 251, tries=2)},
        {"quietest_dbfs": None},
    ],
)
def test_a_board_that_wakes_has_no_fault_but_notes(changed: dict[str, object]) -> None:
    given = facts(**changed)
    assert faults(given) == []
    assert [one.status for one in findings(given) if one.about != "Spectrum"].count("note") == 1


@pytest.mark.parametrize(
    ("tries", "simulated", "words", "remedy"),
    [
        (3, None, "in 3 tries", "see model and detection"),
        (3, 0, "in 3 tries: the simulation does not detect it in what the microphone heard either", "another sound"),
        (3, 1, "in 3 tries: the simulation detects it in what the microphone heard, 1 of 3 times", "hardly the word"),
        (3, 2, "in 3 tries: the simulation detects it in what the microphone heard, 2 of 3 times", "see model"),
        (1, 1, "through the air: the simulation detects it in what the microphone heard", "see model"),
    ],
)
def test_the_board_is_blamed_for_what_the_simulation_does_not_miss_too(
    tries: int, simulated: int | None, words: str, remedy: str
) -> None:
    (fault,) = faults(facts(acoustic=ProbeResult(False, 9, 251, tries=tries), ear_simulated=simulated))
    assert fault.found.endswith(words)
    assert remedy in fault.remedy


def test_the_simulation_is_asked_about_each_try_as_the_board_is() -> None:
    """Neither what it finds in the noise before counts, nor the same try twice."""
    starts = [64_000, 100_000, 136_000]
    assert tries_with([], starts) == 0
    assert tries_with([30_000, 64_000], starts) == 0
    assert tries_with([64_160, 90_000], starts) == 1
    assert tries_with([100_000, 100_001, 400_000], starts) == 3


def test_a_level_outside_of_the_training_data() -> None:
    reference = Reference("recordings", 20, -12.0, -20.0, -8.0, None)
    (fault,) = faults(facts(reference=reference, acoustic=None))
    assert fault.found == "the model never saw this level: -24 dBFS, and in training -20 to -8 dBFS"
    wide = replace(reference, lowest_dbfs=-60.0)
    assert faults(facts(reference=wide)) == []
    (level,) = [one for one in findings(facts(reference=wide)) if one.about == "Level"]
    assert "12 dB below the training data's median" in level.found


def test_a_spectrum_beside_the_training_data() -> None:
    heard = ear().speech.bands_db
    assert heard is not None
    same = Reference("recordings", 20, None, None, None, heard)
    assert faults(facts(reference=same)) == []
    more = tuple(None if value is None else value + (20 if index >= 12 else 0) for index, value in enumerate(heard))
    (fault,) = faults(facts(reference=replace(same, bands_db=more), acoustic=None))
    assert fault.found == "above 2000 Hz the sound is 20 dB weaker than in the training data"
    # A loudspeaker without bass is no covered microphone.
    bass = tuple(None if value is None else value + (20 if index < 5 else 0) for index, value in enumerate(heard))
    assert faults(facts(reference=replace(same, bands_db=bass), acoustic=None)) == []


def test_a_dead_treble_is_a_fault_where_the_noise_would_not_hide_it() -> None:
    words = spoken(2000).astype(float)
    spectrum = np.fft.rfft(words)
    spectrum[np.fft.rfftfreq(len(words), 1 / SAMPLE_RATE_HZ) > 2200] = 0
    noise = np.rint(NOISE / 20).astype(np.int16)
    dead = np.rint(np.fft.irfft(spectrum, len(words)) + noise[: len(words)]).astype(np.int16)
    given = facts(ear=replace(ear(), speech=examine_sound(dead, noise, 1.0)), acoustic=None)
    (fault,) = faults(given)
    assert fault.found.startswith("above 2000 Hz the sound is")
    assert "weaker" in fault.found


def test_hum_below_what_the_model_hears_is_no_noise() -> None:
    hum = 730 * np.sin(2 * np.pi * 60 * np.arange(len(NOISE)) / SAMPLE_RATE_HZ)
    noise = np.rint(NOISE + hum).astype(np.int16)
    speech = np.rint(spoken(700) + hum[: 2 * SAMPLE_RATE_HZ]).astype(np.int16)
    heard = examine_sound(speech, noise, 1.0)
    assert heard.floor_dbfs == pytest.approx(examine_sound(NOISE.astype(np.int16)).floor_dbfs, abs=0.5)
    assert heard.level_dbfs == pytest.approx(20 * np.log10(700 / 32768), abs=0.5)
    assert examine_sound(speech, noise).bands_db is not None


def test_levels_in_training_are_those_that_the_augmentation_sets(tmp_path: Path) -> None:
    path = tmp_path / "one.wav"
    samples = spoken(2000)
    with wave.open(str(path), "wb") as wav:
        wav.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        wav.writeframes(samples.astype("<i2").tobytes())
    plain = examine_reference(tmp_path, [path])
    assert plain.lowest_dbfs == plain.highest_dbfs == plain.level_dbfs
    config = tmp_path / "config.yaml"
    below = examine_sound(samples)
    assert below.level_dbfs is not None
    ratio = below.level_dbfs - below.peak_dbfs
    for text, lowest, highest in (
        ("training: {}\n", ratio - 45, ratio),
        ("augmentation: {min_level_dbfs: -15.0}\n", ratio - 15, ratio),
        ("augmentation: {Level: 0.0, max_gain_db: 6.0}\n", below.level_dbfs - 45, below.level_dbfs + 6),
        ("augmentation: {copies: 0}\n", below.level_dbfs, below.level_dbfs),
    ):
        config.write_text(text)
        made = examine_reference(tmp_path, [path])
        assert made.lowest_dbfs == pytest.approx(lowest), text
        assert made.highest_dbfs == pytest.approx(highest), text
    defaults = AugmentationSection()
    for field in fields(_TrainedLevels):
        assert getattr(defaults, field.name) == field.default, field.name


def test_the_board_that_has_just_started_says_nothing_of_its_loop() -> None:
    assert faults(facts(sensors={"Loop time": 4000.0}, uptime_ms=9000)) == []


def test_an_arena_that_the_manifest_does_not_give_is_a_note() -> None:
    (note,) = [one for one in findings(facts(manifest_arena=19_000)) if one.about == "Tensor arena"]
    assert (note.status, "tensor_arena_size 20224" in note.remedy) == ("note", True)


def test_flat_tops() -> None:
    sound = np.rint(20_000 * np.sin(np.arange(16_000) / 5)).astype(np.int16)
    assert flat_tops(sound) == 0
    assert flat_tops(np.clip(sound, -15_000, 32_000)) > 1000
    assert flat_tops(np.zeros(100, np.int16)) == flat_tops(np.zeros(0, np.int16)) == 0
    # A quiet microphone whose sound lies beside zero, and hum, whose tops are wide, are not cut off.
    beside = 1500 + np.random.default_rng(0).integers(-2, 3, 64_000)
    assert flat_tops(beside.astype(np.int16)) == 0
    hum = np.rint(1200 * np.sin(2 * np.pi * 50 * np.arange(64_000) / SAMPLE_RATE_HZ))
    assert flat_tops(hum.astype(np.int16)) == 0
    assert flat_tops(np.clip(hum, -800, 1100).astype(np.int16)) > 1000
    # Three units of noise reach their largest value all the time.
    assert flat_tops(np.random.default_rng(0).integers(-2, 3, 10_000).astype(np.int16)) == 0


@pytest.mark.parametrize(("low", "high"), [(-8000, 32_767), (-32_768, 8000), (-8000, 8000)])
@pytest.mark.parametrize("drift", [0, 2000])
def test_a_sound_that_is_cut_off_on_one_side_alone(low: int, high: int, drift: int) -> None:
    """Its mean is no longer its middle, which is no sound of 0 Hz; nor is a drift."""
    time = np.arange(4 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    sound = np.sin(2 * np.pi * 150 * time) * (1 + np.sin(2 * np.pi * 3 * time)) * 10_000 + drift * np.exp(-time)
    assert flat_tops(np.rint(sound).astype(np.int16)) == 0
    cut = np.clip(np.rint(sound), low, high).astype(np.int16)
    assert flat_tops(cut) > 0.9 * ((cut == low).sum() + (cut == high).sum()) > 1000


def test_an_empty_channel_and_one_of_one_value() -> None:
    assert examine_sound(np.full(8000, 77, np.int16)).empty
    assert examine_sound(np.zeros(8000, np.int16)).empty
    assert not examine_sound(NOISE.astype(np.int16)).empty


@pytest.mark.parametrize("level", [200.0, 2000.0])
def test_the_level_of_speech_is_that_of_its_words(level: float) -> None:
    wanted = 20 * np.log10(level / 32768)
    noise = NOISE.astype(np.int16)
    assert examine_sound(spoken(level), noise, 1.0).level_dbfs == pytest.approx(wanted, abs=0.3)
    assert examine_sound(spoken(level), noise).level_dbfs == pytest.approx(wanted, abs=2.5)
    assert examine_sound(noise, noise).level_dbfs is None
