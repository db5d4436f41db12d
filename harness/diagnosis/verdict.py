"""From facts to findings: which of them keep a board from waking, in plain words. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from firmware.boards.entry import HOST_TARGET
from harness.diagnosis.facts import Facts, ProbeResult
from harness.diagnosis.finding import Finding
from harness.diagnosis.microphone import microphone_findings
from wakeword.contract import PROBABILITY_MAX

SMALLEST_HEAP = 20_000
"""Bytes. A connection of the native API takes about 10,000."""
LONGEST_LOOP_MS = 1000.0
SETTLED_MS = 60_000
"""A board that has just started tells how long its start took."""
LOOP_SENSOR, HEAP_SENSOR, HEAP_LOW_SENSOR = "Loop time", "Heap free", "Heap low-water mark"


def findings(facts: Facts) -> tuple[Finding, ...]:
    """All that was looked at, in the order of the way of the sound: model, microphone, decision, machine."""
    return (
        *_model(facts),
        *microphone_findings(facts),
        *_probes(facts),
        *_machine(facts),
        *(Finding("left out", about, "not looked at", how) for about, how in facts.not_looked_at.items()),
    )


def verdict(found: Iterable[Finding]) -> str:
    """One line: the faults, or that there is none."""
    found = list(found)
    faults = [one.found for one in found if one.status == "fault"]
    if faults:
        return "; ".join(faults)
    left = [one.about for one in found if one.status == "not looked at"]
    return f"no fault was found{f', but not all was looked at: {", ".join(left)}' if left else ''}"


# --- model and operating point


def _model(facts: Facts) -> Iterator[Finding]:
    models = facts.identity.models
    own = next((model for model in models if model.sha256 == facts.model_sha256), None)
    if own is None:
        held = ", ".join(f"{model.wake_word!r} ({model.sha256[:12]})" for model in models) or "none at all"
        yield Finding(
            "model",
            "Model",
            "fault",
            f"another model is on the board: {held}, not {facts.wake_word!r} ({facts.model_sha256[:12]})",
            "build the firmware with this model and flash it, or give the manifest of the one that it runs",
        )
        return
    yield Finding("model", "Model", "good", f"{own.wake_word!r}, {own.bytes:,} bytes, sha256 {own.sha256[:12]}")
    if own.enabled is False:
        yield Finding(
            "disabled",
            "Detection",
            "fault",
            "detection is disabled for this model",
            "enable it, in Home Assistant by the board's choice of wake words, or start the board again",
        )
    elif own.enabled:
        yield Finding("disabled", "Detection", "good", "enabled for this model")
    yield _operating_point(facts, own.cutoff, own.window)
    # What a program needs is more than a board: its pointers are longer.
    if own.arena is not None and facts.identity.target != HOST_TARGET:
        yield _arena(facts, own.arena)


def _operating_point(facts: Facts, cutoff: int, window: int | None) -> Finding:
    text = f"cutoff {cutoff}/{PROBABILITY_MAX}" + (f", window {window}" if window is not None else "")
    if facts.cutoff_warning and cutoff == facts.cutoff:
        return Finding("cutoff", "Operating point", "fault", facts.cutoff_warning.rstrip("."), "give another cutoff")
    if cutoff != facts.cutoff or window not in (None, facts.window):
        return Finding(
            "cutoff",
            "Operating point",
            "fault",
            f"the board runs at {text}, the manifest says cutoff {facts.cutoff}/{PROBABILITY_MAX},"
            f" window {facts.window}",
            "build the firmware with this manifest, or set the cutoff anew",
        )
    return Finding("cutoff", "Operating point", "good", f"{text}, as in the manifest")


def _arena(facts: Facts, needed: int) -> Finding:
    said = f"{needed:,} bytes needed on this board, {facts.manifest_arena:,} in the manifest"
    if needed > facts.manifest_arena:
        return Finding(
            "arena",
            "Tensor arena",
            "note",
            f"{said}: ESPHome releases that do not try a larger one cannot load the model",
            f"write tensor_arena_size {-(-needed // 256) * 256} into the manifest",
        )
    return Finding("arena", "Tensor arena", "good", said)


# --- probes


def _probes(facts: Facts) -> Iterator[Finding]:
    if facts.digital is not None:
        yield _digital(facts.digital)
    if facts.acoustic is None:
        return
    probe = facts.acoustic
    if probe.detected:
        again = probe.tries > 1
        yield Finding(
            "acoustic",
            _acoustic_about(facts),
            "note" if again else "good",
            f"detected{f', 1 of {probe.tries} times' if again else ''}{_peaks(probe)}",
        )
        return
    ear, simulated = facts.ear, facts.ear_simulated
    if ear is not None and ear.unsound:
        yield Finding("acoustic", _acoustic_about(facts), "not looked at", f"{ear.unsound}: mend that first")
        return
    if ear is not None and not ear.played:
        if ear.speech.level_dbfs is not None:
            yield _voice(probe, bool(simulated))
        return
    yield _undetected(probe, simulated)


def _undetected(probe: ProbeResult, simulated: int | None) -> Finding:
    """A probe that the board did not detect in any try. The board is blamed where the simulation detects what the same
    microphone heard, and not by chance: what is heard one time in three a healthy board misses three times in a row
    three times in ten.
    """
    tries = f" in {probe.tries} tries" if probe.tries > 1 else ""
    sound = "see level, noise and spectrum"
    if simulated is None:
        why, remedy = "", "see model and detection"
    elif simulated == 0:
        why = ": the simulation does not detect it in what the microphone heard either"
        remedy = f"what the microphone heard is another sound; {sound}"
    else:
        times = f", {simulated} of {probe.tries} times" if probe.tries > 1 else ""
        why = f": the simulation detects it in what the microphone heard{times}"
        chance = simulated == 1 < probe.tries
        remedy = f"what the microphone heard is hardly the word; {sound}" if chance else "see model and detection"
    return Finding(
        "acoustic", "Probe through the air", "fault", f"the probe was not detected through the air{tries}{why}", remedy
    )


def _acoustic_about(facts: Facts) -> str:
    return "Probe through the air" if facts.ear is None or facts.ear.played else "Voice"


def _voice(probe: ProbeResult, simulated: bool) -> Finding:
    """A voice that the board did not detect."""
    if simulated:
        return Finding(
            "acoustic",
            "Voice",
            "fault",
            "the board did not detect what was said, and the simulation of what its microphone heard does"
            f"{_peaks(probe)}",
            "see model and detection",
        )
    return Finding(
        "acoustic",
        "Voice",
        "note",
        f"neither the board nor the simulation of what its microphone heard detects what was said{_peaks(probe)}",
        "see level and spectrum; if they are good, the model does not know this voice or this room",
    )


def _digital(probe: ProbeResult) -> Finding:
    about = "Probe as samples"
    if probe.trouble:
        if probe.too_slow:
            return Finding(
                "digital",
                about,
                "fault",
                f"the probe was not heard to its end: {probe.trouble}",
                "detection is too slow for the board: fewer or smaller models; see loop time",
            )
        return Finding(
            "digital",
            about,
            "not looked at",
            f"the probe was not heard to its end: {probe.trouble}",
            "again, nearer to the access point",
        )
    if not probe.detected:
        return Finding(
            "digital",
            about,
            "fault",
            f"the board does not detect a recording that the simulation detects{_peaks(probe)}",
            "see model, detection and operating point; else its kernels compute another model: mww-bench measure"
            " --source digital tells how far",
        )
    return Finding("digital", about, "good", f"detected{_peaks(probe)}")


def _peaks(probe: ProbeResult) -> str:
    if probe.peak is None:
        return ""
    return f" (highest probability {probe.peak}/{PROBABILITY_MAX}, {probe.simulated_peak} in the simulation)"


# --- machine


def _machine(facts: Facts) -> Iterator[Finding]:
    loop = facts.sensors.get(LOOP_SENSOR)
    if loop is not None and facts.uptime_ms is not None and facts.uptime_ms > SETTLED_MS:
        slow = loop > LONGEST_LOOP_MS
        yield Finding(
            "loop",
            "Loop time",
            "fault" if slow else "good",
            f"the main loop stands still for {loop:.0f} ms: detections are told late" if slow else f"{loop:.0f} ms",
            "another component blocks; ESPHome's log names it" if slow else "",
        )
    heap = facts.sensors.get(HEAP_LOW_SENSOR, facts.sensors.get(HEAP_SENSOR))
    if heap is not None and math.isfinite(heap):
        scarce = heap < SMALLEST_HEAP
        yield Finding(
            "heap",
            "Heap",
            "fault" if scarce else "good",
            f"memory is nearly used up: {heap:,.0f} bytes" if scarce else f"{heap:,.0f} bytes free at its lowest",
            "fewer models, a smaller arena, or PSRAM" if scarce else "",
        )
    if facts.faults_logged:
        yield Finding("log", "Log", "fault", f"the board says: {'; '.join(facts.faults_logged)}", "look at its log")
