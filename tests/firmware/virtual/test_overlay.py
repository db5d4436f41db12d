from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from firmware.toolenv import ToolEnvironment
from firmware.virtual import host
from firmware.virtual.overlay import COPIED, write_overlay
from wakeword.errors import InfrastructureError

OWN = host.HERE / "components"


def test_what_esphome_computes_is_not_touched(esphome: ToolEnvironment, tmp_path: Path) -> None:
    source = host.esphome_components(esphome)
    write_overlay(source, OWN, tmp_path)
    for name in ("micro_wake_word.cpp", "streaming_model.cpp", "model_data.cpp"):
        original, copy = (folder / "micro_wake_word" / name for folder in (source, tmp_path))
        expected = original.read_text().replace(
            "#ifdef USE_ESP32\n", "#if defined(USE_ESP32) || defined(USE_HOST)\n", 1
        )
        assert copy.read_text() == expected
    assert not re.search(
        r"add_idf_component|only_on_esp32\W", (tmp_path / "micro_wake_word" / "__init__.py").read_text()
    )
    assert (tmp_path / "virtual_board" / "virtual_microphone.cpp").is_file()


def test_unchanged_files_keep_their_times_and_stale_ones_go(esphome: ToolEnvironment, tmp_path: Path) -> None:
    source = host.esphome_components(esphome)
    write_overlay(source, OWN, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.cpp")}
    (tmp_path / "micro_wake_word" / "removed_upstream.cpp").write_text("int a;")
    write_overlay(source, OWN, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.cpp")} == before


def test_another_esphome_is_refused_with_the_file_that_differs(esphome: ToolEnvironment, tmp_path: Path) -> None:
    source = tmp_path / "components"
    for name in COPIED:
        shutil.copytree(host.esphome_components(esphome) / name, source / name)
    changed = source / "ring_buffer" / "ring_buffer.h"
    changed.write_text(changed.read_text().replace("#ifdef USE_ESP32", "#if USE_ESP32"))
    with pytest.raises(InfrastructureError, match=r"ring_buffer/ring_buffer\.h has 0 places"):
        write_overlay(source, OWN, tmp_path / "out")
