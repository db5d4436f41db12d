"""Pico as a program: `python pico_program.py` reads a request a line and speaks each into a wav file. It needs nothing
of the trainer.

Pico reads memory that it never wrote. After much other work in the same process the same text sounds a little different
each time, and now and then the process crashes. So each clip has a process of its own, forked from this one, whose C
library fills with zeros what it hands out.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import wave
from typing import TextIO, TypedDict

SAMPLE_RATE_HZ = 16_000
_M_PERTURB, _ZEROS = -6, 255
"""mallopt(3), M_PERTURB: memory is filled with the complement of the value."""
_LONGEST_S = 60
"""A clip takes 50 ms; a process that takes so long hangs, and is ended."""


class PicoRequest(TypedDict):
    """A clip to speak, as a line of JSON. `rate` and `pitch` are factors, `path` is the 16 kHz mono 16-bit wav file to
    write.
    """

    voice: str
    rate: float
    pitch: float
    text: str
    path: str


def main() -> None:
    """Answer each line of standard input with a line: empty when the file is written, else what went wrong. Ends with
    its input.
    """
    import py_nanotts  # noqa: F401  once, for all forks

    ctypes.CDLL(None).mallopt(_M_PERTURB, _ZEROS)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the library prints is no answer
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _speak(json.loads(line), answers)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            print(f"exit code {code}", file=answers, flush=True)


def _speak(request: PicoRequest, answers: TextIO) -> None:
    """Speak, answer and end this process."""
    from py_nanotts import NanoTTS

    signal.alarm(_LONGEST_S)
    try:
        spoken = NanoTTS().speak(request["text"], voice=request["voice"], speed=request["rate"], pitch=request["pitch"])
        with wave.open(request["path"], "wb") as writer:
            writer.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
            writer.writeframes(spoken)
    except Exception as error:  # whatever it is, it belongs into the answer
        print(" ".join(f"{type(error).__name__}: {error}".split()), file=answers, flush=True)
    else:
        print(file=answers, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
