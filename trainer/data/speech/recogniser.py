"""What is heard in a clip: a phoneme recogniser for English that brings its own weights (package `hama`, Apache-2.0,
4.7 MB of them).

It answers with a probability of each sound every 20 ms. Other languages have none here: nobody has measured it on
people who speak them.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.speech.languages import primary
from wakeword import contract
from wakeword.extras import install

LANGUAGE = "en"
PACKAGE = "hama"
FRAME_SAMPLES = 320
"""Samples at 16 kHz between two answers."""
PADDING_SAMPLES = 15 * FRAME_SAMPLES
"""0.3 s of silence before and after a clip: the network does not hear the first sound of a clip that begins with it."""

_PAUSE_LABELS = ("<blank>", "<wb>")
"""Nothing new is heard, a word ends: to us the same."""
_UNLIKELY = np.log(1e-12)

_VOWELS = {
    "i": ("i", "ɪ e ɛ eɪ ju"),
    "ɪ": ("ɪ i", "ə ɛ e eɪ ʌ æ"),
    "ɛ": ("ɛ e", "æ eɪ ɪ aɪ ʌ i ə a"),
    "æ": ("æ a", "ɛ ɑ ʌ aʊ aɪ e ə"),
    "ɑ": ("ɑ a ɒ ɔ", "ʌ æ aʊ o oʊ ə aɪ"),
    "ɔ": ("ɔ o ɑ ɒ", "oʊ u ʌ ɔɪ ə ʊ"),
    "ʌ": ("ʌ ə a", "ɑ ɔ ɛ æ ʊ o"),
    "ʊ": ("ʊ u", "ə o oʊ ʌ ɔ"),
    "u": ("u ʊ ju", "o oʊ ə i ɪ"),
    "ə": ("ə ʌ ɪ ɝ ɐ a o ɛ", "ɔ ɑ oʊ æ i e u ʊ eɪ"),
    "ɝ": ("ɝ ɚ ɜ ə ɹ", "ʌ ɔ o ɛ ʊ oʊ ɑ"),
    "oʊ": ("oʊ o ɔ", "u ʌ ə ʊ aʊ ɑ"),
    "eɪ": ("eɪ e ɛ", "i ɪ æ aɪ"),
    "aɪ": ("aɪ a", "ɑ ɔɪ æ ɛ eɪ ʌ"),
    "aʊ": ("aʊ a", "æ ɑ oʊ o ɔ ʌ"),
    "ɔɪ": ("ɔɪ", "aɪ ɔ o oʊ i"),
}
_CONSONANTS = {
    "p": ("p", "b t k f"),
    "b": ("b", "p d v m g w"),
    "t": ("t d ɾ", "k p θ s t͡ʃ ð"),
    "d": ("d t ɾ", "b g ð d͡ʒ n"),
    "k": ("k", "g t p ɡ x"),
    "g": ("g ɡ", "k d ɣ b"),
    "f": ("f", "v θ p s h"),
    "v": ("v", "f b ð w β"),
    "θ": ("θ", "f t s ð d"),
    "ð": ("ð", "d θ v z l"),
    "s": ("s", "z θ f ʃ"),
    "z": ("z s", "ð v ʒ d͡ʒ"),
    "ʃ": ("ʃ", "s t͡ʃ ʒ"),
    "ʒ": ("ʒ ʃ", "d͡ʒ z s"),
    "t͡ʃ": ("t͡ʃ", "ʃ t d͡ʒ k s"),
    "d͡ʒ": ("d͡ʒ", "t͡ʃ ʒ j d ʃ g z"),
    "m": ("m", "n b ŋ v"),
    "n": ("n", "m ŋ d l"),
    "ŋ": ("ŋ", "n m g k"),
    "l": ("l", "ɹ w o n j"),
    "ɹ": ("ɹ r ɝ", "w l ɾ ɚ"),
    "w": ("w", "v u ɹ l b oʊ"),
    "j": ("j", "i ju d͡ʒ l"),
    "h": ("h", "x f k"),
}
SOUNDS = _VOWELS | _CONSONANTS
"""The sounds of English; for each the labels that it is heard as, and those of sounds near to it."""

_NEAR = np.exp(-1.5)
_ANY = np.exp(-5.0)
"""Weight of a label that is near, and of any other sound: a wrong sound costs something, not everything."""

_OF_IPA = {
    **{sound.replace("͡", ""): (sound,) for sound in SOUNDS},
    "əʊ": ("oʊ",),
    "iə": ("i", "ə"),
    "eə": ("ɛ", "ə"),
    "ʊə": ("ʊ", "ə"),
    "e": ("eɪ",),
    "o": ("oʊ",),
    "a": ("æ",),
    "ɒ": ("ɑ",),
    "ᵻ": ("ɪ",),
    "ɐ": ("ə",),
    "ɜ": ("ɝ",),
    "ɚ": ("ɝ",),
    "ɾ": ("t",),
    "ʔ": ("t",),
    "ɡ": ("g",),
    "r": ("ɹ",),
    "ɫ": ("l",),
    "x": ("k",),
}
_MARKS = re.compile(r"\([a-z-]+\)|[\sˈˌː̩̃͡_|-]")


def recogniser_missing(language: str) -> str | None:
    """Why nothing can be heard in a language (tag of BCP 47) on this machine, in one line; None where it can."""
    if primary(language) != LANGUAGE:
        return f"no phoneme recogniser for {language} is known, only for English"
    if importlib.util.find_spec(PACKAGE) is None:
        return f"the package {PACKAGE} is not installed; {install('voices')}"
    return None


def english_sounds(ipa: str) -> tuple[str, ...]:
    """The sounds of eSpeak's IPA for English text, as keys of `SOUNDS`; a sound that is none of them is left out."""
    text = _MARKS.sub("", ipa)
    found: list[str] = []
    place = 0
    while place < len(text):
        width = 2 if text[place : place + 2] in _OF_IPA else 1
        found += _OF_IPA.get(text[place : place + width], ())
        place += width
    return tuple(found)


def hear(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Natural logarithms of the probabilities of all labels, float32 `[frames, labels]`; the last label is the pause.

    `samples` is 16 kHz mono `[n]`. Frame k stands for the time around sample `k * FRAME_SAMPLES` of the clip with
    `PADDING_SAMPLES` before it. Raises `ModuleNotFoundError` without the package.
    """
    model, order = _model()
    padded = np.pad(samples, PADDING_SAMPLES).astype(np.float32) / 32768
    answer = model.session.run(
        ["log_probs", "out_lengths"], {"waveform": padded[np.newaxis], "waveform_lengths": np.array([len(padded)])}
    )[0][0]
    pause = np.logaddexp.reduce(answer[:, order[len(order) - len(_PAUSE_LABELS) :]], axis=1)
    return np.column_stack((answer[:, order[: len(order) - len(_PAUSE_LABELS)]], pause)).astype(np.float32)


def emissions(log_probabilities: NDArray[np.float32], sounds: tuple[str, ...]) -> NDArray[np.float64]:
    """Log probability of each sound in each frame `[frames, sounds]`, near labels counted in part."""
    weights = _weights()[[list(SOUNDS).index(sound) for sound in sounds]]
    return np.log(np.maximum(np.exp(log_probabilities[:, :-1].astype(np.float64)) @ weights.T, np.exp(_UNLIKELY)))


def greedy_labels(log_probabilities: NDArray[np.float32]) -> str:
    """The likeliest label of each frame as text, repetitions and pauses left out: for a person to read."""
    labels = labels_of_recogniser()
    best = log_probabilities.argmax(axis=1)
    changes = best[np.flatnonzero(np.diff(best, prepend=-1))]
    return " ".join(labels[place] for place in changes if place < len(labels))


@functools.cache
def labels_of_recogniser() -> tuple[str, ...]:
    """The labels of the columns of `hear`, without the pause."""
    return tuple(label for label in _model()[0].decoder_tokens if label not in _PAUSE_LABELS)


@functools.cache
def _model() -> tuple[Any, NDArray[np.intp]]:
    """The recogniser, and the order of its labels with those of a pause at the end."""
    import hama

    model = hama.ASRModel(model_sample_rate=contract.SAMPLE_RATE_HZ)
    labels = model.decoder_tokens
    order = [place for place, label in enumerate(labels) if label not in _PAUSE_LABELS]
    return model, np.array([*order, *(labels.index(label) for label in _PAUSE_LABELS)])


@functools.cache
def _weights() -> NDArray[np.float64]:
    """What each label says for each sound, `[sounds, labels]`."""
    labels = labels_of_recogniser()
    weights = np.full((len(SOUNDS), len(labels)), _ANY)
    for row, (same, near) in enumerate(SOUNDS.values()):
        for label in near.split():
            weights[row, labels.index(label)] = _NEAR
        for label in same.split():
            weights[row, labels.index(label)] = 1.0
    return weights
