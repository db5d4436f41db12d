"""Pico as a program: `python pico_program.py VOICE RATE PITCH TEXT FILE.wav`. It needs nothing of the trainer.

Pico reads memory that it never wrote. After much other work in the same process the same text sounds a little different each time, and now
and then the process crashes. So each clip has a fresh process, whose C library fills with zeros what it hands out.
"""

from __future__ import annotations

import ctypes
import sys
import wave

SAMPLE_RATE_HZ = 16_000
_M_PERTURB, _ZEROS = -6, 255
"""mallopt(3), M_PERTURB: memory is filled with the complement of the value."""


def main(voice: str, rate: str, pitch: str, text: str, path: str) -> None:
    """Speak `text` into a 16 kHz mono 16-bit wav file. `rate` and `pitch` are factors."""
    from py_nanotts import NanoTTS

    ctypes.CDLL(None).mallopt(_M_PERTURB, _ZEROS)
    spoken = NanoTTS().speak(text, voice=voice, speed=float(rate), pitch=float(pitch))
    with wave.open(path, "wb") as writer:
        writer.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        writer.writeframes(spoken)


if __name__ == "__main__":
    main(*sys.argv[1:])
