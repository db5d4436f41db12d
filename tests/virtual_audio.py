"""Air without a sound card: a PulseAudio daemon of the tests' own, whose null sink is loudspeaker, air and microphone
in one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.programs import install

SPEAKER, MICROPHONE = "air_speaker", "air_microphone"
"""Names of the devices, as sounddevice shows them."""
RATE_HZ = 16_000
START_SECONDS = 20.0
PRIORITY = "20"
PROGRAMS = ("pulseaudio", "pactl", "parec")


def missing() -> str | None:
    """Why there can be no virtual audio here; None where there can."""
    from ctypes.util import find_library

    absent, packages = [program for program in PROGRAMS if shutil.which(program) is None], []
    if absent:
        packages += ["pulseaudio", "pulseaudio-utils"]
    if find_library("portaudio") is None:
        absent.append("PortAudio")
        packages.append("libportaudio2")
    if not any(Path("/usr/lib").glob("**/alsa-lib/libasound_module_pcm_pulse.so")):
        absent.append("ALSA's way to PulseAudio")
        packages.append("libasound2-plugins")
    return f"needs {', '.join(absent)} {install(*packages)}" if absent else None


@dataclass
class VirtualAudio:
    """A running daemon; `variables` are what a program needs to find its devices."""

    folder: Path
    variables: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def control(self, *arguments: str) -> str:
        """Ask the daemon by `pactl`."""
        environment = os.environ | self.variables
        return subprocess.run(
            ["pactl", *arguments], env=environment, capture_output=True, text=True, check=True, timeout=10
        ).stdout


@contextlib.contextmanager
def virtual_audio(speaker: str = SPEAKER, microphone: str = MICROPHONE) -> Iterator[VirtualAudio]:
    """A daemon with the two devices, of these names, until the block ends. Its monitor is kept open: a source that
    nobody hears starts late.
    """
    # Unix sockets have short names.
    folder = Path(tempfile.mkdtemp(prefix="mww-air-"))
    audio = VirtualAudio(folder, _variables(folder))
    try:
        (folder / "pulse.pa").write_text(
            f".fail\nload-module module-native-protocol-unix auth-anonymous=1 socket={folder}/native\nload-module"
            f" module-null-sink sink_name=bus rate={RATE_HZ} channels=1 format=s16le\nload-module module-remap-source"
            " source_name=mic master=bus.monitor\nset-default-sink bus\nset-default-source mic\n"
        )
        (folder / "asound.conf").write_text(
            "</usr/share/alsa/alsa.conf>\n"
            f"pcm.'{speaker}' {{ type pulse device bus hint {{ show on description 'virtual loudspeaker' }} }}\n"
            f"pcm.'{microphone}' {{ type pulse device mic hint {{ show on description 'virtual microphone' }} }}\n"
        )
        daemon = [
            "pulseaudio",
            "-n",
            "-F",
            str(folder / "pulse.pa"),
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--realtime=no",
        ]
        _launch(audio, [*daemon, f"--log-target=file:{folder}/pulse.log"])
        _await_daemon(audio)
        # Under load the daemon would be late, and drop sound; not everybody may ask for this.
        if shutil.which("chrt"):
            subprocess.run(
                ["chrt", "-a", "-r", "-p", PRIORITY, str(audio.processes[0].pid)], capture_output=True, check=False
            )
        keep_open = [
            "parec",
            "-d",
            "bus.monitor",
            f"--rate={RATE_HZ}",
            "--channels=1",
            "--format=s16le",
            "--latency-msec=20",
            "/dev/null",
        ]
        _launch(audio, keep_open)
        _await_listener(audio)
        yield audio
    finally:
        for process in reversed(audio.processes):
            process.terminate()
            process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _variables(folder: Path) -> dict[str, str]:
    return {
        "PULSE_RUNTIME_PATH": str(folder),
        "PULSE_STATE_PATH": str(folder / "state"),
        "PULSE_COOKIE": str(folder / "cookie"),
        "PULSE_SERVER": f"unix:{folder}/native",
        "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
    }


def _launch(audio: VirtualAudio, command: list[str]) -> None:
    with (audio.folder / "programs.log").open("ab") as log:
        audio.processes.append(
            subprocess.Popen(
                command, env=os.environ | audio.variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        )


def _await(audio: VirtualAudio, what: str, *question: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(subprocess.CalledProcessError):
            if audio.control(*question).strip():
                return
        time.sleep(0.02)
    raise TimeoutError(f"{what} within {START_SECONDS:g} s: {(audio.folder / 'programs.log').read_text()}")


def _await_daemon(audio: VirtualAudio) -> None:
    _await(audio, "PulseAudio did not start", "info")


def _await_listener(audio: VirtualAudio) -> None:
    _await(audio, "nobody keeps the monitor open", "list", "short", "source-outputs")
