"""Models and a target -> a firmware. The folder says that it is built only when it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from firmware import project as projects
from firmware.artefacts import Artefacts, Way, find_artefacts
from firmware.components_used import components_used
from firmware.credentials import api_key
from firmware.esphome import Esphome, Progress
from firmware.models import FirmwareModel, check_models
from firmware.toolenv import tool_environment
from wakeword.errors import ConfigError
from wakeword.files import write_atomically
from wakeword.locks import hold

__all__ = ["Firmware", "FirmwareModel", "api_key", "build", "default_name", "read_firmware"]

RECORD_FILE = "firmware.json"
"""Written last and removed first."""
RECORD_FORMAT = 1


@dataclass(frozen=True)
class Firmware:
    """A firmware in its folder. `program` is the host's executable or the image for OTA, None if only generated. Sizes
    in bytes where known.
    """

    target: str
    name: str
    folder: Path
    program: Path | None
    models: tuple[FirmwareModel, ...]
    esphome_version: str
    ota_image: Path | None = None
    factory_image: Path | None = None
    elf: Path | None = None
    digital: bool = False
    """It hears what the bench plays over the network, and not its own microphone."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the ESP-IDF and its components that compute what a model says; empty for the virtual board."""
    flash_bytes: int | None = None
    ram_bytes: int | None = None

    @property
    def source(self) -> Path:
        """The C++ that ESPHome generated from the configuration."""
        return self.build_folder / "src" / "main.cpp"

    @property
    def build_folder(self) -> Path:
        """Where ESPHome builds."""
        return _build_folder(self.folder, self.name)


def default_name(target: str) -> str:
    """The device's name when none is chosen."""
    return f"mww-{target}"


def build(
    target: str,
    manifests: Sequence[Path],
    folder: Path,
    *,
    name: str | None = None,
    generate_only: bool = False,
    toolchain: str = projects.NATIVE,
    digital: bool = False,
    secrets_file: Path | None = None,
    report: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda _, __: None,
) -> Firmware:
    """Build the firmware of a target with these models in `folder`, or only generate its C++. Building again in the
    same folder compiles what changed.

    Args:
        target: Name of a file of `esphome_configs/targets`.
        manifests: Of the models.
        folder: Of the project; new, empty, or of an earlier build.
        name: Of the device; None: `default_name`.
        generate_only: Compile nothing.
        toolchain: `projects.NATIVE`, or `projects.PLATFORMIO` for a board.
        digital: Hear what the bench plays over the network instead of the board's own microphone.
        secrets_file: Secrets that the environment does not give; None: `secrets.yaml` of the working folder, if any.
        report: Takes a line for each stage.
        progress: Takes the compiler's steps: done, all.

    Returns the files that were made, with sizes in bytes.

    Raises `ConfigError` for what the user can mend (before any work, but for what only ESPHome knows), and
    `InfrastructureError` when a tool, the network or the machine fails, or another process builds in the folder.
    """
    name = default_name(target) if name is None else name
    folder = folder.absolute()
    projects.check_target(target)
    projects.check_toolchain(target, toolchain)
    projects.check_name(name)
    projects.check_folder(folder)
    models = check_models(manifests)
    secrets = projects.collect_secrets(target, folder, secrets_file)
    environment = tool_environment(report=report)

    with hold(folder / projects.LOCK_FILE, f"{folder}:", "give another --output"):
        (folder / RECORD_FILE).unlink(missing_ok=True)
        report(
            f"rendering {target} with {', '.join(repr(model.described.wake_word) for model in models)} into {folder}"
        )
        project = projects.render(
            target, name, models, secrets, folder, environment, report, toolchain=toolchain, digital=digital
        )
        # The generated code and the program hold the secrets too.
        project.private.mkdir(mode=0o700, exist_ok=True)
        project.private.chmod(0o700)
        with Esphome(project, environment, progress) as esphome:
            report("validating the configuration")
            esphome.validate()
            report("generating the program" if generate_only else "generating and compiling the program")
            if generate_only:
                esphome.generate()
                artefacts = None
            else:
                esphome.compile()
                artefacts = find_artefacts(_build_folder(folder, name), name, _way(target, toolchain), esphome.sizes)
        firmware = _firmware(project, environment.version, artefacts)
        write_atomically(folder / RECORD_FILE, json.dumps(_record(firmware), indent=2, ensure_ascii=False) + "\n")
        return firmware


def read_firmware(folder: Path) -> Firmware:
    """The firmware that was built in `folder`. Raises `ConfigError` when there is none, or its files are gone."""
    folder = folder.absolute()
    try:
        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        # Earlier programs for this machine heard by a way of their own.
        if record["format"] != RECORD_FORMAT or (record["target"] == projects.HOST and not record.get("digital")):
            raise ConfigError(f"{folder / RECORD_FILE}: is of another version of this program; build again")
        models = tuple(
            FirmwareModel(**{**model, "manifest_path": Path(model["manifest_path"])}) for model in record["models"]
        )
        files: dict[str, Any] = {
            key: None if record[key] is None else folder / record[key]
            for key in ("program", "ota_image", "factory_image", "elf")
        }
        known: dict[str, Any] = {
            key: record[key] for key in ("target", "name", "esphome_version", "flash_bytes", "ram_bytes")
        }
        known |= {key: record[key] for key in ("digital", "versions") if key in record}
    except OSError as error:
        raise ConfigError(f"{folder}: holds no finished firmware; build it with mww-firmware build") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder / RECORD_FILE}: is damaged; build again") from error
    for path in files.values():
        if path is not None and not path.is_file():
            raise ConfigError(f"{path}: is gone since the firmware was built; build again")
    return Firmware(folder=folder, models=models, **files, **known)


def _firmware(project: projects.Project, version: str, artefacts: Artefacts | None) -> Firmware:
    described = tuple(model.described for model in project.models)
    made: dict[str, Any] = (
        {"program": None}
        if artefacts is None
        else {name: getattr(artefacts, name) for name in artefacts.__dataclass_fields__}
    )
    versions = components_used(
        _build_folder(project.folder, project.name), project.private / "storage" / f"{project.name}.yaml.json"
    )
    made |= {"digital": project.digital, "versions": versions}
    return Firmware(project.target, project.name, project.folder, models=described, esphome_version=version, **made)


def _record(firmware: Firmware) -> dict[str, Any]:
    """As JSON, with the files relative to the folder, so that it may be moved."""
    record = {key: value for key, value in asdict(firmware).items() if key != "folder"}
    for key, value in record.items():
        if isinstance(value, Path):
            record[key] = str(value.relative_to(firmware.folder))
    for model in record["models"]:
        model["manifest_path"] = str(model["manifest_path"])
    return {"format": RECORD_FORMAT, **record}


def _way(target: str, toolchain: str) -> Way:
    return "host" if target == projects.HOST else "platformio" if toolchain == projects.PLATFORMIO else "native"


def _build_folder(folder: Path, name: str) -> Path:
    return folder / ".esphome" / "build" / name
