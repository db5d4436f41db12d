"""From facts to findings, without a board."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware.answers import Identity, ModelIdentity, Stamp
from firmware.boards.ear import EarFacts
from harness.diagnosis.facts import EarResult, Facts, ProbeResult
from harness.diagnosis.finding import Finding
from harness.diagnosis.hearing import examine_sound, flat_tops
from harness.diagnosis.reference import Reference
from harness.diagnosis.verdict import findings, verdict
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
        ({"quietest_dbfs": -6.0}, "quiet", "the microphone is 18 dB too quiet"),
        ({"ear": ear(3.0)}, "quiet", "hears nothing of what is played"),
        ({"ear": ear(lost=1600)}, "gaps", "the board lost 0.10 s"),
        ({"ear": ear(unheard=8000)}, "slow", "did not hear 0.50 s of the sound"),
        ({"ear": ear(unheard=6 * SAMPLE_RATE_HZ)}, "stopped", "detection does not run on the board"),
        ({"ear": ear(rate=8000.0)}, "rate", "all is heard 2.0 times too fast"),
        ({"ear": None, "mute": "no samples"}, "mute", "the microphone gives no samples"),
        ({"sensors": {"Heap low-water mark": 9000.0}}, "heap", "memory is nearly used up: 9,000 bytes"),
        ({"sensors": {"Loop time": 2500.0}}, "loop", "stands still for 2500 ms"),
        ({"faults_logged": ("audio lost, ring buffer overflow",)}, "log", "the board says: audio lost"),
        ({"digital": ProbeResult(False, 80, 251)}, "digital", r"highest probability 80/255, 251 in the simulation"),
        ({"digital": ProbeResult(False, None, 251, "it went")}, "digital", "not heard to its end: it went"),
        ({"acoustic": ProbeResult(False, 9, 251), "ear_simulated": True}, "acoustic", "the simulation detects it in"),
        ({"window": 7}, "cutoff", "the manifest says cutoff 229/255, window 7"),
        ({"cutoff_warning": "At cutoff 229/255 nothing."}, "cutoff", "At cutoff 229/255 nothing"),
    ],
)
def test_a_fault(changed: dict[str, object], kind: str, words: str) -> None:
    found = faults(facts(**changed))
    assert [one.kind for one in found] == [kind]
    assert words in found[0].found
    assert found[0].remedy or kind in ("digital", "mute")


def test_a_level_outside_of_the_training_data() -> None:
    reference = Reference("recordings", 20, -12.0, -20.0, -8.0, None)
    (fault,) = faults(facts(reference=reference))
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
    (fault,) = faults(facts(reference=replace(same, bands_db=more)))
    assert fault.found == "above 2000 Hz the sound is 20 dB weaker than in the training data"


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
    # Three units of noise reach their largest value all the time.
    assert flat_tops(np.random.default_rng(0).integers(-2, 3, 10_000).astype(np.int16)) == 0


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
