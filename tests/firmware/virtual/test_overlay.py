from __future__ import annotations

import difflib
import re
import shutil
from pathlib import Path

import pytest

from firmware.overlay import HOOKED, HOST, SHARED_COMPONENTS, Overlay, esphome_components
from firmware.toolenv import ToolEnvironment
from wakeword.errors import InfrastructureError

HOOKS = {
    "micro_wake_word.cpp": [
        '#include "esphome/components/bench_microphone/hooks.h"',
        "        bench_microphone::refused();",
        "          bench_microphone::Discarding discarding;",
        "        bench_microphone::decided();",
        "  bench_microphone::stopped();",
        "        bench_microphone::reporting(detection_event.sample);",
        "  bench_microphone::heard(*processed_samples);",
        "      wake_word_state.sample = bench_microphone::position();",
    ],
    "streaming_model.cpp": [
        '#include "esphome/components/bench_microphone/hooks.h"',
        "      bench_microphone::probed(this->model_start_, probed_size);",
        "      bench_microphone::inferred(this->model_start_, output->data.uint8[0]);",
    ],
    "streaming_model.h": ["  int64_t sample = -1;"],
    "model_data.cpp": [],
}
"""All that is put into ESPHome's detection, line by line."""


@pytest.mark.parametrize("overlay", [HOST, HOOKED], ids=["host", "a real board"])
def test_what_esphome_computes_is_not_touched(esphome: ToolEnvironment, tmp_path: Path, overlay: Overlay) -> None:
    source = esphome_components(esphome)
    overlay.write(source, tmp_path)
    for name, hooks in HOOKS.items():
        original, copy = ((folder / "micro_wake_word" / name).read_text().splitlines() for folder in (source, tmp_path))
        if overlay is HOST:
            gate = original.index("#ifdef USE_ESP32")
            original[gate] = "#if defined(USE_ESP32) || defined(USE_HOST)"
        assert [line[2:] for line in difflib.ndiff(original, copy) if line[0] in "+-"] == hooks
    assert (tmp_path / "bench_microphone" / "bench_microphone.cpp").is_file()
    assert (tmp_path / "virtual_board").exists() == (overlay is HOST)
    asks_for_esp32 = re.search(
        r"add_idf_component|only_on_esp32\W", (tmp_path / "micro_wake_word" / "__init__.py").read_text()
    )
    assert (asks_for_esp32 is None) == (overlay is HOST)


def test_unchanged_files_keep_their_times_and_stale_ones_go(esphome: ToolEnvironment, tmp_path: Path) -> None:
    source = esphome_components(esphome)
    HOST.write(source, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.cpp")}
    (tmp_path / "micro_wake_word" / "removed_upstream.cpp").write_text("int a;")
    HOST.write(source, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.cpp")} == before


def test_another_esphome_is_refused_with_the_file_that_differs(esphome: ToolEnvironment, tmp_path: Path) -> None:
    source = tmp_path / "components"
    for name in HOST.copied:
        shutil.copytree(esphome_components(esphome) / name, source / name)
    changed = source / "ring_buffer" / "ring_buffer.h"
    changed.write_text(changed.read_text().replace("#ifdef USE_ESP32", "#if USE_ESP32"))
    with pytest.raises(InfrastructureError, match=r"ring_buffer/ring_buffer\.h has 0 places"):
        HOST.write(source, tmp_path / "out")


def test_the_smallest_buffer_is_one_that_a_stream_can_begin_with() -> None:
    """The compiler checks the number in C++; ESPHome asks for the same."""
    folder = SHARED_COMPONENTS / "bench_microphone"
    smallest = re.search(r"SMALLEST_BUFFER_MS = (\d+);", (folder / "bench_microphone.cpp").read_text())
    assert smallest is not None
    assert f"min=cv.TimePeriod(milliseconds={smallest[1]})" in (folder / "microphone.py").read_text()
