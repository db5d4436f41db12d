"""What an interrupted mining has found already: a line a recording, appended as the work goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trainer.mining.windows import Accepted, Stretch
from wakeword.files import write_atomically

_FORMAT = 2
"""Raise it when lines change their meaning."""


class Journal:
    """Recordings heard by one model at one threshold.

    A journal of another mining is begun anew; a torn last line is one recording less.
    """

    def __init__(self, path: Path, **mining: Any) -> None:
        """`mining` names what decides the result (model, threshold, window, limit)."""
        self._path = path
        self.entries: dict[str, list[tuple[int, int, int, int]]] = {}
        """By SHA-256 of the recording: start, end, probability and end of the window of each accepted stretch."""
        header = json.dumps({"format": _FORMAT, **mining}, sort_keys=True)
        lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else [""]
        if lines[0] != header:
            write_atomically(path, f"{header}\n")
            return
        for line in lines[1:-1]:
            entry = json.loads(line)
            self.entries[entry["sha256"]] = [
                (start, end, probability, window_end) for start, end, probability, window_end in entry["found"]
            ]
        if lines[-1]:
            write_atomically(path, "".join(f"{line}\n" for line in lines[:-1]))

    def add(self, finished: Iterable[tuple[str, list[Accepted]]]) -> None:
        """Note recordings, by hash, and what was accepted of them. Raises `OSError` when the disk is full."""
        with self._path.open("a", encoding="utf-8") as file:
            for sha256, found in finished:
                entries = [
                    (window.stretch.start, window.stretch.end, window.probability, window.window_end)
                    for window in found
                ]
                self.entries[sha256] = entries
                file.write(json.dumps({"sha256": sha256, "found": entries}) + "\n")

    def found(self, source: Path, sha256: str) -> list[Accepted]:
        """What was accepted of a recording that was heard."""
        return [Accepted(source, Stretch(sha256, start, end), *rest) for start, end, *rest in self.entries[sha256]]
