"""What is handed out of a result: the model, its manifest at a cutoff, the lines for ESPHome, card and badge."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from harness.results.card import badge, card_text, make_card
from studio.measured.found import MeasuredModel
from studio.measured.sweep import checked_cutoff
from studio.workspace import Workspace
from trainer.export.package import esphome_lines
from wakeword.contract import cutoff_to_uint8
from wakeword.errors import ConfigError
from wakeword.model.manifest import Manifest, manifest_text, read_manifest
from wakeword.scoring.operating_point import cutoff_as_probability

KINDS = ("model", "manifest", "yaml", "card", "badge", "all")


@dataclass(frozen=True)
class Handed:
    """A file for the user."""

    name: str
    content: bytes
    kind: str
    """Its media type."""


def model_of(workspace: Workspace, measured: MeasuredModel) -> tuple[Path, Manifest, Path]:
    """The manifest and the model that were measured. Raises `ConfigError` where they are gone, changed, or not in the
    workspace.
    """
    record = measured.result.model
    path = Path(record.manifest_path)
    name = workspace.relative(path)
    root = workspace.root.resolve()
    if not path.resolve().is_relative_to(root):
        raise ConfigError(
            f"{path.name}: lies outside of the workspace; copy it with its model into models/, and measure it"
        )
    manifest, model = read_manifest(path)
    if not model.resolve().is_relative_to(root):
        raise ConfigError(f"{name}: names a model outside of the workspace; put it beside the manifest")
    if hashlib.sha256(model.read_bytes()).hexdigest() != record.tflite_sha256:
        raise ConfigError(f"{name}: the model is another one than was measured; measure it again")
    return path, manifest, model


def handed_out(workspace: Workspace, measured: MeasuredModel, kind: str, cutoff_text: str) -> Handed:
    """A file of a result, the manifest at the cutoff (uint8, as text) that the page shows. With a manifest at another
    cutoff than was measured go neither card nor badge. Raises `ConfigError` for another kind, for a manifest whose
    cutoff cannot be changed, and as `model_of` does.
    """
    if kind not in KINDS:
        raise ConfigError(f"{kind}: give {', '.join(KINDS)}")
    cutoff = checked_cutoff(cutoff_text, measured.result.model.cutoff_uint8)
    stem = Path(measured.result.model.manifest_path).stem
    if kind == "card":
        return Handed(f"{stem}.card.json", card_text(make_card(measured.result)).encode(), "application/json")
    if kind == "badge":
        return Handed(f"{stem}.card.svg", badge(make_card(measured.result)).encode(), "image/svg+xml")
    if kind == "yaml":
        return Handed(f"{stem}.esphome.yaml", esphome_lines(f"{stem}.json").encode(), "text/plain")
    path, manifest, model = model_of(workspace, measured)
    if kind == "model":
        return Handed(model.name, model.read_bytes(), "application/octet-stream")
    text = _manifest_at(path, manifest, cutoff, measured)
    if kind == "manifest":
        return Handed(path.name, text.encode(), "application/json")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(path.name, text)
        archive.writestr(model.name, model.read_bytes())
        told = ("card", "badge") if cutoff == measured.result.model.cutoff_uint8 else ()
        for other in ("yaml", *told):
            one = handed_out(workspace, measured, other, cutoff_text)
            archive.writestr(one.name, one.content)
    return Handed(f"{stem}.zip", content.getvalue(), "application/zip")


def _manifest_at(path: Path, manifest: Manifest, cutoff: int, measured: MeasuredModel) -> str:
    """The manifest as it is, or with another cutoff or window than it has. Raises `ConfigError` for one of version 1,
    which would have to become another file.
    """
    window = measured.result.model.window
    if cutoff_to_uint8(manifest.micro.probability_cutoff) == cutoff and manifest.micro.sliding_window_size == window:
        return path.read_text(encoding="utf-8")
    if manifest.version != 2:
        raise ConfigError(
            f"{path.name}: is a manifest of version 1, whose cutoff is not changed here; set probability_cutoff in the"
            f" device's YAML to {cutoff_as_probability(cutoff):g}"
        )
    micro = manifest.micro.model_copy(
        update={"probability_cutoff": cutoff_as_probability(cutoff), "sliding_window_size": window}
    )
    return manifest_text(manifest.model_copy(update={"micro": micro}))
