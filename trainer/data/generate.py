"""A training corpus from nothing but a phrase: positives, near misses and sentences, spoken by every voice that this
machine has.

The plan of all clips is drawn first, from the seed alone; a larger corpus begins with the smaller one of the same seed.
Each clip then depends on its own plan only, so neither the number of processes nor an interruption changes a byte. A
clip's file name holds a hash of its plan: a finished file is kept, a file of another plan is never taken for it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from trainer.data.clips import Word
from trainer.data.parallel import Progress, map_in_processes
from trainer.data.speech import context, texts
from trainer.data.speech.bank import Bank, bank_of
from trainer.data.speech.engine import SkippedEngine, SpeechEngine
from trainer.data.speech.espeak_languages import check_language, language_title, sounds
from trainer.data.speech.foreign import accents_of, accents_read, heard_otherwise
from trainer.data.speech.listening_page import PAGE_NAME, PagedClip, write_listening_page
from trainer.data.speech.making import DroppedClip, FinishedClip, make_clip, refuse_failing_engines
from trainer.data.speech.plan import (
    FOLDERS,
    NEAR_MISS,
    POSITIVE,
    SENTENCE,
    THROWN_OUT,
    ClipPlan,
    Contexts,
    CorpusRequest,
    Spoken,
    Unreadable,
    plan_clips,
)
from trainer.data.speech.pronunciation import summary
from trainer.data.speech.recogniser import recogniser_missing
from trainer.data.speech.registry import EngineChoice, choose_engines, slow_engines
from trainer.data.speech.ways import IN_FLOW
from wakeword import contract
from wakeword.cluster.connection import working_on
from wakeword.corpus.recordings import GENERATED_TABLE
from wakeword.errors import ConfigError
from wakeword.files import write_atomically
from wakeword.locks import hold_folder
from wakeword.reading import csv_text

_CONTEXTS = 300
"""Sentences from which the words around a wake word are taken."""
_BORROWED = (
    "no {0} sentences come with this version, so its voices read those of other languages, by {0} rules; sentences of"
    " your own are better: --lines FILE"
)
_CLIP_NAME = re.compile(r"\d{6}-[0-9a-f]{8}\.wav")
_PLAN_COLUMNS = (
    "text",
    "engine",
    "voice",
    "speaker",
    "family",
    "language",
    "way",
    "rate",
    "pitch",
    "formant",
    "gain_db",
    "seed",
)


@dataclass(frozen=True)
class GeneratedCorpus:
    """The result of a run: the table of all clips, a page to listen to some, the clips that train, those that the
    pronunciation check threw out, planned ones that are not there, the engines left out, and what else to know, a line
    each.
    """

    table: Path
    page: Path
    clips: tuple[FinishedClip, ...]
    thrown_out: tuple[FinishedClip, ...]
    dropped: tuple[DroppedClip, ...]
    skipped: tuple[SkippedEngine, ...]
    notes: tuple[str, ...] = ()

    @property
    def made(self) -> int:
        """Clips that this run made."""
        return sum(not clip.kept for clip in self.clips)


def generate_corpus(
    request: CorpusRequest,
    output: Path,
    engines: EngineChoice | None = None,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
    cluster: str | None = None,
) -> GeneratedCorpus:
    """Speak a phrase and its negatives into `output` as 16 kHz mono 16-bit wav files, and write generated.csv at the
    end.

    The same request and engines give the same files byte for byte. Interrupted at any time, the next run goes on where
    it stopped. An engine that has no voice of the language, or cannot read the phrase whole, is left out of all of it:
    a voice in the negatives alone would be learned as a negative. Slow engines say every second clip, up to `natural`
    of the wake word and as many negatives. With `check`, wake words that were said wrong and near misses that are heard
    as the wake word go to the folder `thrown_out`, which never trains.

    Args:
        request: What is said, how often, in which language.
        output: The corpus's folder.
        engines: Who speaks; None: all that are installed.
        jobs: Processes; None: one a core.
        progress: Told how many clips are done.
        cluster: Address of a cluster whose workers speak instead; they see `output`.

    Returns what was made. Raises `ConfigError` for an unknown language, an
    engine that was asked for and cannot speak it, a phrase that no engine reads, that is too long or cannot be kept out
    of sentences, or an output folder that holds clips of another plan; `InfrastructureError` when an engine fails on
    many clips or another process fills the folder; `OSError` when the disk is full.
    """
    language = check_language(request.language)
    choice = (engines or choose_engines()).speaking(language, language_title(language))
    request = dataclasses.replace(request, language=language, phrase=texts.clean_phrase(request.phrase, language))
    bank = bank_of(language, request.own_lines)
    with hold_folder(output, "give another --output"), working_on(cluster, written=[output] if cluster else []):
        return _generate(request, bank, output, choice, jobs, progress)


def _generate(
    request: CorpusRequest, bank: Bank, output: Path, choice: EngineChoice, jobs: int | None, progress: Progress | None
) -> GeneratedCorpus:
    phrase = request.phrase
    # One call in a worker: the library that knows phonemes never runs in this process.
    spoken, unreadable = next(
        map_in_processes(partial(_spoken_texts, request, bank), [choice.available], jobs=1, isolate=True)
    )
    choice = _readers(choice, phrase, unreadable)
    locates = recogniser_missing(bank.language) is None
    plans = plan_clips(request, spoken, choice.available, unreadable, slow_engines(), locates)
    _check_output(output, plans)
    unheard = recogniser_missing(bank.language) if request.check else None
    checked = phrase if request.check and not unheard else None
    make = partial(make_clip, output, {engine.name: engine for engine in choice.available}, checked)
    # Clips of one engine take a hundred times as long as those of another: mixed, the time left can be told from their
    # number.
    order = np.random.default_rng(request.seed).permutation(len(plans))
    # Closed before the folder's lock is: no worker writes after it.
    with closing(
        map_in_processes(make, [plans[place] for place in order], jobs=jobs, isolate=True, progress=progress)
    ) as in_any_order:
        pairs = zip(order, refuse_failing_engines(in_any_order, plans), strict=True)
        made = [clip for _, clip in sorted(pairs, key=lambda pair: pair[0])]
    spoken_clips = [clip for clip in made if isinstance(clip, FinishedClip)]
    table = output / GENERATED_TABLE
    write_atomically(table, _csv_text(spoken_clips))
    notes = [_BORROWED.format(language_title(bank.language))] if bank.borrowed and request.sentences else []
    notes += [f"pronunciation was not checked: {unheard}"] if unheard else []
    page = output / PAGE_NAME
    write_listening_page(
        page, phrase, [PagedClip(output / clip.path, clip.plan, clip.verdict) for clip in spoken_clips], notes
    )
    notes += summary((clip.plan.engine, clip.verdict) for clip in spoken_clips if clip.verdict)
    return GeneratedCorpus(
        table,
        page,
        tuple(clip for clip in spoken_clips if not clip.thrown_out),
        tuple(clip for clip in spoken_clips if clip.thrown_out),
        tuple(clip for clip in made if isinstance(clip, DroppedClip)),
        choice.skipped,
        tuple(notes),
    )


def _readers(choice: EngineChoice, phrase: str, unreadable: Unreadable) -> EngineChoice:
    """The engines that read the phrase."""
    reasons = {engine.name: unreadable[engine.name].get(phrase, "") for engine in choice.available}
    own = {name: reason and f"{reason} in {phrase!r}" for name, reason in reasons.items()}
    return choice.without(
        own, f"no engine can read {phrase!r}", "write it as it sounds, or name its language with --language"
    )


def _spoken_texts(request: CorpusRequest, bank: Bank, engines: Sequence[SpeechEngine]) -> tuple[Spoken, Unreadable]:
    """The texts of each kind that are read by an engine which reads the phrase, and what each engine cannot read."""
    phrase, counts, seed, manner = request.phrase, request.counts, request.seed, request.manner
    hear = partial(sounds, language=bank.language)
    texts.phrase_sounds(phrase, hear)
    near = texts.near_misses(phrase, hear, bank) if counts[NEAR_MISS] else []
    if counts[NEAR_MISS] and not near:
        raise ConfigError(f"nothing resembles {phrase!r} without being it; ask for 0 near misses")
    spoken = {
        POSITIVE: [phrase],
        NEAR_MISS: near,
        SENTENCE: texts.sentences(counts[SENTENCE], phrase, seed, hear, bank),
    }
    every = list(dict.fromkeys(text for of_kind in spoken.values() for text in of_kind))
    unreadable = {engine.name: engine.unreadable(every, bank.language) for engine in engines}
    readers = [unread for unread in unreadable.values() if phrase not in unread]
    for kind in (NEAR_MISS, SENTENCE):
        spoken[kind] = [text for text in spoken[kind] if not readers or any(text not in unread for unread in readers)]
        if counts[kind] and not spoken[kind]:
            raise ConfigError(
                f"no engine can read any of the {kind.replace('_', ' ')} texts; choose other engines with --engine, or"
                " ask for none of them"
            )
    reading = [engine for engine in engines if phrase not in unreadable[engine.name]]
    foreign = accents_of(phrase, bank.language, sounds) if manner.accents else ()
    own_sound = heard_otherwise([text for text in every if text != phrase and text.isascii()], phrase, foreign, sounds)
    by_engine = {engine.name: accents_read(engine, phrase, foreign) for engine in reading}
    return (
        Spoken(
            spoken,
            _contexts(phrase, bank, seed, reading) if manner.shares.get(IN_FLOW) else {},
            by_engine,
            frozenset((phrase, *own_sound)),
        ),
        unreadable,
    )


def _contexts(phrase: str, bank: Bank, seed: int, engines: Sequence[SpeechEngine]) -> dict[str, Contexts]:
    """Words before and after the phrase and its near misses, that every engine reads."""
    hear = partial(sounds, language=bank.language)
    drawn, generator = texts.sentences(_CONTEXTS, phrase, seed, hear, bank), np.random.default_rng([seed, 6])
    parts = [list(dict.fromkeys(side(drawn, generator))) for side in (context.endings, context.beginnings)]
    unread = {text for engine in engines for text in engine.unreadable([*parts[0], *parts[1]], bank.language)}
    before, after = ([text for text in side if text not in unread] for side in parts)
    target, *spoken = hear([phrase, *before, *after])
    safe_before = [text for text, heard in zip(before, spoken, strict=False) if context.may_precede(heard, target)]
    safe_after = [
        text for text, heard in zip(after, spoken[len(before) :], strict=True) if context.may_follow(heard, target)
    ]
    return {POSITIVE: Contexts(tuple(before), tuple(after)), NEAR_MISS: Contexts(tuple(safe_before), tuple(safe_after))}


def _check_output(output: Path, plans: Sequence[ClipPlan]) -> None:
    """Clips of another phrase or seed in the same folder would silently become part of this corpus."""
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output}: is a file; name a folder for the corpus")
    planned = {plan.path for plan in plans}
    roots = (output, output / THROWN_OUT)
    found = (
        path.relative_to(root)
        for root in roots
        for folder in FOLDERS.values()
        for path in (root / folder).glob("*/*.wav")
        if _CLIP_NAME.fullmatch(path.name)
    )
    strangers = sorted(set(found) - planned)
    if strangers:
        raise ConfigError(
            f"{output}: holds {len(strangers)} generated clips of other settings, or of another version of this"
            f" program (first: {strangers[0]}); choose an empty folder, or delete them"
        )


def _csv_text(clips: Sequence[FinishedClip]) -> str:
    columns = ("path", "label", "kind", *_PLAN_COLUMNS, "word_start_s", "word_end_s", "samples", "sha256", "verdict")
    rows = []
    for clip in clips:
        plan = clip.plan
        own = (getattr(plan, column) for column in _PLAN_COLUMNS)
        verdict = "" if clip.verdict is None else str(clip.verdict)
        rows.append(
            (
                clip.path.as_posix(),
                plan.label,
                plan.kind,
                *own,
                *_word_seconds(clip.word),
                clip.samples,
                clip.sha256,
                verdict,
            )
        )
    return csv_text(columns, rows)


def _word_seconds(word: Word | None) -> tuple[str, str]:
    """Start and end of a word in seconds; empty where the clip is the word alone, or its start is not known."""
    if word is None:
        return "", ""
    start, end = ("" if sample is None else str(sample / contract.SAMPLE_RATE_HZ) for sample in (word.start, word.end))
    return start, end
