"""A project folder for ESPHome: the target's YAML, the models, the secrets. What is the same for all stands in
esphome_configs; here is what varies.

<name>.yaml      the configuration that esphome is given
models.yaml      the models, and where their bytes are
components.yaml  where its components and flags are: for `host`, and for a board that hears the bench's microphone
models/          manifests and models, named by their ids
packages/, targets/   copies, so that the folder explains itself
secrets.yaml, .esphome/   the secrets, and what ESPHome makes of them: readable by their owner alone
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware import credentials
from firmware.answers import BENCH_MICROPHONE, OWN_MICROPHONE
from firmware.esphome_yaml import dump
from firmware.microphone_source import own_source
from firmware.models import CheckedModel
from firmware.overlay import HOOKED, esphome_components
from wakeword.errors import ArgumentError, ConfigError
from wakeword.files import write_atomically
from wakeword.model.manifest import manifest_text

if TYPE_CHECKING:
    from firmware.toolenv import ToolEnvironment

CONFIGS = Path(__file__).resolve().parent.parent / "esphome_configs"
HOST = "host"
NATIVE, PLATFORMIO = "native", "platformio"
"""What compiles for a board: ESP-IDF's own build, ESPHome's default, or PlatformIO."""
DIGITAL_MICROPHONE = "digital_microphone"
"""Id of the microphone that hears what the bench plays."""
_MODEL_GLOBALS = ("mww_model_bytes", "mww_model_windows", "mww_model_hashes")
LOCK_FILE = "firmware.lock"
"""Made before everything else, so it also says that a folder is ours."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,29}[a-z0-9])?")
"""ESPHome's rule for a device's name: a host name of 31 characters at most."""
_TAKEN = ("components", "models", "secrets")
"""NAME.yaml would be one of the project's other files."""


@dataclass(frozen=True)
class Project:
    """A rendered project. `secrets` are the values that nothing may show, `variables` what ESPHome's environment needs
    besides.
    """

    target: str
    name: str
    folder: Path
    models: tuple[CheckedModel, ...]
    secrets: tuple[str, ...] = field(repr=False)
    variables: Mapping[str, str] = field(default_factory=dict)
    digital: bool = False

    @property
    def private(self) -> Path:
        """Where ESPHome keeps the generated program, its objects and its storage: they hold the secrets."""
        return self.folder / ".esphome"

    @property
    def configuration(self) -> Path:
        """What `esphome` is given."""
        return self.folder / f"{self.name}.yaml"


def targets() -> tuple[str, ...]:
    """Names of all targets."""
    return tuple(sorted(path.stem for path in (CONFIGS / "targets").glob("*.yaml")))


def check_target(target: str) -> None:
    """Raise `ConfigError` when there is no such target."""
    if target not in targets():
        raise ConfigError(f"--target {target}: there is no such target; choose one of {', '.join(targets())}")


def check_toolchain(target: str, toolchain: str) -> None:
    """Raise `ConfigError` for PlatformIO where there is none to choose."""
    if target == HOST and toolchain == PLATFORMIO:
        raise ConfigError(
            f"--toolchain {PLATFORMIO}: the virtual board is compiled by this machine's compiler; leave it out, or give"
            " another --target"
        )


def check_name(name: str) -> None:
    """Raise `ConfigError` when ESPHome would not take this device name."""
    if not _NAME.fullmatch(name):
        raise ArgumentError(
            "name",
            repr(name),
            "a device's name has at most 31 characters of a-z, 0-9 and -, and neither begins nor ends with -; choose"
            " another",
        )
    if name in _TAKEN:
        raise ArgumentError("name", repr(name), f"{name}.yaml is another file of the project; choose another name")


def check_folder(folder: Path) -> None:
    """Raise `ConfigError` for a folder that holds something else: files in it would be overwritten."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file; give a folder for the firmware")
    if folder.is_dir() and not (folder / LOCK_FILE).exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: holds files that are no firmware project; give a new or empty folder")


def collect_secrets(target: str, folder: Path, file: Path | None) -> dict[str, str]:
    """The secrets that a target needs; those of an earlier build in the folder serve again. A key for `host` is made
    when nobody gives one.

    Raises `ConfigError` as `credentials.collect` does.
    """
    earlier = folder / credentials.SECRETS_FILE
    kept = credentials.read(earlier) if earlier.is_file() else {}
    if target == HOST:
        return credentials.collect(("api_key",), file, {"api_key": credentials.new_api_key(), **kept})
    return credentials.collect(tuple(credentials.VARIABLES), file, kept)


def render(
    target: str,
    name: str,
    models: Sequence[CheckedModel],
    secrets: dict[str, str],
    folder: Path,
    environment: ToolEnvironment,
    report: Callable[[str], None] = lambda _: None,
    *,
    toolchain: str = NATIVE,
    digital: bool = False,
) -> Project:
    """Write the project; files that have not changed are not touched, so that a build stays incremental.

    Args:
        target: Name of a file of `esphome_configs/targets`.
        name: Of the device.
        models: Read and checked.
        secrets: Values by their names, of `collect_secrets`.
        folder: Of the project.
        environment: With the ESPHome whose components are copied, for the target `host` and for `digital`.
        report: Takes a line for each stage.
        toolchain: `NATIVE` or `PLATFORMIO`.
        digital: Hear what the bench plays over the network, not the board's own microphone, and tell what that hears
            when asked; the target `host` always does.

    Returns the project, for `Esphome` to build.

    Raises `ConfigError` for a target without its microphone, `OSError` when the folder cannot be written, and for
    `host` what `firmware.virtual.prepare_host` raises.
    """
    copies = [CONFIGS / "targets" / f"{target}.yaml", *sorted((CONFIGS / "packages").glob("*.yaml"))]
    for source in copies:
        _write(folder / source.relative_to(CONFIGS), source.read_bytes())
    for model in models:
        model_id = model.described.model_id
        _write(folder / "models" / f"{model_id}.tflite", model.content)
        _write(
            folder / "models" / f"{model_id}.json",
            manifest_text(model.manifest.model_copy(update={"model": f"{model_id}.tflite"})),
        )
    digital = digital or target == HOST
    _write(folder / "models.yaml", dump(_models_section(target, models, digital)))
    included = {"bench": "packages/bench.yaml", "target": f"targets/{target}.yaml", "models": "models.yaml"}
    variables: Mapping[str, str] = {}
    if target == HOST:
        from firmware.virtual import prepare_host

        support = prepare_host(folder, environment, report)
        section, variables = (
            _host_section(support.components, support.build_flags, support.lib_ignore),
            support.variables,
        )
    elif digital:
        HOOKED.write(esphome_components(environment), folder / "components")
        section = _external(folder / "components")
    if digital:
        _write(folder / "components.yaml", dump(section))
        included |= {"components": "components.yaml", "digital": "packages/digital.yaml"}
    project = Project(target, name, folder, tuple(models), tuple(secrets.values()), variables, digital)
    _write(project.configuration, _main_file(target, name, included, toolchain, digital))
    credentials.write(folder / credentials.SECRETS_FILE, secrets)
    return project


def host_mac_address(name: str) -> str:
    """A locally administered address that belongs to the name: two virtual boards are two devices, and a board keeps
    its address.
    """
    digest = hashlib.sha256(name.encode()).digest()
    return ":".join(f"{byte:02X}" for byte in (0x02, *digest[:5]))


def _write(path: Path, content: str | bytes) -> None:
    data = content.encode() if isinstance(content, str) else content
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)


def _main_file(target: str, name: str, included: dict[str, str], toolchain: str, digital: bool) -> str:
    sample = "bench_microphone::detection_sample()" if digital else "-1"
    microphone = BENCH_MICROPHONE if digital else OWN_MICROPHONE
    substitutions = {"name": name, "target": target, "mac_address": host_mac_address(name)}
    source = own_source(CONFIGS / "targets" / f"{target}.yaml")
    substitutions |= {
        "microphone": microphone,
        "sample": sample,
        "arena": "bench_microphone::arena(id(mww_model_bytes)[index].first)" if digital else "0",
        "delivered": f"id({DIGITAL_MICROPHONE}).tell_delivered({', '.join(f'id({name})' for name in _MODEL_GLOBALS)})"
        if digital
        else "",
        "own_microphone": source.microphone,
        "own_channel": str(source.channel),
        "own_gain": str(source.gain),
    }
    own: dict[str, Any] = {}
    if digital:
        # Of the samples as they are: a target's gain is its microphone's.
        own["micro_wake_word"] = {"microphone": {"microphone": DIGITAL_MICROPHONE, "channels": 0, "gain_factor": 1}}
    if toolchain == PLATFORMIO:  # ESPHome's default is the native one, from 2026.10 on
        own["esp32"] = {"toolchain": PLATFORMIO}
    chosen = f"\n{dump(own)}" if own else ""
    packages = "".join(f"  {key}: !include {path}\n" for key, path in included.items())
    return (
        "# Rendered by mww-firmware; it is written anew with every"
        f" build.\n\n{dump({'substitutions': substitutions})}\npackages:\n{packages}{chosen}"
    )


def _models_section(target: str, models: Sequence[CheckedModel], digital: bool) -> dict[str, Any]:
    entries = [
        {
            "model": f"models/{model.described.model_id}.json",
            "id": model.described.model_id,
            "raw_data_id": model.raw_data_id,
        }
        for model in models
    ]
    lines = [
        f"id(mww_model_bytes).emplace_back(id({model.raw_data_id}), sizeof(id({model.raw_data_id})));"
        for model in models
    ]
    lines += [f"id(mww_model_windows).push_back({model.described.window});" for model in models]
    if target == HOST:
        lines += [
            f"virtual_board::register_model(id({model.raw_data_id}), sizeof(id({model.raw_data_id})));"
            for model in models
        ]
    if digital:
        lines += [f"id({DIGITAL_MICROPHONE}).add_model(id({model.raw_data_id}));" for model in models]
    boot = {"priority": 800, "then": [{"lambda": "\n".join(lines)}]}
    return {"micro_wake_word": {"models": entries}, "esphome": {"on_boot": [boot]}}


def _host_section(components: Path, build_flags: Sequence[str], lib_ignore: Sequence[str]) -> dict[str, Any]:
    section: dict[str, Any] = {"build_flags": list(build_flags)}
    if lib_ignore:
        section["platformio_options"] = {"lib_ignore": list(lib_ignore)}
    return _external(components) | {"esphome": section}


def _external(components: Path) -> dict[str, Any]:
    return {"external_components": [{"source": {"type": "local", "path": str(components)}}]}
