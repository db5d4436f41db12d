"""What the real ESPHome generates from the projects: no compiler for boards is needed, and what goes onto them stands
in main.cpp.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.build import Firmware, build, default_name, read_firmware
from firmware.project import HOST, NATIVE, PLATFORMIO, check_name, targets
from firmware.toolenv import ToolEnvironment
from wakeword.errors import ConfigError

type MakeManifest = Callable[..., Path]

BOARDS = [target for target in targets() if target != HOST]
MICROPHONE_PINS = {
    "esp32-s3-devkitc-1": 4,
    "esp32-s3-box-3": 16,
    "home-assistant-voice-pe": 15,
    "m5stack-atoms3r-echo-base": 7,
    "seeed-respeaker-lite": 44,
    "waveshare-esp32-s3-audio": 15,
}
OWN_SOURCES = {
    "esp32-s3-devkitc-1": (4, 0),
    "esp32-s3-box-3": (1, 0),
    "home-assistant-voice-pe": (4, 1),
    "m5stack-atoms3r-echo-base": (1, 0),
    "seeed-respeaker-lite": (4, 1),
    "waveshare-esp32-s3-audio": (1, 0),
}
"""Gain and channel that each target's detection hears with."""
XMOS_RESET_PINS = {"home-assistant-voice-pe": 4, "seeed-respeaker-lite": 2}

pytestmark = pytest.mark.usefixtures("esphome", "secrets")


def generated(target: str, manifests: list[Path], folder: Path) -> tuple[Firmware, str]:
    made = build(target, manifests, folder, generate_only=True)
    assert made.program is None
    return made, made.source.read_text(encoding="utf-8")


def model_bytes(source: str, name: str) -> bytes:
    match = re.search(rf"uint8_t {name}\[\d*\] PROGMEM = \{{([^}}]*)\}}", source)
    assert match is not None
    return bytes(int(part, 0) for part in match.group(1).split(","))


def assert_model(source: str, made: Firmware, index: int) -> None:
    """The whole model, its cutoff, window and arena are in the program as the manifest says."""
    model = made.models[index]
    content = model_bytes(source, f"{model.model_id}_data")
    assert hashlib.sha256(content).hexdigest() == model.sha256
    arguments = (
        f'"{model.model_id}", {model.model_id}_data, {model.cutoff}, {model.window}, "{model.wake_word}",'
        f" {model.arena}, "
    )
    assert arguments in source
    assert f"emplace_back({model.model_id}_data, sizeof({model.model_id}_data))" in source


@pytest.mark.parametrize("target", BOARDS)
def test_a_board(target: str, official_models: Path, tmp_path: Path) -> None:
    made, source = generated(target, [official_models / "alexa.json"], tmp_path / "project")
    assert made.name == default_name(target)
    assert_model(source, made, 0)
    assert made.models[0].cutoff == int(0.9 * 255)
    assert model_bytes(source, "ww_alexa_data") == (official_models / "alexa.tflite").read_bytes()
    assert "mww->set_stop_after_detection(false)" in source
    assert "mww->set_features_step_size(10)" in source
    assert "bench_api->set_noise_psk(noise_psk)" in source
    assert "bench_api->set_reboot_timeout(0)" in source
    assert "bench_api->set_batch_delay(0)" in source
    assert "bench_ota->set_noise_psk(noise_psk)" in source
    assert f"board_microphone->set_din_pin({MICROPHONE_PINS[target]})" in source
    for event in ("esphome.mww_clock", "esphome.mww_identity", "esphome.mww_detection"):
        assert f'"{event}"' in source
    for action in ("mww_clock", "mww_identify", "mww_set_cutoff", "mww_start", "mww_stop"):
        assert f'"{action}"' in source
    assert "static_cast<long long>(-1)" in source
    assert "set_psram_sensor" in source
    defines = (made.source.parent / "esphome" / "core" / "defines.h").read_text()
    assert "#define USE_OTA_ENCRYPTION_REQUIRED" in defines
    assert "#define USE_API_PLAINTEXT" not in defines


@pytest.mark.parametrize("target", BOARDS)
def test_a_board_that_hears_the_bench(
    target: str, secrets: dict[str, str], official_models: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    folder = tmp_path / "project"
    models = [official_models / "alexa.json", official_models / "okay_nabu.json"]
    made = build(target, models, folder, generate_only=True, digital=True, report=said.append)
    source = made.source.read_text(encoding="utf-8")
    assert_model(source, made, 0)
    assert "new(digital_microphone) bench_microphone::BenchMicrophone()" in source
    # The samples as they are, whatever gain the board's own microphone has.
    assert "MicrophoneSource(digital_microphone, 16, 1, false)" in source
    # What the board itself hears with is told as micro_wake_word would hear it.
    (own,) = re.findall(r"new\((\w+)\) microphone::MicrophoneSource\(board_microphone, 16, (\d+), false\)", source)
    assert f"digital_microphone->set_source({own[0]})" in source
    assert (int(own[1]), f"{own[0]}->add_channel({OWN_SOURCES[target][1]})" in source) == (OWN_SOURCES[target][0], True)
    # Models can be delivered, and are then told like the others.
    assert "digital_microphone->set_detection(mww)" in source
    assert "digital_microphone->tell_delivered(" in source
    # Under the key of the API, which is there once.
    assert "digital_microphone->set_key(noise_psk)" in source
    assert "bench_api->set_noise_psk(noise_psk)" in source
    assert model_bytes(source, "noise_psk") == base64.b64decode(secrets["MWW_API_KEY"])
    added = [source.index(f"digital_microphone->add_model({name}_data)") for name in ("ww_alexa", "ww_okay_nabu")]
    assert added == sorted(added)
    assert "static_cast<long long>(bench_microphone::detection_sample())" in source
    for name, hook in (("micro_wake_word", "heard(*processed_samples)"), ("streaming_model", "inferred(")):
        copy = folder / "components" / "micro_wake_word" / f"{name}.cpp"
        assert f"bench_microphone::{hook}" in copy.read_text()
    assert '"bench"' in source
    assert made.versions.keys() == {"esp-idf", "esp-tflite-micro", "esp-nn", "esp-micro-speech-features"}
    assert made.versions["esp-nn"] == "1.1.2"
    assert made.versions["esp-idf"].startswith("5.5.")
    again = read_firmware(folder)
    assert (again.digital, again.versions) == (True, made.versions)
    assert not any(secret in line for secret in secrets.values() for line in said)
    closed = [path for path in folder.rglob("*") if path.is_file() and ".esphome" not in path.parts]
    assert [path.name for path in closed if secrets["MWW_API_KEY"].encode() in path.read_bytes()] == ["secrets.yaml"]


def test_no_other_firmware_can_be_played_to(official_models: Path, tmp_path: Path) -> None:
    made, source = generated("esp32-s3-box-3", [official_models / "alexa.json"], tmp_path / "project")
    assert "bench_microphone" not in source
    assert '"own"' in source
    assert "6055" not in source
    assert not made.digital


@pytest.mark.parametrize("target", XMOS_RESET_PINS)
def test_a_board_whose_microphones_are_behind_an_xmos(target: str, official_models: Path, tmp_path: Path) -> None:
    """The XMOS is started before anything is set up, drives the clocks, and its second channel is heard, as in the
    configurations that its makers publish.
    """
    _, source = generated(target, [official_models / "alexa.json"], tmp_path / "project")
    (pin,) = re.findall(r"bench_xmos_reset->set_pin\((\w+)\)", source)
    assert f"{pin}->set_pin(::GPIO_NUM_{XMOS_RESET_PINS[target]})" in source
    assert "StartupTrigger(600.0f)" in source, "after the pin's own set-up, which is at 800"
    assert source.index("bench_xmos_reset->turn_on()") < source.index("bench_xmos_reset->turn_off()")
    assert "board_microphone->set_i2s_role(::I2S_ROLE_SLAVE)" in source
    assert "MicrophoneSource(board_microphone, 16, 4, false)" in source
    assert "microphonesource_id->add_channel(1)" in source


def test_a_codec_whose_clock_is_the_bit_clock(official_models: Path, tmp_path: Path) -> None:
    """ESPHome's table of the ES8311 has no 0.512 MHz, so at 16 bits the codec would fail at the start; the frames of
    the microphone must be as wide as the codec's.
    """
    _, source = generated("m5stack-atoms3r-echo-base", [official_models / "alexa.json"], tmp_path / "project")
    for call in (
        "set_use_mclk(false)",
        "set_sample_frequency(16000)",
        "set_bits_per_sample(es8311::ES8311_RESOLUTION_32)",
    ):
        assert f"bench_codec->{call}" in source
    assert "board_microphone->set_slot_bit_width(::I2S_SLOT_BIT_WIDTH_32BIT)" in source


def test_platformio_compiles_the_same_program(official_models: Path, tmp_path: Path) -> None:
    """Which of the two compiles is ESPHome's to say: PlatformIO's project has a platformio.ini, the native one none."""
    made, programs = {}, {}
    for toolchain in (NATIVE, PLATFORMIO):
        one = build(
            "esp32-s3-box-3",
            [official_models / "alexa.json"],
            tmp_path / toolchain,
            generate_only=True,
            toolchain=toolchain,
        )
        made[toolchain] = one.build_folder
        programs[toolchain] = one.source.read_text(encoding="utf-8")
    assert_model(programs[PLATFORMIO], one, 0)
    ini = (made[PLATFORMIO] / "platformio.ini").read_text()
    assert re.search(r"^platform = .*platform-espressif32", ini, re.MULTILINE)
    assert "board = esp32s3box" in ini
    assert not (made[NATIVE] / "platformio.ini").exists()


def test_two_models_and_a_cutoff_of_ones_own(official_models: Path, manifest: MakeManifest, tmp_path: Path) -> None:
    changed = manifest("okay_nabu", probability_cutoff=0.5, sliding_window_size=9)
    made, source = generated("esp32-s3-devkitc-1", [official_models / "alexa.json", changed], tmp_path / "project")
    assert_model(source, made, 0)
    assert_model(source, made, 1)
    assert (made.models[1].cutoff, made.models[1].window) == (127, 9)


def test_generating_again_with_another_model_replaces_the_first(official_models: Path, tmp_path: Path) -> None:
    generated("esp32-s3-box-3", [official_models / "alexa.json"], tmp_path / "project")
    made, source = generated("esp32-s3-box-3", [official_models / "hey_jarvis.json"], tmp_path / "project")
    assert_model(source, made, 0)
    assert "ww_alexa" not in source


def test_nothing_that_is_kept_or_shown_holds_a_secret(
    secrets: dict[str, str], official_models: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    folder = tmp_path / "project"
    build("esp32-s3-devkitc-1", [official_models / "alexa.json"], folder, generate_only=True, report=said.append)
    for path in (
        path
        for path in folder.rglob("*")
        if path.is_file() and ".esphome" not in path.parts and path.name != "secrets.yaml"
    ):
        content = path.read_bytes()
        for secret in secrets.values():
            assert secret.encode() not in content, path
    assert not any(secret in line for secret in secrets.values() for line in said)
    # The program itself has to know them; its sources are for their owner alone.
    assert (folder / ".esphome").stat().st_mode & 0o077 == 0


def test_any_wake_word_arrives_as_it_is_written(manifest: MakeManifest, tmp_path: Path) -> None:
    wake_word = 'Hé, "${name}" \\ %s'
    made, source = generated("esp32-s3-box-3", [manifest(wake_word=wake_word)], tmp_path / "project")
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\' else f"\\{byte:03o}" for byte in wake_word.encode()
    )
    assert f'"{escaped}"' in source
    assert made.models[0].wake_word == wake_word


def test_esphomes_own_complaint_is_shown(
    official_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from firmware import project

    configs = tmp_path / "configs"
    shutil.copytree(project.CONFIGS, configs)
    target = configs / "targets" / "esp32-s3-box-3.yaml"
    target.write_text(target.read_text().replace("i2s_din_pin: GPIO16", "i2s_din_pin: GPIO99"))
    monkeypatch.setattr(project, "CONFIGS", configs)
    with pytest.raises(ConfigError, match=r"ESPHome refuses the configuration: .*99.*; see .*build\.log"):
        build("esp32-s3-box-3", [official_models / "alexa.json"], tmp_path / "project", generate_only=True)


def test_the_virtual_board(official_models: Path, tmp_path: Path) -> None:
    made, source = generated(
        HOST, [official_models / "alexa.json", official_models / "okay_nabu.json"], tmp_path / "a $name, ${target}"
    )
    assert_model(source, made, 0)
    assert_model(source, made, 1)
    assert "static_cast<long long>(bench_microphone::detection_sample())" in source
    assert "virtual_board::register_model(ww_okay_nabu_data, sizeof(ww_okay_nabu_data));" in source
    assert "bench_api->set_port(virtual_board::api_port(6053))" in source


def test_default_names_are_names(esphome: ToolEnvironment) -> None:
    assert esphome.version
    for target in targets():
        check_name(default_name(target))
