"""ESPHome's own components as external ones: copied from the installed wheel when a firmware is built, with calls put
in that tell the bench's microphone what micro_wake_word does; for `host` also with their ESP32 gates opened and without
a need for OpenSSL.

Nothing of what they compute is changed. Each edit must find its place exactly, or the sources are not those of the
version that was read.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wakeword.errors import ConfigError, InfrastructureError
from wakeword.files import write_atomically

if TYPE_CHECKING:
    from firmware.toolenv import ToolEnvironment

SHARED_COMPONENTS = Path(__file__).resolve().parent / "components"
"""Our components for every target."""
_HOST_COPIED = ("audio", "md5", "micro_wake_word", "ring_buffer", "sha256")
"""ESPHome's components that are gated to ESP32, and those that ask for OpenSSL. All others are used where they are."""

_GATE, _OPEN_GATE = "#ifdef USE_ESP32", "#if defined(USE_ESP32) || defined(USE_HOST)"


@dataclass(frozen=True)
class _Edit:
    """Replace the one place where `old` stands in a file."""

    file: str
    old: str
    new: str


_GATED = (
    "audio/audio_transfer_buffer.cpp",
    "audio/audio_transfer_buffer.h",
    "micro_wake_word/micro_wake_word.cpp",
    "micro_wake_word/micro_wake_word.h",
    "micro_wake_word/model_data.cpp",
    "micro_wake_word/model_data.h",
    "micro_wake_word/preprocessor_settings.h",
    "micro_wake_word/streaming_model.cpp",
    "micro_wake_word/streaming_model.h",
    "ring_buffer/ring_buffer.cpp",
    "ring_buffer/ring_buffer.h",
)
_WORD, _MODEL = "micro_wake_word/micro_wake_word.cpp", "micro_wake_word/streaming_model.cpp"
_INCLUDE_HOOKS = '#include "esphome/components/bench_microphone/hooks.h"\n'


def _after(file: str, line: str, added: str) -> _Edit:
    return _Edit(file, line, line + added)


def _before(file: str, line: str, added: str) -> _Edit:
    return _Edit(file, line, added + line)


_HOOKS = (
    _after(_WORD, '#include "micro_wake_word.h"\n', _INCLUDE_HOOKS),
    _before(
        _WORD,
        "        xEventGroupSetBits(this->event_group_,\n"
        "                           EventGroupBits::WARNING_FULL_RING_BUFFER",
        "        bench_microphone::refused();\n",
    ),
    _before(
        _WORD,
        "          audio_source->clear_buffered_data();\n",
        "          bench_microphone::Discarding discarding;\n",
    ),
    _before(
        _WORD,
        "        audio_source->fill(pdMS_TO_TICKS(DATA_TIMEOUT_MS), false);\n",
        "        bench_microphone::decided();\n",
    ),
    _after(
        _WORD,
        "FrontendProcessSamples(&this->frontend_state_, audio_buffer, samples_available, processed_samples);\n",
        "  bench_microphone::heard(*processed_samples);\n",
    ),
    _after(
        _WORD,
        "      DetectionEvent wake_word_state = model->determine_detected();\n",
        "      wake_word_state.sample = bench_microphone::position();\n",
    ),
    _after(
        _WORD,
        "      while (xQueueReceive(this->detection_queue_, &detection_event, 0)) {\n",
        "        bench_microphone::reporting(detection_event.sample);\n",
    ),
    _after(_WORD, "  this_mww->microphone_source_->stop();\n", "  bench_microphone::stopped();\n"),
    _after("micro_wake_word/streaming_model.h", "  bool blocked_by_vad = false;\n", "  int64_t sample = -1;\n"),
    _after(_MODEL, '#include "streaming_model.h"\n', _INCLUDE_HOOKS),
    _after(
        _MODEL,
        "      this->tensor_arena_size_ = probed_size;\n",
        "      bench_microphone::probed(this->model_start_, probed_size);\n",
    ),
    _after(
        _MODEL,
        "output->data.uint8[0];  // probability;\n",
        "      bench_microphone::inferred(this->model_start_, output->data.uint8[0]);\n",
    ),
)
"""Calls beside what is computed, and one more value in a detection's message to the main loop."""
_HOST_EDITS = (
    *(_Edit(file, _GATE, _OPEN_GATE) for file in _GATED),
    _Edit("micro_wake_word/micro_wake_word.h", '"esphome/core/static_task.h"', '"virtual_board/static_task.h"'),
    _Edit("ring_buffer/__init__.py", 'DEPENDENCIES = ["esp32"]', "DEPENDENCIES = []"),
    _Edit("audio/__init__.py", "    cv.only_on_esp32,\n", ""),
    # It asks the ESP-IDF for codecs.
    _Edit(
        "audio/__init__.py",
        "async def to_code(config: ConfigType) -> None:\n",
        "async def to_code(config: ConfigType) -> None:\n    return\n",
    ),
    # shims/openssl answers instead.
    _Edit("md5/__init__.py", '        cg.add_build_flag("-lcrypto")\n', ""),
    _Edit("sha256/__init__.py", '    cg.add_build_flag("-lcrypto")\n', ""),
    _Edit("micro_wake_word/__init__.py", "    cv.only_on_esp32,\n", ""),
    _Edit(
        "micro_wake_word/__init__.py",
        '    esp32.add_idf_component(name="espressif/esp-tflite-micro", ref="1.3.3~1")\n',
        "",
    ),
    _Edit("micro_wake_word/__init__.py", '    esp32.add_idf_component(name="espressif/esp-nn", ref="1.1.2")\n', ""),
    _Edit(
        "micro_wake_word/__init__.py",
        '    esp32.add_idf_component(name="esphome/esp-micro-speech-features", ref="1.2.3")\n',
        "",
    ),
)


@dataclass(frozen=True)
class Overlay:
    """Which of ESPHome's components are copied, and what is edited in them."""

    copied: tuple[str, ...]
    edits: tuple[_Edit, ...]
    own: tuple[Path, ...]
    """Folders of our components."""

    def write(self, esphome_components: Path, destination: Path) -> None:
        """Write the components into `destination`, and remove what else is there. Files that do not change keep their
        times, so builds stay incremental.

        Raises `InfrastructureError` when ESPHome's sources are not the expected ones.
        """
        wanted: dict[str, bytes] = {}
        for source, names in (
            (esphome_components, self.copied),
            *((folder, _component_names(folder)) for folder in self.own),
        ):
            for path in _files(source, names):
                wanted[path.relative_to(source).as_posix()] = path.read_bytes()
        for edit in self.edits:
            wanted[edit.file] = _edited(wanted, edit, esphome_components)
        for stale in [
            path
            for path in destination.rglob("*")
            if path.is_file() and path.relative_to(destination).as_posix() not in wanted
        ]:
            stale.unlink()
        for name, content in wanted.items():
            path = destination / name
            if not path.is_file() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, content)
        for empty in sorted((path for path in destination.rglob("__pycache__")), reverse=True):
            shutil.rmtree(empty, ignore_errors=True)


HOOKED = Overlay(("micro_wake_word",), _HOOKS, (SHARED_COMPONENTS,))
"""For a real board that hears the bench's microphone: ESPHome's detection with the calls, and our microphone."""
HOST = Overlay(
    _HOST_COPIED, (*_HOST_EDITS, *_HOOKS), (SHARED_COMPONENTS, SHARED_COMPONENTS.parent / "virtual" / "components")
)
"""For the virtual board."""


def esphome_components(environment: ToolEnvironment) -> Path:
    """The folder of ESPHome's components in its environment. Raises `ConfigError` when it is not there."""
    found = sorted(environment.folder.glob("lib/python3.*/site-packages/esphome/components"))
    if not found:
        raise ConfigError(
            f"{environment.folder}: holds no esphome/components; remove the folder, then run again to have it made anew"
        )
    return found[-1]


def _component_names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"))


def _files(folder: Path, names: Sequence[str]) -> list[Path]:
    return [
        path
        for name in names
        for path in sorted((folder / name).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]


def _edited(files: dict[str, bytes], edit: _Edit, source: Path) -> bytes:
    content = files.get(edit.file, b"").decode()
    if content.count(edit.old) != 1:
        found = (
            "is missing"
            if edit.file not in files
            else f"has {content.count(edit.old)} places with {edit.old.strip()!r} instead of one"
        )
        raise InfrastructureError(
            f"{source}: {edit.file} {found}: not the ESPHome that this version was written for; remove its environment"
            " to have it made anew"
        )
    return content.replace(edit.old, edit.new).encode()
