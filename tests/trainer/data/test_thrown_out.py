"""Clips that say something else than they should never train: where they go, what is told, and that nothing is done
twice.
"""

from __future__ import annotations

import csv
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.trainer.data.corpora import generated_corpus
from tests.trainer.data.recognised import needs_recogniser
from trainer.data import generate
from trainer.data.generate import GeneratedCorpus
from trainer.data.ingest import find_generated
from trainer.data.speech.engine import Speech, Voice
from trainer.data.speech.engines.espeak import EspeakEngine
from trainer.data.speech.listening_page import PAGE_NAME
from trainer.data.speech.plan import THROWN_OUT
from trainer.data.speech.pronunciation import CUT_AT_END, SAID, THE_PHRASE, ClipVerdict, summary
from trainer.data.speech.registry import EngineChoice
from trainer.data.speech.ways import manner_of
from wakeword.corpus.recordings import GENERATED_TABLE

ALONE = manner_of("alone=1", "1,1")
PHRASE = "computer"


@dataclass(frozen=True)
class Careless:
    """Speaks well with eSpeak's voice, but now and then something else: another text for the phrase, the phrase for
    another text.
    """

    name: str = "careless"

    def voices(self, language: str) -> tuple[Voice, ...]:
        return (Voice("en-gb-x-rp+f2", "rose"),) if language == "en" else ()

    def unreadable(self, texts: object, language: str) -> dict[str, str]:
        del texts, language
        return {}

    def synthesise(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> Speech:
        del rate, pitch
        wrong = "good morning everybody" if text.strip(".,!?") == PHRASE else PHRASE
        return EspeakEngine().synthesise(wrong if seed % 3 == 0 else text, voice, 1.0, 0.0, seed)


def speak(output: Path, *, check: bool = True) -> GeneratedCorpus:
    return generated_corpus(
        PHRASE,
        output,
        positives=9,
        near_misses=9,
        sentences=2,
        seed=3,
        engines=EngineChoice((Careless(),), ()),
        manner=ALONE,
        check=check,
        jobs=1,
    )


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, GeneratedCorpus]:
    output = tmp_path_factory.mktemp("checked")
    return output, speak(output)


def wavs(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.wav")}


@needs_recogniser
def test_what_was_said_wrong_lies_where_no_training_looks(checked: tuple[Path, GeneratedCorpus]) -> None:
    output, corpus = checked
    wrong = {
        clip.plan.path
        for clip in (*corpus.clips, *corpus.thrown_out)
        if clip.plan.seed % 3 == 0 and clip.plan.kind != "sentence"
    }
    thrown = {clip.plan.path for clip in corpus.thrown_out}
    assert wrong, "the engine was careless"
    assert wrong <= thrown
    assert len(thrown - wrong) <= 1, "what was said right stays"
    assert all((output / THROWN_OUT / path).is_file() and not (output / path).exists() for path in thrown)
    found = find_generated(output)
    assert {file.path for file in found.files} == {output / clip.plan.path for clip in corpus.clips}
    assert {(one.path, one.reason) for one in found.rejections} == {
        (output / THROWN_OUT / path, "was thrown out by the pronunciation check of mww-generate") for path in thrown
    }


@needs_recogniser
def test_the_table_and_the_lines_say_how_many_and_why(checked: tuple[Path, GeneratedCorpus]) -> None:
    output, corpus = checked
    with (output / GENERATED_TABLE).open(newline="") as lines:
        table = {row["path"]: row["verdict"] for row in csv.DictReader(lines)}
    assert set(table) == wavs(output)
    assert all(
        verdict.startswith(SAID)
        for path, verdict in table.items()
        if path.startswith(("positive/", "negative/near_miss/"))
    )
    assert all(not verdict.startswith(SAID) for path, verdict in table.items() if path.startswith("thrown_out/"))
    assert all(not verdict for path, verdict in table.items() if path.startswith("negative/sentences/")), (
        "sentences are not judged"
    )
    (line,) = corpus.notes
    assert line.startswith(f"careless: the pronunciation check threw out {len(corpus.thrown_out)} of 18 clips: ")
    assert f"{THE_PHRASE} (" in line
    assert "thrown out:" in (output / PAGE_NAME).read_text()


@needs_recogniser
def test_another_run_judges_and_makes_nothing_again(
    checked: tuple[Path, GeneratedCorpus], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, corpus = checked
    copy = Path(shutil.copytree(output, tmp_path / "copy"))
    monkeypatch.setattr(generate, "map_in_processes", lambda function, items, **_: (function(item) for item in items))
    monkeypatch.setattr("trainer.data.speech.pronunciation.hear", lambda *_: pytest.fail("was judged again"))
    again = speak(copy)
    assert again.made == 0
    assert [clip.sha256 for clip in again.thrown_out] == [clip.sha256 for clip in corpus.thrown_out]
    assert wavs(copy) == wavs(output)


@needs_recogniser
def test_without_the_check_every_clip_comes_back_and_with_it_they_go(
    checked: tuple[Path, GeneratedCorpus], tmp_path: Path
) -> None:
    output, corpus = checked
    copy = Path(shutil.copytree(output, tmp_path / "copy"))
    unchecked = speak(copy, check=False)
    assert not unchecked.thrown_out
    assert len(wavs(copy)) == 20
    assert not any(path.startswith("thrown_out") for path in wavs(copy))
    assert not unchecked.notes
    assert "not judged" in (copy / PAGE_NAME).read_text()
    assert {clip.path for clip in speak(copy).thrown_out} == {clip.path for clip in corpus.thrown_out}
    assert wavs(copy) == wavs(output)


def test_without_the_recogniser_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.data.speech.recogniser.PACKAGE", "no_such_package")
    corpus = speak(tmp_path)
    assert not corpus.thrown_out
    (line,) = corpus.notes
    assert line.startswith("pronunciation was not checked: the package no_such_package is not installed; ")


def test_the_summary_counts_by_engine_and_reason() -> None:
    said, cut = ClipVerdict(SAID, "ə", 0.0), ClipVerdict(CUT_AT_END, "ə", -3.0)
    assert summary([("b", cut), ("a", said), ("a", cut), ("a", said), ("b", cut), ("b", said)]) == [
        "a: the pronunciation check threw out 1 of 3 clips: its end is missing (1)",
        (
            "b: the pronunciation check threw out 2 of 3 clips: its end is missing (2); b may say the phrase in a way"
            " of its own: listen to some"
        ),
    ]


@pytest.mark.parametrize("verdict", [ClipVerdict(SAID, "ə l ɛ k s ə", -0.25), ClipVerdict(CUT_AT_END, "", -9.0)])
def test_a_file_keeps_its_verdict(verdict: ClipVerdict) -> None:
    assert ClipVerdict.of_note(verdict.note) == verdict
    assert ClipVerdict.of_note("another note") is None
    assert ClipVerdict.of_note(verdict.note.replace("check 1", "check 0")) is None
