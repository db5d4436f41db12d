"""Which synthetic voices validate and test, where no recordings of people do: whole engines, and families of voices,
that never train.

A family is what must never stand on two sides of a split: a speaker, or the voices that an engine blends new ones from
(`family` in generated.csv, else the folder). All that a family says goes with it: wake words, near misses and
sentences. A voice that was taught by one of another engine is of its teacher's family, whose engine counts as its own.

- A held-out engine trains nothing: its families validate, and a third of them test. `auto` holds out one engine in
  four, chosen by the seed, and at least one where there are two. The engine with most families always trains, and so do
  those of `ALWAYS_TRAIN`.
- Families of `ALWAYS_TRAIN` are divided besides, and where no engine is held out those of every engine: by a hash of
  the seed and their names, as speakers are. With few families chance could leave a split empty, so there they are
  ranked by that hash: at least one validates and one tests.
- Beside a held-out engine the others do not validate: a voice of an engine that is known tells a model nothing new, and
  a validation that hears many of them says so of every model. Of an engine with many families the hash's share tests
  all the same: a test of few words says nothing.

New clips of known families move nobody; of an engine with few families, a new one may.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from trainer.config.training_sections import HeldOut
from trainer.data.split import FRACTIONS, Fractions, Split, split_of
from wakeword.errors import ConfigError

Family = tuple[str, str]
"""Engine and family."""

ALWAYS_TRAIN = frozenset({"kokoro"})
"""Natural voices teach more than all others; their families are divided, the engine is never held out by `auto`."""
FEWEST_TO_HASH = 20
"""With so many families all three splits are filled by the hash alone, but for one seed in some fifty."""
VALIDATE_OF_FEW, TEST_OF_FEW = 0.2, 0.12
ENGINES_FOR_ONE_HELD_OUT = 4


def family_of(engine: str, name: str) -> Family:
    """The family that a clip's engine and family stand for: names of Kokoro's families begin with `kokoro_`, whichever
    engine speaks with such a voice.
    """
    return next((teacher for teacher in sorted(ALWAYS_TRAIN) if name.startswith(f"{teacher}_")), engine), name


def held_out_engines(families: Iterable[Family], seed: int, setting: HeldOut = "auto") -> tuple[str, ...]:
    """The engines of which nothing trains, sorted. Raises `ConfigError` for a name that no clip has, and where no
    engine is left to train.
    """
    by_engine = _by_engine(families)
    if setting != "auto":
        for name in setting:
            if name not in by_engine:
                raise ConfigError(
                    f"training.held_out_engines names {name!r}, but generated speech is by"
                    f" {', '.join(sorted(by_engine)) or 'no engine'}"
                )
        if by_engine and set(setting) >= set(by_engine):
            raise ConfigError(
                "training.held_out_engines names every engine of the generated speech, so nothing would train; leave"
                " one out"
            )
        return tuple(sorted(setting))
    most = max(by_engine, key=lambda engine: (len(by_engine[engine]), engine), default="")
    may = sorted(set(by_engine) - ALWAYS_TRAIN - {most}, key=lambda engine: _position(seed, engine))
    return tuple(sorted(may[: max(1, len(may) // ENGINES_FOR_ONE_HELD_OUT)]))


def split_families(
    families: Iterable[Family], seed: int, setting: HeldOut = "auto", fractions: Fractions = FRACTIONS
) -> dict[Family, Split]:
    """The split of each family. With three families or more none of the splits is empty. The `fractions` count where
    the hash divides them: where there are many, and no engine is held out for validation. Raises `ConfigError` as
    `held_out_engines` does.
    """
    by_engine = _by_engine(families)
    held_out = held_out_engines(
        ((engine, name) for engine, names in by_engine.items() for name in names), seed, setting
    )
    placed: dict[Family, Split] = {}
    for engine, names in by_engine.items():
        ranked = sorted(((engine, name) for name in names), key=lambda family: _position(seed, *family))
        if engine in held_out:
            placed |= _ranked(ranked, validate=len(ranked) - len(ranked) // 3, test=len(ranked) // 3)
        elif held_out and engine not in ALWAYS_TRAIN:
            tests = len(ranked) >= FEWEST_TO_HASH
            placed |= {
                family: Split.TEST
                if tests and split_of("/".join(family), seed, fractions) is Split.TEST
                else Split.TRAIN
                for family in ranked
            }
        elif len(ranked) >= FEWEST_TO_HASH:
            placed |= {family: split_of("/".join(family), seed, fractions) for family in ranked}
        elif len(ranked) >= len(Split):
            placed |= _ranked(
                ranked,
                validate=max(1, round(VALIDATE_OF_FEW * len(ranked))),
                test=max(1, round(TEST_OF_FEW * len(ranked))),
            )
        else:
            placed |= _ranked(ranked)
    return _filled(placed, seed)


def _filled(placed: dict[Family, Split], seed: int) -> dict[Family, Split]:
    """With families of a split that has more than one moved into one that has none, the lowest by hash first."""
    for split in (Split.TRAIN, Split.VAL, Split.TEST):
        if split not in placed.values():
            others = (Split.VAL, Split.TEST) if split is Split.TRAIN else (Split.TRAIN, Split.VAL, Split.TEST)
            spare = [one for one in others if list(placed.values()).count(one) > 1]
            if spare:
                chosen = min(
                    (family for family, one in placed.items() if one is spare[0]),
                    key=lambda family: _position(seed, *family),
                )
                placed[chosen] = split
    return placed


def _ranked(ranked: Sequence[Family], validate: int = 0, test: int = 0) -> dict[Family, Split]:
    splits = [Split.VAL] * validate + [Split.TEST] * test
    return {family: splits[place] if place < len(splits) else Split.TRAIN for place, family in enumerate(ranked)}


def _by_engine(families: Iterable[Family]) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for engine, name in families:
        found.setdefault(engine, set()).add(name)
    return dict(sorted(found.items()))


def _position(seed: int, *names: str) -> bytes:
    return hashlib.sha256(f"{seed}:{'/'.join(names)}".encode()).digest()
