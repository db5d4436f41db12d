"""A training corpus from nothing but a phrase: positives, near misses and sentences, spoken by every voice that this machine has.

The plan of all clips is drawn first, from the seed alone; a larger corpus begins with the smaller one of the same seed. Each clip then
depends on its own plan only, so neither the number of processes nor an interruption changes a byte. A clip's file name holds a hash of its
plan: a finished file is kept, a file of another plan is never taken for it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from trainer.data.clips import SHORTEST_SAMPLES, finish_clip, write_clip
from trainer.data.listening import Limits
from trainer.data.parallel import Progress, map_in_processes
from trainer.data.speech import espeak, texts
from trainer.data.speech.engine import DEFAULT_LANGUAGE, SkippedEngine, SpeechEngine
from trainer.data.speech.plan import FOLDERS, NEAR_MISS, POSITIVE, SENTENCE, ClipPlan, Unreadable, plan_clips
from trainer.data.speech.registry import EngineChoice, choose_engines
from wakeword import contract
from wakeword.corpus.recordings import GENERATED_TABLE
from wakeword.errors import ConfigError, InfrastructureError
from wakeword.files import write_atomically
from wakeword.locks import hold_folder

_CLIP_NAME = re.compile(r"\d{6}-[0-9a-f]{8}\.wav")
_WAV_HEADER_BYTES = 44
_PLAN_COLUMNS = ("text", "engine", "voice", "speaker", "family", "language", "way", "rate", "pitch", "formant", "gain_db", "seed")


@dataclass(frozen=True)
class FinishedClip:
    """A clip on disk: its plan, its length in samples, the SHA-256 of its file, and whether an earlier run had made it.

    `verdict` is that of a pronunciation check, empty where none was made.
    """

    plan: ClipPlan
    samples: int
    sha256: str
    kept: bool
    verdict: str = ""


@dataclass(frozen=True)
class GeneratedCorpus:
    """The result of a run: the table of all clips, how many were made now or kept from before, and the engines left out."""

    table: Path
    clips: tuple[FinishedClip, ...]
    skipped: tuple[SkippedEngine, ...]

    @property
    def made(self) -> int:
        """Clips that this run made."""
        return sum(not clip.kept for clip in self.clips)


def generate_corpus(
    phrase: str,
    output: Path,
    *,
    positives: int = 1000,
    near_misses: int = 1000,
    sentences: int = 1000,
    seed: int = 0,
    engines: EngineChoice | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> GeneratedCorpus:
    """Speak `phrase` and its negatives into `output` as 16 kHz mono 16-bit wav files, and write generated.csv at the end.

    The same arguments and engines give the same files byte for byte. Interrupted at any time, the next run goes on where it stopped.
    An engine that cannot read the phrase whole is left out of all of it: a voice in the negatives alone would be learned as a negative.
    Raises `ConfigError` for a phrase that no engine reads, that is too long or cannot be kept out of sentences, negative counts, or an output
    folder that holds clips of another plan; `InfrastructureError` when an engine fails or another process fills the folder; `OSError` when the disk is full.
    """
    choice = engines or choose_engines()
    phrase = texts.clean_phrase(phrase)
    if min(positives, near_misses, sentences) < 0:
        raise ConfigError("numbers of clips cannot be negative")
    counts = {POSITIVE: positives, NEAR_MISS: near_misses, SENTENCE: sentences}
    with hold_folder(output, "give another --output"):
        return _generate(phrase, output, counts, seed, choice, jobs, progress)


def _generate(
    phrase: str, output: Path, counts: dict[str, int], seed: int, choice: EngineChoice, jobs: int | None, progress: Progress | None
) -> GeneratedCorpus:
    # One call in a worker: the library that knows phonemes never runs in this process.
    spoken, unreadable = next(map_in_processes(partial(_spoken_texts, phrase, counts, seed), [choice.available], jobs=1, isolate=True))
    choice = _readers(choice, phrase, unreadable)
    plans = list(plan_clips(spoken, counts, choice.available, seed, unreadable))
    _check_output(output, plans)
    make = partial(_make_clip, output, {engine.name: engine for engine in choice.available})
    clips = tuple(map_in_processes(make, plans, jobs=jobs, isolate=True, progress=progress))
    table = output / GENERATED_TABLE
    write_atomically(table, _csv_text(clips))
    return GeneratedCorpus(table, clips, choice.skipped)


def _readers(choice: EngineChoice, phrase: str, unreadable: Unreadable) -> EngineChoice:
    """The engines that read the phrase."""
    reasons = {engine.name: unreadable[engine.name].get(phrase, "") for engine in choice.available}
    available = tuple(engine for engine in choice.available if not reasons[engine.name])
    if not available:
        why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise ConfigError(f"no engine can read {phrase!r} ({why}); write it as it sounds, in English letters")
    skipped = tuple(SkippedEngine(name, f"{reason} in {phrase!r}", "") for name, reason in reasons.items() if reason)
    return EngineChoice(available, (*choice.skipped, *skipped))


def _spoken_texts(phrase: str, counts: dict[str, int], seed: int, engines: Sequence[SpeechEngine]) -> tuple[dict[str, list[str]], Unreadable]:
    """The texts of each kind that are read by an engine which reads the phrase, and what each engine cannot read."""
    texts.phrase_sounds(phrase, espeak.phonemise)
    near = texts.near_misses(phrase, espeak.phonemise) if counts[NEAR_MISS] else []
    if counts[NEAR_MISS] and not near:
        raise ConfigError(f"nothing resembles {phrase!r} without being it; ask for 0 near misses")
    spoken = {POSITIVE: [phrase], NEAR_MISS: near, SENTENCE: texts.sentences(counts[SENTENCE], phrase, seed, espeak.phonemise)}
    every = list(dict.fromkeys(text for of_kind in spoken.values() for text in of_kind))
    unreadable = {engine.name: engine.unreadable(every, DEFAULT_LANGUAGE) for engine in engines}
    readers = [unread for unread in unreadable.values() if phrase not in unread]
    for kind in (NEAR_MISS, SENTENCE):
        spoken[kind] = [text for text in spoken[kind] if not readers or any(text not in unread for unread in readers)]
        if counts[kind] and not spoken[kind]:
            raise ConfigError(f"no engine can read any of the {kind.replace('_', ' ')} texts; choose other engines with --engine, or ask for none of them")
    return spoken, unreadable


def _make_clip(output: Path, engines: dict[str, SpeechEngine], plan: ClipPlan) -> FinishedClip:
    path = output / plan.path
    content = path.read_bytes() if path.is_file() else b""
    kept = len(content) >= _WAV_HEADER_BYTES + 2 * SHORTEST_SAMPLES  # earlier versions made shorter ones, which nobody takes
    if not kept:
        samples = finish_clip(engines[plan.engine].synthesise(plan.text, plan.voice, plan.rate, plan.pitch, plan.seed), plan.gain_db)
        if not len(samples):
            raise InfrastructureError(f"{plan.engine} made no sound for {plan.text!r} with voice {plan.voice}; name the other engines with --engine")
        seconds, limit = len(samples) / contract.SAMPLE_RATE_HZ, Limits().max_positive_seconds
        if plan.kind == POSITIVE and seconds > limit:
            raise ConfigError(f"the wake phrase takes {plan.engine} {seconds:.1f} s to say, and a wake word has at most {limit:g} s; choose a shorter one")
        content = write_clip(path, samples)
    return FinishedClip(plan, (len(content) - _WAV_HEADER_BYTES) // 2, hashlib.sha256(content).hexdigest(), kept)


def _check_output(output: Path, plans: Sequence[ClipPlan]) -> None:
    """Clips of another phrase or seed in the same folder would silently become part of this corpus."""
    if output.exists() and not output.is_dir():
        raise ConfigError(f"{output}: is a file; name a folder for the corpus")
    planned = {plan.path for plan in plans}
    found = (path.relative_to(output) for folder in FOLDERS.values() for path in (output / folder).glob("*/*.wav") if _CLIP_NAME.fullmatch(path.name))
    strangers = sorted(set(found) - planned)
    if strangers:
        raise ConfigError(f"{output}: holds {len(strangers)} generated clips of other settings (first: {strangers[0]}); choose an empty folder, or delete them")


def _csv_text(clips: Sequence[FinishedClip]) -> str:
    columns = ("path", "label", "kind", *_PLAN_COLUMNS, "samples", "sha256", "verdict")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for clip in clips:
        plan = clip.plan
        own = (getattr(plan, column) for column in _PLAN_COLUMNS)
        writer.writerow((plan.path.as_posix(), plan.label, plan.kind, *own, clip.samples, clip.sha256, clip.verdict))
    return out.getvalue()
