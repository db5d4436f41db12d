"""The folders of a dataset as a configuration names them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.config.sections import PathsSection


def folders(
    positive: Sequence[Path],
    negative: Sequence[Path],
    generated: Sequence[Path] = (),
    splits: Path | None = None,
    **others: Any,
) -> PathsSection:
    """Those of wake words, of other recordings and of generated speech; `others` by their keys. No other folder is
    read.
    """
    return PathsSection(
        **{"hard_negative_dir": (), **others},
        positive_dir=tuple(positive),
        negative_dir=tuple(negative),
        generated_dir=tuple(generated),
        splits=splits,
    )
