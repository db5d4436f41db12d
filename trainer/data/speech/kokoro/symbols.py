"""From text to the numbers that Kokoro reads: the IPA of eSpeak-NG, with the text's punctuation in its place."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trainer.data.speech.espeak import phonemise

# The model's own table (config.json of Kokoro-82M, Apache-2.0): runs of signs with the number of the first. Signs that
# it lacks are left out.
_RUNS = (
    (1, ";:,.!?"), (9, "—…\"()“” \u0303ʣʥʦʨᵝ\uab67AI"), (31, "O"), (33, "Q"), (35, "ST"), (39, "W"), (41, "Yᵊabcdef"),
    (50, "hijklmnopqrstuvwxyz\u0251ɐɒæ"), (75, "βɔɕç"), (80, "ɖðʤə"), (85, "ɚɛɜ"), (90, "ɟ"), (92, "\u0261"), (99, "ɥ"),
    (101, "ɨɪʝ"), (110, "ɯɰŋɳɲɴø"), (118, "ɸθœ"), (123, "ɹ"), (125, "ɾɻ"), (128, "ʁɽʂʃʈʧ"), (135, "ʊʋ"), (138, "ʌɣɤ"),
    (142, "χʎ"), (147, "ʒʔ"), (156, "ˈˌː"), (162, "ʰ"), (164, "ʲ"), (169, "↓"), (171, "→↗↘"), (177, "ᵻ"),
)  # fmt: skip
NUMBERS = {sign: first + place for first, run in _RUNS for place, sign in enumerate(run)}
MOST_SYMBOLS = 510

READERS = {"en-US": "en-us", "en-GB": "en", "es": "es", "fr": "fr", "hi": "hi", "it": "it", "pt-BR": "pt-br"}
"""By tag, the voice of eSpeak-NG that reads for Kokoro: the languages that it was trained on with eSpeak-NG's phonemes,
and English."""

_LANGUAGE_SWITCH = re.compile(r"\([a-z-]+\)")
_MARKS = re.compile(r"(\s*[;:,.!?—…\"()“”]+\s*)")


def ipa(texts: Sequence[str], accent: str) -> list[str]:
    """Each text in IPA with its punctuation, which eSpeak-NG drops and Kokoro hears; `accent` is a voice of
    eSpeak-NG."""
    split = [_MARKS.split(text) for text in texts]
    words = iter(phonemise([part for parts in split for part in parts[::2]], (accent,)))
    for parts in split:
        parts[::2] = [_LANGUAGE_SWITCH.sub("", next(words)[0]) for _ in parts[::2]]
    return ["".join(parts).strip() for parts in split]


def symbols(text: str, accent: str) -> list[int]:
    """The numbers of a text, without those that stand for its start and end."""
    return [NUMBERS[sign] for sign in ipa([text], accent)[0] if sign in NUMBERS]
