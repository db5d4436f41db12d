"""A training corpus from nothing but a phrase: positives, near misses and sentences, spoken by every voice that this machine has.

The plan of all clips is drawn first, from the seed alone; a larger corpus begins with the smaller one of the same seed. Each clip then
depends on its own plan only, so neither the number of processes nor an interruption changes a byte. A clip's file name holds a hash of its
plan: a finished file is kept, a file of another plan is never taken for it.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from trainer.data.clips import SHORTEST_SAMPLES, finish_clip, write_clip
from trainer.data.listening import Limits
from trainer.data.parallel import Progress, map_in_processes
from trainer.data.speech import espeak, texts
from trainer.data.speech.choose import EngineChoice, SkippedEngine, choose_engines
from trainer.data.speech.engine import SpeechEngine, Voice
from wakeword import contract
from wakeword.corpus.recordings import GENERATED_TABLE
from wakeword.errors import ConfigError, InfrastructureError
from wakeword.files import write_atomically
from wakeword.locks import hold_folder

POSITIVE, NEAR_MISS, SENTENCE = "positive", "near_miss", "sentence"
FOLDERS = {POSITIVE: Path("positive"), NEAR_MISS: Path("negative", "near_miss"), SENTENCE: Path("negative", "sentences")}

RATE_RANGE = (0.75, 1.35)
PITCH_RANGE_SEMITONES = (-3.0, 3.0)
GAIN_RANGE_DB = (-24.0, -1.0)
"""Peak level; an augmentation may go further down."""

_ENDINGS = ("", "", ".", "!", "?", ",")
"""Punctuation moves the intonation: a call, a question, a word that is followed by more."""
_CLIP_NAME = re.compile(r"\d{6}-[0-9a-f]{8}\.wav")
_WAV_HEADER_BYTES = 44


@dataclass(frozen=True)
class ClipPlan:
    """All that decides what a clip sounds like. `rate` is a factor, `pitch` in semitones, `gain_db` the peak level."""

    index: int
    kind: str
    text: str
    engine: str
    voice: str
    speaker: str
    rate: float
    pitch: float
    gain_db: float
    seed: int

    @property
    def label(self) -> str:
        """ "positive" or "negative": the top folder."""
        return FOLDERS[self.kind].parts[0]

    @property
    def path(self) -> Path:
        """Where the clip lies in the corpus; the name changes with the plan."""
        key = hashlib.sha256(repr(dataclasses.astuple(self)).encode()).hexdigest()[:8]
        return FOLDERS[self.kind] / self.speaker / f"{self.index:06d}-{key}.wav"


@dataclass(frozen=True)
class FinishedClip:
    """A clip on disk: its plan, its length in samples, the SHA-256 of its file, and whether an earlier run had made it."""

    plan: ClipPlan
    samples: int
    sha256: str
    kept: bool


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


type _Unreadable = dict[str, dict[str, str]]
"""By engine, the texts that it cannot read whole, with the reason."""


def plan_clips(
    spoken: dict[str, list[str]], counts: dict[str, int], engines: Sequence[SpeechEngine], seed: int, unreadable: _Unreadable | None = None
) -> Iterator[ClipPlan]:
    """Draw every clip of the corpus. `spoken` holds the texts of each kind, which are used in turn, each by an engine that reads it."""
    for number, (kind, count) in enumerate(counts.items()):
        deal = _VoiceDealer(engines, np.random.default_rng([seed, 1, number]))
        order = np.random.default_rng([seed, 2, number]).permutation(len(spoken[kind]))
        for index in range(count):
            draw = np.random.default_rng([seed, 3, number, index])
            # Sentences come one a clip and in order, so that more of them do not reshuffle the first ones.
            place = index % len(order)
            text = spoken[kind][place if kind == SENTENCE else order[place]]
            engine, voice = deal(draw, [text not in (unreadable or {}).get(engine.name, ()) for engine in engines])
            text = text if kind == SENTENCE else _spoken_form(text, draw)
            yield ClipPlan(
                index=index,
                kind=kind,
                text=text,
                engine=engine.name,
                voice=voice.name,
                speaker=re.sub(r"\W+", "_", voice.speaker),
                rate=round(float(np.exp(draw.uniform(*np.log(RATE_RANGE)))), 3),
                pitch=round(float(draw.uniform(*PITCH_RANGE_SEMITONES)), 2),
                gain_db=round(float(draw.uniform(*GAIN_RANGE_DB)), 1),
                seed=int(draw.integers(1 << 31)),
            )


class _VoiceDealer:
    """Deals speakers so that each engine's are all used before one returns.

    An engine's share grows with the square root of its number of speakers: by number alone, flite's four people would drown among
    eSpeak's hundred timbres; by halves, a few voices would be half of the corpus.
    """

    def __init__(self, engines: Sequence[SpeechEngine], generator: np.random.Generator) -> None:
        self._engines = engines
        self._speakers: list[list[list[Voice]]] = []
        for engine in engines:
            by_speaker: dict[str, list[Voice]] = {}
            for voice in engine.voices():
                by_speaker.setdefault(voice.speaker, []).append(voice)
            groups = list(by_speaker.values())
            self._speakers.append([groups[place] for place in generator.permutation(len(groups))])
        weights = np.sqrt([len(groups) for groups in self._speakers])
        self._shares = weights / weights.sum()
        self._dealt = [0] * len(engines)

    def __call__(self, draw: np.random.Generator, may: Sequence[bool]) -> tuple[SpeechEngine, Voice]:
        """An engine among those that may, and one of its voices."""
        shares = self._shares if all(may) else self._shares * may / (self._shares * may).sum()
        number = int(draw.choice(len(self._engines), p=shares))
        groups = self._speakers[number]
        voices = groups[self._dealt[number] % len(groups)]
        self._dealt[number] += 1
        return self._engines[number], voices[int(draw.integers(len(voices)))]


def _readers(choice: EngineChoice, phrase: str, unreadable: _Unreadable) -> EngineChoice:
    """The engines that read the phrase."""
    reasons = {engine.name: unreadable[engine.name].get(phrase, "") for engine in choice.available}
    available = tuple(engine for engine in choice.available if not reasons[engine.name])
    if not available:
        why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise ConfigError(f"no engine can read {phrase!r} ({why}); write it as it sounds, in English letters")
    skipped = tuple(SkippedEngine(name, f"{reason} in {phrase!r}", "") for name, reason in reasons.items() if reason)
    return EngineChoice(available, (*choice.skipped, *skipped))


def _spoken_texts(phrase: str, counts: dict[str, int], seed: int, engines: Sequence[SpeechEngine]) -> tuple[dict[str, list[str]], _Unreadable]:
    """The texts of each kind that are read by an engine which reads the phrase, and what each engine cannot read."""
    texts.phrase_sounds(phrase, espeak.phonemise)
    near = texts.near_misses(phrase, espeak.phonemise) if counts[NEAR_MISS] else []
    if counts[NEAR_MISS] and not near:
        raise ConfigError(f"nothing resembles {phrase!r} without being it; ask for 0 near misses")
    spoken = {POSITIVE: [phrase], NEAR_MISS: near, SENTENCE: texts.sentences(counts[SENTENCE], phrase, seed, espeak.phonemise)}
    every = list(dict.fromkeys(text for of_kind in spoken.values() for text in of_kind))
    unreadable = {engine.name: engine.unreadable(every) for engine in engines}
    readers = [unread for unread in unreadable.values() if phrase not in unread]
    for kind in (NEAR_MISS, SENTENCE):
        spoken[kind] = [text for text in spoken[kind] if not readers or any(text not in unread for unread in readers)]
        if counts[kind] and not spoken[kind]:
            raise ConfigError(f"no engine can read any of the {kind.replace('_', ' ')} texts; choose other engines with --engine, or ask for none of them")
    return spoken, unreadable


def _spoken_form(text: str, draw: np.random.Generator) -> str:
    return text + str(draw.choice(_ENDINGS))


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
    columns = ("path", "label", "kind", "text", "engine", "voice", "speaker", "rate", "pitch", "gain_db", "seed", "samples", "sha256")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for clip in clips:
        plan = clip.plan
        own = (plan.text, plan.engine, plan.voice, plan.speaker, plan.rate, plan.pitch, plan.gain_db, plan.seed)
        writer.writerow((plan.path.as_posix(), plan.label, plan.kind, *own, clip.samples, clip.sha256))
    return out.getvalue()
