"""A long recording without the wake word is split by stretches: one evening would otherwise train, validate or test as
a whole.

It is cut into equal parts of at most 20 minutes, and each part into one stretch a split, in the proportion of their
shares; their order is drawn from the seed and the recording's name. So every split gets its share of every hour, and
other recordings change nothing. Between stretches of two splits three seconds belong to none: longer than the window of
a model, so that no sound of one split is part of a window of another. A stretch that would be under a second is left
out: a share near 0 of a short recording is nothing.
"""

from __future__ import annotations

import hashlib
import math

from trainer.data.split import FRACTIONS, Fractions, Split

LONG_SECONDS = 300.0
"""A recording so long is split by stretches; shorter ones are songs and clips, and stay whole."""
PART_SECONDS = 1200.0
GAP_SECONDS = 3
SHORTEST_SECONDS = 1


def stretches(name: str, seconds: float, seed: int, fractions: Fractions = FRACTIONS) -> list[tuple[int, int, Split]]:
    """First and last second of each stretch of a recording, and its split, in order of time; where none is left out,
    the last one ends with the recording.
    """
    _, validate, test = fractions
    parts, end = math.ceil(seconds / PART_SECONDS), math.ceil(seconds)
    borders: list[tuple[int, Split]] = []
    for part in range(parts):
        begin, length = end * part / parts, end / parts
        lengths = {
            Split.TEST: length * test,
            Split.VAL: length * validate,
            Split.TRAIN: length * (1 - test - validate),
        }
        for split in sorted(Split, key=lambda split: hashlib.sha256(f"{seed}:{name}:{part}:{split}".encode()).digest()):
            if not borders or borders[-1][1] is not split:
                borders.append((round(begin), split))
            begin += lengths[split]
    following = [start - GAP_SECONDS for start, _ in borders[1:]]
    return [
        (start, stop, split)
        for (start, split), stop in zip(borders, [*following, end], strict=True)
        if stop - start >= SHORTEST_SECONDS
    ]
