"""Small corpora of generated speech."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.data.generate import GeneratedCorpus, generate_corpus
from trainer.data.parallel import Progress
from trainer.data.speech.plan import CorpusRequest
from trainer.data.speech.registry import EngineChoice


def generated_corpus(
    phrase: str,
    output: Path,
    *,
    engines: EngineChoice,
    jobs: int | None = None,
    progress: Progress | None = None,
    **asked: Any,
) -> GeneratedCorpus:
    """A corpus of a phrase; `asked` are the fields of a `CorpusRequest`."""
    return generate_corpus(CorpusRequest(phrase, **asked), output, engines, jobs=jobs, progress=progress)
