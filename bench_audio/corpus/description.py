"""A corpus in YAML: where its recordings lie, what they are, who may use them, how loud they are to be at the board,
and over which noise.

    name: office
    preset: noisy                  # quiet, noisy or false-accepts-overnight; or conditions of your own
    seed: 7
    full_scale_spl: 96             # dB SPL at the board for an rms of 1.0; not needed with a calibration
    sources:
      - {label: alexa, kind: wake, word: alexa, path: clips/alexa, licence: CC-BY-4.0, repetitions: 2}
      - {label: tv, kind: tv, path: tv, licence: own recording}
    noise:
      - {label: kitchen, path: noise/kitchen.flac, licence: CC0-1.0}

Paths are relative to the file. Unknown keys are errors.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wakeword.complaints import complaint, nearest
from wakeword.corpus.provenance import Stated
from wakeword.errors import ConfigError
from wakeword.reading import parse_yaml, read_yaml

Spl = Annotated[float, Field(ge=20, le=110)]
Label = Annotated[str, Field(min_length=1, pattern=r"^[^/\\.][^/\\]*$")]

PRESETS = ("quiet", "noisy", "false-accepts-overnight")


class _DescriptionPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, allow_inf_nan=False)


class Source(_DescriptionPart):
    """Recordings of one kind, 16 kHz or anything else that can be read."""

    label: Label
    kind: Literal["wake", "speech", "tv", "music", "noise"]
    path: Path
    licence: Annotated[str, Field(min_length=1)]
    """SPDX identifier, or in words; `unknown` is an answer too."""
    word: str | None = None
    """What is said, where it is the wake word."""
    provenance: Stated | None = None
    """Whether people were recorded or a synthesiser spoke, where that is known; folders of mww-generate need not say
    it."""
    repetitions: int = Field(default=1, ge=1, le=100)
    """Of each recording of the wake word in each condition, over another stretch of the noise. The same voice again
    narrows no interval honestly."""

    @model_validator(mode="after")
    def _says_its_word(self) -> Source:
        if (self.kind == "wake") != (self.word is not None):
            raise ValueError("a source of kind wake names its word, and no other does")
        if self.kind != "wake" and self.repetitions != 1:
            raise ValueError(
                "only recordings of the wake word are repeated: the same sound twice is no further hour of it"
            )
        return self


class NoiseBed(_DescriptionPart):
    """Noise that is played below the wake word."""

    label: Label
    path: Path
    licence: Annotated[str, Field(min_length=1)]


class PlaybackCondition(_DescriptionPart):
    """How loud it is at the board. Voice as active speech level, everything else as equivalent level."""

    name: Label
    voice_spl: Spl | None = None
    """Of sources of kind wake, dB SPL."""
    snr_db: Annotated[float, Field(ge=-20, le=60)] | None = None
    """Voice over noise bed; None for no noise."""
    background_spl: Spl | None = None
    """Of all other sources."""
    weighting: Literal["A", "C", "Z"] = "A"

    @model_validator(mode="after")
    def _is_of_something(self) -> PlaybackCondition:
        if self.voice_spl is None and self.background_spl is None:
            raise ValueError("give voice_spl, background_spl or both")
        if self.snr_db is not None and self.voice_spl is None:
            raise ValueError("snr_db is voice over noise; give voice_spl too")
        return self


class CorpusDescription(_DescriptionPart):
    """The whole description."""

    name: Label
    description: str = ""
    preset: Literal["quiet", "noisy", "false-accepts-overnight"] | None = None
    seed: int = Field(default=0, ge=0)
    full_scale_spl: Annotated[float, Field(ge=40, le=140)] | None = None
    """dB SPL at the board that an rms of 1.0 stands for; a calibration knows better."""
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    noise: tuple[NoiseBed, ...] = ()
    conditions: Annotated[tuple[PlaybackCondition, ...], Field(min_length=1)]
    hours: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Of sound without the wake word, at most; None for all there is."""

    @model_validator(mode="after")
    def _fits_together(self) -> CorpusDescription:
        for what, names in (
            ("sources", [one.label for one in self.sources]),
            ("conditions", [one.name for one in self.conditions]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"two {what} have one name")
        if any(one.snr_db is not None for one in self.conditions) and not self.noise:
            raise ValueError("a condition has an snr_db, but there is no noise; list noise beds under noise")
        if not any(self.heard(source, condition) for source in self.sources for condition in self.conditions):
            raise ValueError(
                "no condition says how loud any of the sources is: voice_spl is for kind wake, background_spl for all"
                " others"
            )
        return self

    @staticmethod
    def heard(source: Source, condition: PlaybackCondition) -> bool:
        """Whether a condition says how loud a source is."""
        return (condition.voice_spl if source.kind == "wake" else condition.background_spl) is not None


def read_corpus(path: Path) -> CorpusDescription:
    """Read a description; its preset fills in what it does not say itself. Paths become absolute. Raises `ConfigError`
    for anything wrong in it.
    """
    values = read_yaml(path, "give a corpus in YAML as docs/acoustic-bench.md describes it")
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a corpus is a set of keys, such as name and sources; see docs/acoustic-bench.md")
    values = _preset(path, values.get("preset")) | values
    try:
        corpus = CorpusDescription.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "corpus"
        hint = _hint(first) if first["type"] == "extra_forbidden" else complaint(first, first["input"])
        raise ConfigError(f"{path}: {where}: {hint}; correct it") from error
    folder = path.absolute().parent
    sources = tuple(one.model_copy(update={"path": folder / one.path}) for one in corpus.sources)
    return corpus.model_copy(
        update={
            "sources": sources,
            "noise": tuple(one.model_copy(update={"path": folder / one.path}) for one in corpus.noise),
        }
    )


def _preset(path: Path, name: object) -> dict[str, Any]:
    if name is None:
        return {}
    if name not in PRESETS:
        raise ConfigError(f"{path}: preset {name!r} is not there; {nearest(str(name), PRESETS, 'there are')}")
    values: dict[str, Any] = parse_yaml(
        files("bench_audio.corpus").joinpath("presets", f"{name}.yaml").read_text(encoding="utf-8"), f"preset {name}"
    )
    return values


def _hint(error: Any) -> str:
    parts: dict[str, type[BaseModel]] = {"sources": Source, "noise": NoiseBed, "conditions": PlaybackCondition}
    part = parts.get(str(error["loc"][0]), CorpusDescription)
    return f"unknown key; {nearest(str(error['loc'][-1]), part.model_fields, 'known are', cutoff=0.5)}"
