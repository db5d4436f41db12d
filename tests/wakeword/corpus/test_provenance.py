"""Who spoke is a fact or unknown, never a guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from wakeword.corpus.provenance import provenance_of, together
from wakeword.corpus.recordings import GENERATED_TABLE
from wakeword.errors import ConfigError


def test_a_table_a_statement_or_unknown(tmp_path: Path) -> None:
    (tmp_path / "generated" / "positive" / "voice").mkdir(parents=True)
    (tmp_path / "generated" / GENERATED_TABLE).touch()
    made, other = tmp_path / "generated" / "positive" / "voice" / "0.wav", tmp_path / "mine" / "0.wav"
    assert provenance_of([made]) == "synthetic"
    assert provenance_of([made], "synthetic") == "synthetic"
    assert provenance_of([other]) == "unknown"
    assert provenance_of([other], "recorded") == "recorded"
    assert provenance_of([other], "synthetic") == "synthetic"
    assert provenance_of([made, other]) == "partly synthetic"
    assert provenance_of([]) == "unknown"
    with pytest.raises(ConfigError, match=r"0\.wav: was made by mww-generate"):
        provenance_of([other, made], "recorded")


def test_sets_together() -> None:
    assert together(["recorded", "recorded"]) == "recorded"
    assert together(["recorded", "unknown"]) == "unknown"
    assert together(["recorded", "partly synthetic"]) == "partly synthetic"
    assert together([]) == "unknown"
