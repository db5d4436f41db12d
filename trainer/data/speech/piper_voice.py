"""A voice of Piper: its model (VITS), run by onnxruntime in this process.

Texts become sounds by eSpeak-NG and sounds become numbers by the voice's own table, in the order that Piper gives them:
start, pad, each sound and a pad, end. The model draws noise for the timbre and for the length of sounds. Its two
generators cannot be seeded, so each is replaced by an input of the model: then the same seed gives the same speech.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.speech import espeak
from trainer.data.speech.engine import Speech
from trainer.data.speech.languages import canonical, is_tag
from wakeword.audio import to_int16
from wakeword.errors import ConfigError, InfrastructureError

_LANGUAGE_SWITCH = re.compile(r"\([^)]+\)")
_LETTERS = ("Ll", "Lu", "Lo")
"""Unicode's categories of signs that are sounds; marks of stress and length are others."""
_MARKS = ".,:;!?"
_WITHIN_SENTENCE = ",:;"
_START, _END, _PAD = "^", "$", "_"
_MOST_VOICES = 8
"""Voices that a process keeps loaded; a voice takes about 150 MB."""
_NOISE = ("RandomNormalLike",)
_CHANNELS, _MOST_FRAMES_A_SOUND = 192, 30
"""The size of the larger noise: a frame is 12 ms, and no sound or pad lasts longer than 30."""


def settings_of(model: Path) -> dict[str, Any]:
    """The description of a voice, from the .json file beside its model. Raises `ConfigError` where it is missing,
    broken or of another kind.
    """
    path = Path(f"{model}.json")
    try:
        loaded = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: the description of the piper voice cannot be read ({error}); download it beside the .onnx file"
        ) from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path}: the description of the piper voice is not a JSON object; download it again")
    reader, table, accent, rate = (
        loaded.get("phoneme_type", "espeak"),
        loaded.get("phoneme_id_map"),
        _within(loaded, "espeak", "voice"),
        _within(loaded, "audio", "sample_rate"),
    )
    if reader != "espeak":
        raise ConfigError(
            f"{path}: this voice's sounds are of the kind {reader!r}, and only those of eSpeak-NG are read here; choose"
            " another voice"
        )
    if not (
        isinstance(table, dict)
        and {_START, _END, _PAD} <= set(table)
        and isinstance(accent, str)
        and isinstance(rate, int)
        and rate > 0
    ):
        raise ConfigError(
            f"{path}: the description of the piper voice lacks its sounds, its eSpeak voice or its sample rate;"
            " download it again"
        )
    return loaded


def language_of(settings: Mapping[str, Any]) -> str:
    """The tag of BCP 47 of a voice's language; "" where its description does not say one."""
    said = _within(settings, "language", "code") or settings["espeak"]["voice"]
    return canonical(said) if isinstance(said, str) and is_tag(said) else ""


def missing_sounds(settings: Mapping[str, Any], texts: Sequence[str]) -> dict[str, list[str]]:
    """By text, the sounds that a voice has no number for: it would leave them out."""
    found: dict[str, list[str]] = {}
    for text, sentences in zip(texts, _sentences(texts, settings["espeak"]["voice"]), strict=True):
        signs = dict.fromkeys(sign for sentence in sentences for sign in sentence)
        if missing := [
            sign for sign in signs if unicodedata.category(sign) in _LETTERS and sign not in settings["phoneme_id_map"]
        ]:
            found[text] = missing
    return found


def speak(model: Path, speaker: int, text: str, rate: float, seed: int) -> Speech:
    """Speak `text`; the seed draws timbre and rhythm. Raises `InfrastructureError` when the model fails."""
    settings = settings_of(model)
    own = {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8} | settings.get("inference", {})
    scales = np.array([own["noise_scale"], own["length_scale"] / rate, own["noise_w"]], np.float32)
    session, generator, parts = _loaded(model), np.random.default_rng(seed), []
    for sentence in _sentences([text], settings["espeak"]["voice"])[0]:
        numbers = _numbers(sentence, settings["phoneme_id_map"])
        inputs: dict[str, NDArray[Any]] = {
            "input": numbers[None],
            "input_lengths": np.array([len(numbers)]),
            "scales": scales,
            "sid": np.array([speaker]),
        }
        for name in (given.name for given in session.get_inputs() if given.name not in inputs):
            inputs[name] = generator.standard_normal(len(numbers) * _CHANNELS * _MOST_FRAMES_A_SOUND, np.float32)
        wanted = {given.name for given in session.get_inputs()}
        try:
            (spoken,) = session.run(None, {name: value for name, value in inputs.items() if name in wanted})
        except Exception as error:  # onnxruntime's own errors have no common base
            raise InfrastructureError(
                f"{model}: the piper voice cannot speak {text[:40]!r} ({error}); download it again, or leave it out"
            ) from error
        parts.append(spoken.ravel() / max(float(np.abs(spoken).max()), 1e-8))
    if not parts:
        raise InfrastructureError(f"{model}: the piper voice has nothing to say in {text!r}")
    return Speech(to_int16(np.concatenate(parts)), int(settings["audio"]["sample_rate"]))


def _sentences(texts: Sequence[str], accent: str) -> list[list[str]]:
    """By text, the sounds of each sentence with its marks, in Unicode's form D: sign by sign as the voice's table has
    them.
    """
    return [_joined(clauses) for clauses in espeak.clauses(texts, accent)]


def _joined(clauses: Sequence[tuple[str, str]]) -> list[str]:
    found, sentence = [], ""
    for sounds, mark in clauses:
        sentence += _LANGUAGE_SWITCH.sub("", sounds) + mark
        if mark and mark in _WITHIN_SENTENCE:
            sentence += " "
        elif mark:
            found.append(sentence)
            sentence = ""
    return [
        unicodedata.normalize("NFD", sounds)
        for sounds in (*found, sentence)
        if any(sign not in _MARKS + " " for sign in sounds)
    ]


def _numbers(sounds: str, table: Mapping[str, Sequence[int]]) -> NDArray[np.int64]:
    pad = list(table[_PAD])
    inner = [number for sign in sounds if sign in table for number in (*table[sign], *pad)]
    return np.array([*table[_START], *pad, *inner, *table[_END]])


def _within(settings: Mapping[str, Any], group: str, key: str) -> object:
    inner = settings.get(group)
    return inner.get(key) if isinstance(inner, dict) else None


@lru_cache(_MOST_VOICES)
def _loaded(model: Path) -> Any:
    """The model as a session of onnxruntime on one thread, its generators of noise replaced by inputs."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        loaded = onnx.load(str(model))
        _take_noise_from_outside(loaded.graph)
        return onnxruntime.InferenceSession(loaded.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # neither package's errors have a common base
        raise InfrastructureError(f"{model}: the piper voice cannot be loaded ({error}); download it again") from error


def _take_noise_from_outside(graph: Any) -> None:
    """Replace each generator of noise by the first numbers of an input "noise_<place>", float32 `[n]`, in the shape
    that it would have.
    """
    from onnx import TensorProto, helper

    nodes = list(graph.node)
    del graph.node[:]
    for place, node in enumerate(nodes):
        if node.op_type not in _NOISE:
            graph.node.append(node)
            continue
        noise = f"noise_{place}"
        graph.input.append(helper.make_tensor_value_info(noise, TensorProto.FLOAT, [None]))
        graph.initializer.append(helper.make_tensor(f"{noise}_from", TensorProto.INT64, [1], [0]))
        graph.node.extend(
            (
                helper.make_node("Shape", [node.input[0]], [f"{noise}_shape"]),
                helper.make_node("ReduceProd", [f"{noise}_shape"], [f"{noise}_count"], axes=[0], keepdims=1),
                helper.make_node("Slice", [noise, f"{noise}_from", f"{noise}_count"], [f"{noise}_part"]),
                helper.make_node("Reshape", [f"{noise}_part", f"{noise}_shape"], [node.output[0]]),
            )
        )
