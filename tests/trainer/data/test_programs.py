"""Engines that are programs kept running: small stand-ins of our own behind the real protocol."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from trainer.data.speech import programs
from trainer.data.speech.programs import SpeakingProgram
from wakeword.errors import InfrastructureError

BEEP = """
import json, os, signal, sys, wave
for line in sys.stdin:
    request = json.loads(line)
    text = request["text"]
    if text == "die":
        print("no space", "left", file=sys.stderr, flush=True)
        os._exit(7)
    if text == "hang":
        child = os.fork()
        if not child:
            signal.pause()
        os.waitpid(child, 0)
    if text == "refuse":
        print("no such voice", flush=True)
        continue
    with wave.open(request["path"], "wb") as writer:
        writer.setparams((2 if text == "stereo" else 1, 2, 16000, 0, "NONE", ""))
        writer.writeframes(os.getpid().to_bytes(4, "little") * 2)
    print(flush=True)
"""


@pytest.fixture
def program() -> Iterator[SpeakingProgram]:
    speaker = SpeakingProgram([sys.executable, "-c", BEEP], "beep")
    yield speaker
    speaker.close()


def test_one_process_speaks_all_clips(program: SpeakingProgram) -> None:
    first, second = program.speak({"text": "a"}), program.speak({"text": "b"})
    assert first.samples.tobytes() == second.samples.tobytes(), "the stand-in says its process id"
    assert first.sample_rate == 16_000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("refuse", "beep failed (no such voice)"),
        ("die", "beep failed (exit code 7: no space left)"),
        ("stereo", "beep did not write 16-bit mono"),
    ],
)
def test_a_clip_that_fails_is_one_line_and_the_next_one_is_spoken(
    program: SpeakingProgram, text: str, says: str
) -> None:
    program.speak({"text": "a"})
    with pytest.raises(InfrastructureError) as raised:
        program.speak({"text": text})
    assert str(raised.value).startswith(says)
    assert len(program.speak({"text": "b"}).samples) == 4


def test_a_program_that_hangs_is_ended(program: SpeakingProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own processes too: they hold the pipe on which the answer would come."""
    program.speak({"text": "a"})
    with monkeypatch.context() as patch, pytest.raises(InfrastructureError, match=r"beep failed \(no answer in 1 s\)"):
        patch.setattr(programs, "_TIMEOUT_S", 1.0)
        program.speak({"text": "hang"})
    assert len(program.speak({"text": "b"}).samples) == 4
