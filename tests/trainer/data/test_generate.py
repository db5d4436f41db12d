"""Generated corpora: the same bytes again, resumed after an interruption, never mixed with another plan."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.data.corpora import generated_corpus
from trainer.data.clips import SHORTEST_SAMPLES, wav_bytes
from trainer.data.generate import GeneratedCorpus
from trainer.data.ingest import find_generated, ingest
from trainer.data.speech.bank import bank_of
from trainer.data.speech.engine import SkippedEngine, Speech, SpeechEngine, Voice
from trainer.data.speech.engines.espeak import EspeakEngine
from trainer.data.speech.engines.flite import FliteEngine
from trainer.data.speech.espeak_languages import language_title, sounds
from trainer.data.speech.listening_page import PAGE_NAME
from trainer.data.speech.making import MOST_FAILED
from trainer.data.speech.phonemes import says
from trainer.data.speech.registry import EngineChoice, choose_engines
from trainer.data.speech.ways import DEFAULT_MANNER, manner_of
from wakeword.audio import read_samples
from wakeword.corpus.recordings import GENERATED_TABLE
from wakeword.errors import ConfigError, InfrastructureError


@pytest.fixture(scope="module")
def espeak() -> EngineChoice:
    return choose_engines(["espeak"])


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory, espeak: EngineChoice) -> Path:
    output = tmp_path_factory.mktemp("generated")
    generated_corpus("hey jarvis", output, positives=30, near_misses=20, sentences=10, seed=7, engines=espeak, jobs=2)
    return output


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / GENERATED_TABLE).open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_jobs(
    generated: Path, tmp_path: Path, espeak: EngineChoice
) -> None:
    generated_corpus(
        "Hey  Jarvis", tmp_path, positives=30, near_misses=20, sentences=10, seed=7, engines=espeak, jobs=1
    )
    assert contents(tmp_path) == contents(generated)


def test_the_table_lists_every_clip_with_its_hash(generated: Path) -> None:
    table = rows(generated)
    files = contents(generated)
    del files[GENERATED_TABLE], files[PAGE_NAME]
    assert {row["path"]: row["sha256"] for row in table} == files
    assert [sum(row["kind"] == kind for row in table) for kind in ("positive", "near_miss", "sentence")] == [30, 20, 10]
    assert all(len(read_samples(generated / row["path"])) == int(row["samples"]) for row in table)
    assert {row["label"] for row in table if row["path"].startswith("negative/")} == {"negative"}
    assert len({row["speaker"] for row in table if row["label"] == "positive"}) == 20, (
        "no more speakers than say other things too"
    )


def test_clips_are_trimmed_to_the_word(generated: Path) -> None:
    for row in rows(generated):
        samples = read_samples(generated / row["path"]).astype(float)
        peak = np.abs(samples).max()
        assert 20 * np.log10(peak / 32768) == pytest.approx(float(row["gain_db"]), abs=0.1)
        frames = np.sqrt([np.mean(part**2) for part in (samples[:400], samples[-160:])])
        loudest = np.sqrt(np.mean(samples[: len(samples) // 160 * 160].reshape(-1, 160) ** 2, axis=1)).max()
        assert (frames > loudest * 10 ** (-48 / 20)).all(), "speech begins and ends within 25 and 10 ms"


def test_no_negative_says_the_phrase(generated: Path) -> None:
    texts = [row["text"] for row in rows(generated) if row["label"] == "negative"]
    target, *heard = sounds(["hey jarvis", *texts], "en")
    assert not any(says(target, one) for one in heard)


def test_an_interrupted_run_goes_on(generated: Path, tmp_path: Path, espeak: EngineChoice) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generated_corpus(
            "hey jarvis",
            tmp_path,
            positives=30,
            near_misses=20,
            sentences=10,
            seed=7,
            engines=espeak,
            jobs=2,
            progress=interrupt,
        )
    assert not (tmp_path / GENERATED_TABLE).exists()
    assert not list(tmp_path.rglob("*.partial"))
    result = generated_corpus(
        "hey jarvis", tmp_path, positives=30, near_misses=20, sentences=10, seed=7, engines=espeak, jobs=2
    )
    assert 0 < result.made <= 30
    assert contents(tmp_path) == contents(generated)


def test_a_larger_corpus_begins_with_the_smaller_one(generated: Path, tmp_path: Path, espeak: EngineChoice) -> None:
    generated_corpus("hey jarvis", tmp_path, positives=4, near_misses=4, sentences=3, seed=7, engines=espeak, jobs=1)
    small = contents(tmp_path)
    del small[GENERATED_TABLE], small[PAGE_NAME]
    assert small.items() <= contents(generated).items()


def test_clips_of_another_plan_are_not_mixed_in(generated: Path, espeak: EngineChoice) -> None:
    for phrase, seed in (("hey jarvis", 8), ("okay nabu", 7)):
        with pytest.raises(ConfigError, match=r"\d+ generated clips of other settings"):
            generated_corpus(
                phrase, generated, positives=1, near_misses=1, sentences=1, seed=seed, engines=espeak, jobs=1
            )


def test_recordings_of_the_user_may_lie_beside(tmp_path: Path, espeak: EngineChoice) -> None:
    own = tmp_path / "positive" / "me" / "take1.wav"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    result = generated_corpus("computer", tmp_path, positives=1, near_misses=0, sentences=0, engines=espeak, jobs=1)
    assert (len(result.clips), own.read_bytes()) == (1, b"mine")


class Lame(EspeakEngine):
    """Fails on so many of its clips as the seeds say."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def synthesise(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> Speech:
        if (seed % 1000) / 1000 < self.share:
            raise InfrastructureError(f"espeak has lost its voice over {text!r}")
        return super().synthesise(text, voice, rate, pitch, seed)


def test_a_clip_that_an_engine_fails_on_is_left_out_and_said(tmp_path: Path) -> None:
    lame = EngineChoice((Lame(0.03),), ())
    result = generated_corpus(
        "computer", tmp_path, positives=60, near_misses=0, sentences=0, seed=1, engines=lame, jobs=1
    )
    assert 0 < len(result.dropped) <= MOST_FAILED
    assert {clip.reason for clip in result.dropped} == {"espeak failed on them"}
    assert "has lost its voice over 'computer" in result.dropped[0].detail
    assert len(result.clips) + len(result.dropped) == len(rows(tmp_path)) + len(result.dropped) == 60


def test_an_engine_that_fails_on_many_clips_ends_the_run_early(tmp_path: Path) -> None:
    speak = partial(generated_corpus, "computer", tmp_path, positives=200, near_misses=0, sentences=0, seed=1, jobs=1)
    done: list[int] = []
    with pytest.raises(
        InfrastructureError,
        match=r"lost its voice over 'computer.*\(\d clips failed\); name the other engines with --engine",
    ):
        speak(engines=EngineChoice((Lame(0.5),), ()), progress=lambda count, _: done.append(count))
    assert max(done) < 100, "not after all of them"
    speak(engines=EngineChoice((EspeakEngine(),), ()))
    assert len(rows(tmp_path)) == 200, "another run goes on with those that were made"


@pytest.mark.parametrize(("phrase", "positives"), [("", 1), ("電腦", 1), ("computer", -1)])
def test_arguments_that_are_refused(tmp_path: Path, espeak: EngineChoice, phrase: str, positives: int) -> None:
    with pytest.raises(ConfigError):
        generated_corpus(phrase, tmp_path, positives=positives, near_misses=0, sentences=0, engines=espeak)


def test_engines_fit_the_protocol(espeak: EngineChoice) -> None:
    engine: SpeechEngine = espeak.available[0]
    assert engine.name == "espeak"


def engine_names(folder: Path, kind: str) -> set[str]:
    return {row["engine"] for row in rows(folder) if row["kind"] == kind}


def test_a_run_that_goes_on_knows_where_the_words_are(tmp_path: Path, espeak: EngineChoice) -> None:
    def generate() -> GeneratedCorpus:
        return generated_corpus(
            "alexa",
            tmp_path,
            positives=9,
            near_misses=0,
            sentences=0,
            engines=espeak,
            manner=manner_of("in_flow=1"),
            jobs=1,
        )

    first = generate()
    table = (tmp_path / GENERATED_TABLE).read_text()
    for row in rows(tmp_path):
        assert 0 <= float(row["word_start_s"]) < float(row["word_end_s"]) <= int(row["samples"]) / 16_000
        assert row["way"] == "in_flow"
    (tmp_path / GENERATED_TABLE).unlink()
    (tmp_path / first.clips[4].plan.path).unlink()
    assert generate().made == 1
    assert (tmp_path / GENERATED_TABLE).read_text() == table


def test_what_is_generated_is_ingested(tmp_path: Path, espeak: EngineChoice) -> None:
    """Cut words are shorter than a recording may be; a short phrase is too."""
    corpus = generated_corpus("ox", tmp_path, positives=8, near_misses=60, sentences=4, engines=espeak, jobs=2)
    assert min(clip.samples for clip in corpus.clips) >= SHORTEST_SAMPLES
    found = ingest(find_generated(tmp_path), require_splits=False, jobs=2)
    assert not found.rejections
    assert len(found.records) == 72


def test_a_clip_of_an_earlier_version_that_is_too_short_is_made_again(tmp_path: Path, espeak: EngineChoice) -> None:
    first = generated_corpus("ox", tmp_path, positives=3, near_misses=0, sentences=0, engines=espeak, jobs=1)
    path = tmp_path / first.clips[0].plan.path
    path.write_bytes(wav_bytes(np.ones(2560, np.int16)))
    again = generated_corpus("ox", tmp_path, positives=3, near_misses=0, sentences=0, engines=espeak, jobs=1)
    assert [clip.kept for clip in again.clips] == [False, True, True]
    assert [clip.sha256 for clip in again.clips] == [clip.sha256 for clip in first.clips]


def test_a_phrase_that_takes_too_long_to_say_is_refused(tmp_path: Path, espeak: EngineChoice) -> None:
    with pytest.raises(
        ConfigError, match=r"the wake phrase takes espeak 1\d\.\d s to say, and a wake word has at most 10 s"
    ):
        generated_corpus(
            "wwwwwwwww wwwwwwwww wwwwwwwww", tmp_path, positives=3, near_misses=0, sentences=0, engines=espeak, jobs=1
        )


@dataclasses.dataclass(frozen=True)
class Lisping:
    """Speaks with eSpeak's voices, but cannot read texts with some letter."""

    name: str
    letter: str

    def voices(self, language: str) -> tuple[Voice, ...]:
        return (Voice("en-us", self.name),) if language == "en" else ()

    def unreadable(self, texts: Sequence[str], language: str) -> dict[str, str]:
        del language
        return {text: f"it has no {self.letter}" for text in texts if self.letter in text}

    def synthesise(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> Speech:
        assert self.letter not in text
        return EspeakEngine().synthesise(text, voice, rate, pitch, seed)


def test_an_engine_that_cannot_read_the_phrase_speaks_nothing_and_that_is_said(
    tmp_path: Path, espeak: EngineChoice
) -> None:
    choice = EngineChoice((*espeak.available, Lisping("lisping", "s")), ())
    corpus = generated_corpus(
        "hey jarvis",
        tmp_path,
        positives=10,
        near_misses=0,
        sentences=10,
        engines=choice,
        manner=manner_of("in_flow=1"),
        jobs=2,
    )
    assert {clip.plan.engine for clip in corpus.clips} == {"espeak"}
    assert any("s" in clip.plan.parts[0] + clip.plan.parts[2] for clip in corpus.clips), (
        "it does not choose the words around the phrase either"
    )
    assert [(one.name, one.reason) for one in corpus.skipped] == [("lisping", "it has no s in 'hey jarvis'")]


def test_an_engine_speaks_only_what_it_can_read(tmp_path: Path, espeak: EngineChoice) -> None:
    choice = EngineChoice((*espeak.available, Lisping("lisping", "z")), ())
    corpus = generated_corpus("hey jarvis", tmp_path, positives=20, near_misses=0, sentences=30, engines=choice, jobs=2)
    assert not corpus.skipped
    assert all(engine_names(tmp_path, kind) == {"espeak", "lisping"} for kind in ("positive", "sentence"))
    assert any("z" in row["text"] for row in rows(tmp_path))
    alone = generated_corpus(
        "jay",
        tmp_path / "alone",
        positives=2,
        near_misses=0,
        sentences=12,
        engines=EngineChoice((Lisping("lisping", "z"),), ()),
        jobs=2,
    )
    assert len(alone.clips) == 14, "texts that nobody reads are left out, and others take their place"


def test_no_engine_reads_the_phrase(tmp_path: Path) -> None:
    choice = EngineChoice((EspeakEngine(), FliteEngine("flite")), ())
    with pytest.raises(
        ConfigError,
        match=r"no engine can read 'ß' \(espeak: it says the name of ß .*; flite: it reads no letters but a to z",
    ):
        generated_corpus("ß", tmp_path, positives=1, near_misses=0, sentences=0, engines=choice, jobs=1)


def test_an_engine_that_was_asked_for_and_cannot_read_the_phrase_is_an_error(
    tmp_path: Path, espeak: EngineChoice
) -> None:
    choice = EngineChoice((*espeak.available, Lisping("lisping", "s")), (), frozenset({"lisping"}))
    with pytest.raises(ConfigError, match="lisping: it has no s in 'hey jarvis'; choose other engines with --engine"):
        generated_corpus("hey jarvis", tmp_path, positives=1, near_misses=0, sentences=0, engines=choice, jobs=1)
    assert not list(tmp_path.glob("**/*.wav"))


def test_an_engine_without_a_voice_of_the_language_is_left_out_or_an_error(tmp_path: Path) -> None:
    engines = (EspeakEngine(), FliteEngine("flite"))
    missing = tuple(SkippedEngine(name, "it is not installed", "") for name in ("kokoro", "piper"))
    choice = EngineChoice(engines, missing)
    corpus = generated_corpus(
        "hallo haus", tmp_path, positives=4, near_misses=2, sentences=2, engines=choice, language="de", jobs=2
    )
    assert corpus.skipped[0].name == "piper", "an engine that has no German is no loss, whether it is installed or not"
    assert [(one.name, one.reason) for one in corpus.skipped[1:]] == [("flite", "it has no voice that speaks German")]
    with pytest.raises(
        ConfigError, match="flite: it has no voice that speaks German; choose other engines with --engine"
    ):
        generated_corpus("hallo haus", tmp_path, engines=EngineChoice(engines, (), frozenset({"flite"})), language="de")
    with pytest.raises(
        ConfigError,
        match=r"no engine speaks German \(flite: it has no voice that speaks German\); install another engine",
    ):
        generated_corpus("hallo haus", tmp_path, engines=EngineChoice(engines[1:], ()), language="de")
    with pytest.raises(ConfigError, match="--language 'deutsch': not known"):
        generated_corpus("hallo haus", tmp_path, engines=EngineChoice(engines, ()), language="deutsch")


@pytest.mark.parametrize(
    ("language", "phrase", "accents"),
    [("de", "schönes haus", {"de"}), ("ru", "привет алиса", {"ru", "ru-cl", "ru-lv"})],
)
def test_a_corpus_in_another_language(
    tmp_path: Path, espeak: EngineChoice, language: str, phrase: str, accents: set[str]
) -> None:
    own_accents = dataclasses.replace(DEFAULT_MANNER, accents=0.0)
    corpus = generated_corpus(
        phrase,
        tmp_path,
        positives=20,
        near_misses=10,
        sentences=10,
        engines=espeak,
        language=language,
        manner=own_accents,
        jobs=2,
    )
    assert [note.partition(" sentences")[0] for note in corpus.notes] == (
        [f"no {language_title(language)}"] if bank_of(language).borrowed else []
    )
    table = rows(tmp_path)
    assert {row["voice"].partition("+")[0] for row in table} <= accents
    assert {row["language"].partition("-")[0] for row in table} == {language[:2]}
    target, *heard = sounds([phrase, *(row["text"] for row in table if row["label"] == "negative")], language[:2])
    assert not any(says(target, one) for one in heard)


@pytest.mark.skipif(shutil.which("flite") is None, reason="needs the flite program")
def test_flite_does_not_speak_letters_that_it_drops(tmp_path: Path) -> None:
    nobody_asked = dataclasses.replace(choose_engines(["espeak", "flite"]), asked=frozenset())
    corpus = generated_corpus(
        "hey jürgen", tmp_path, positives=24, near_misses=0, sentences=0, engines=nobody_asked, jobs=2
    )
    assert {clip.plan.engine for clip in corpus.clips} == {"espeak"}
    assert ("flite", "it reads no letters but a to z, and passes over ü in 'hey jürgen'") in [
        (one.name, one.reason) for one in corpus.skipped
    ]
