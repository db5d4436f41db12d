"""A corpus as it is described, and as it is rendered: levels, noise, order by seed, and one line for
everything wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from numpy.typing import NDArray

from bench_audio.calibration.levels import equivalent_level
from bench_audio.calibration.speech_level import active_speech_level
from bench_audio.corpus.description import PRESETS, read_corpus
from bench_audio.corpus.render import BED_SECONDS, render
from tests.spoken import AROUND_SECONDS, Spoken
from wakeword.audio import read_samples
from wakeword.corpus.utterances import utterance_end
from wakeword.errors import ConfigError

RATE = 16_000
FULL_SCALE_SPL = 100.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two words, a long recording and a noise."""
    random = np.random.default_rng(0)
    for name, count, seconds in (("words", 2, 1.0), ("tv", 1, 20.0), ("noise", 1, 5.0)):
        (tmp_path / name).mkdir()
        for index in range(count):
            sound = np.convolve(random.normal(0, 1500, round(seconds * RATE)), [0.3, 0.4, 0.3], "same")
            soundfile.write(tmp_path / name / f"{index}.wav", np.rint(sound).astype(np.int16), RATE)
    return tmp_path


def described(folder: Path, **changes: Any) -> Path:
    values: dict[str, Any] = {
        "name": "test",
        "full_scale_spl": FULL_SCALE_SPL,
        "sources": [
            {
                "label": "word",
                "kind": "wake",
                "word": "computer",
                "path": "words",
                "licence": "CC0-1.0",
                "repetitions": 2,
            },
            {"label": "tv", "kind": "tv", "path": "tv", "licence": "own recording"},
        ],
        "noise": [{"label": "hum", "path": "noise", "licence": "CC0-1.0"}],
        "conditions": [
            {"name": "SNR 4", "voice_spl": 64, "snr_db": 4, "weighting": "Z"},
            {"name": "loud", "background_spl": 70, "weighting": "Z"},
        ],
    }
    path = folder / "corpus.yaml"
    path.write_text(yaml.safe_dump(values | changes))
    return path


def sound(path: Path) -> NDArray[np.float64]:
    return np.asarray(soundfile.read(path)[0])


def test_levels_are_those_asked_for(folder: Path) -> None:
    sections = render(read_corpus(described(folder)), FULL_SCALE_SPL, folder / "out")
    assert [(one.label, one.truth, len(one.files), one.licence) for one in sections] == [
        ("word, SNR 4", "wake", 4, "CC0-1.0"),
        ("tv, loud", "none", 1, "own recording"),
    ]
    assert equivalent_level(sound(sections[1].files[0].path), RATE, "Z") == pytest.approx(70 - FULL_SCALE_SPL, abs=0.05)
    mixed = sound(sections[0].files[0].path)
    margin = round(BED_SECONDS * RATE)
    assert len(mixed) == RATE + 2 * margin
    quiet = mixed[RATE // 4 : margin - 100]
    assert equivalent_level(quiet, RATE, "Z") == pytest.approx(60 - FULL_SCALE_SPL, abs=0.3)
    # Voice and noise are independent: their powers add.
    both = 10 * np.log10(10 ** (64 / 10) + 10 ** (60 / 10))
    assert equivalent_level(mixed[margin:-margin], RATE, "Z") == pytest.approx(both - FULL_SCALE_SPL, abs=0.3)


def test_a_voice_alone_has_its_active_level(folder: Path) -> None:
    path = described(folder, noise=[], conditions=[{"name": "59", "voice_spl": 59, "weighting": "Z"}])
    (section,) = render(read_corpus(path), FULL_SCALE_SPL, folder / "out")
    assert active_speech_level(sound(section.files[0].path), RATE).active_dbfs == pytest.approx(
        59 - FULL_SCALE_SPL, abs=0.05
    )


def test_the_same_description_gives_the_same_bytes_and_another_seed_other_noise(folder: Path) -> None:
    first = render(read_corpus(described(folder)), FULL_SCALE_SPL, folder / "a")
    again = render(read_corpus(described(folder)), FULL_SCALE_SPL, folder / "b")
    other = render(read_corpus(described(folder, seed=1)), FULL_SCALE_SPL, folder / "c")
    contents = [[file.path.read_bytes() for file in sections[0].files] for sections in (first, again, other)]
    assert contents[0] == contents[1]
    assert not set(contents[0]) & set(contents[2])
    assert len(set(contents[0])) == 4  # each repetition over another stretch
    stamp = first[0].files[0].path.stat().st_mtime_ns
    assert render(read_corpus(described(folder)), FULL_SCALE_SPL, folder / "a") == first
    assert first[0].files[0].path.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("snr_db", [None, 9, 4, -1])
def test_the_words_end_and_its_origin_are_known_before_the_noise(
    folder: Path, spoken: Spoken, generated_speech: Spoken, snr_db: int | None
) -> None:
    source = spoken.words[0]
    (folder / "said" / "bob").mkdir(parents=True)
    (folder / "said" / "bob" / f"a{source.suffix}").write_bytes(source.read_bytes())
    wake = {
        "label": "word",
        "kind": "wake",
        "word": "alexa",
        "path": "said",
        "licence": "unknown",
        "provenance": "recorded",
    }
    made = wake | {"label": "made", "path": str(generated_speech.words[0].parent), "provenance": None}
    conditions = [{"name": "condition", "voice_spl": 60, "snr_db": snr_db, "weighting": "Z"}]
    said, generated = render(
        read_corpus(described(folder, sources=[wake, made], conditions=conditions)), FULL_SCALE_SPL, folder / "out"
    )
    before = 0 if snr_db is None else round(BED_SECONDS * RATE)
    (file,) = said.files
    assert file.word_end == before + utterance_end(read_samples(source))
    assert (file.provenance, file.speaker) == ("recorded", None)
    assert {one.provenance for one in generated.files} == {"synthetic"}
    # Generated words end 0.4 s before their files do.
    ends = [
        (soundfile.info(one.path).frames - before - one.word_end) / RATE
        for one in generated.files
        if one.word_end is not None
    ]
    assert len(ends) > 50
    assert np.percentile(np.abs(np.array(ends) - AROUND_SECONDS), 90) < 0.06


def test_hours_are_an_upper_bound(folder: Path) -> None:
    for index in range(1, 4):
        soundfile.write(folder / "tv" / f"{index}.wav", np.random.default_rng(index).normal(0, 0.05, 20 * RATE), RATE)
    path = described(folder, hours=30 / 3600, conditions=[{"name": "loud", "background_spl": 70}])
    (section,) = render(read_corpus(path), FULL_SCALE_SPL, folder / "out")
    assert len(section.files) == 2


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_valid_and_give_their_conditions(folder: Path, preset: str) -> None:
    values = yaml.safe_load(described(folder).read_text()) | {"preset": preset}
    del values["conditions"]
    (folder / "corpus.yaml").write_text(yaml.safe_dump(values))
    corpus = read_corpus(folder / "corpus.yaml")
    assert corpus.conditions
    assert "inspired by" in corpus.description
    if preset == "noisy":
        assert [one.snr_db for one in corpus.conditions] == [9, 4, -1]
    if preset == "quiet":
        assert [one.voice_spl for one in corpus.conditions] == [54, 59, 64]
    if preset == "false-accepts-overnight":
        assert (corpus.hours, corpus.conditions[0].weighting) == (24, "C")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ".."}, "name"),
        ({"preset": "nosy"}, "did you mean noisy"),
        ({"sede": 1}, "did you mean seed"),
        ({"noise": []}, "there is no noise"),
        ({"conditions": [{"name": "x", "snr_db": 3, "background_spl": 60}]}, "voice over noise"),
        ({"conditions": [{"name": "x"}]}, "voice_spl, background_spl or both"),
        ({"sources": [{"label": "a", "kind": "wake", "path": "words", "licence": "x"}]}, "names its word"),
        (
            {"sources": [{"label": "a", "kind": "tv", "path": "tv", "licence": "x", "repetitions": 2}]},
            "no further hour",
        ),
        ({"sources": [{"label": "a", "kind": "tv", "path": "tv"}]}, "licence"),
        (
            {"sources": [{"label": "a", "kind": "tv", "path": "tv", "licence": "x", "lisence": "y"}]},
            "did you mean licence",
        ),
    ],
)
def test_everything_wrong_is_one_clear_line(folder: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        read_corpus(described(folder, **changes))
    assert str(caught.value).count("\n") == 0


def test_what_would_clip_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="beyond full scale"):
        render(read_corpus(described(folder)), 60, folder / "out")
    assert not list((folder / "out").glob("**/*.wav"))
