"""The rules of a manifest against ESPHome's own, over generated manifests; and an export's files in a user's own
device.
"""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.toolenv import ToolEnvironment, neutral_environment
from wakeword.model.manifest import manifest_of
from wakeword.model.manifest_rules import refusals

V1: dict[str, Any] = {
    "type": "micro",
    "wake_word": "Alexa",
    "author": "Someone",
    "website": "https://example.com/",
    "model": "./alexa.tflite",
    "version": 1,
    "micro": {"probability_cutoff": 0.66, "sliding_window_average_size": 10},
}
V2: dict[str, Any] = {
    "type": "micro",
    "wake_word": "Okay Nabu",
    "author": "Someone",
    "website": "https://example.com/",
    "model": "okay_nabu.tflite",
    "trained_languages": ["en"],
    "version": 2,
    "micro": {
        "probability_cutoff": 0.97,
        "feature_step_size": 10,
        "sliding_window_size": 5,
        "tensor_arena_size": 26080,
        "minimum_esphome_version": "2024.7.0",
    },
}

JUDGE = """
import json, sys
from esphome.components.micro_wake_word import _validate_manifest_version
for line in sys.stdin:
    try:
        _validate_manifest_version(json.loads(line))
    except Exception as error:
        print(json.dumps(str(error) or repr(error)), flush=True)
    else:
        print("null", flush=True)
"""

URLS = [
    "",
    "x",
    "github.com/me",
    "https://example.com",
    "file:",
    "file:///x",
    "http://",
    "http://[",
    "//host",
    "mailto:me@x.org",
    "ftp://x",
]
VERSIONS = [
    "",
    "2024",
    "2024.7",
    "2024.7.0",
    "2026.10.0",
    "2026.10.0b1",
    "2026.10.1",
    "2026.10.0-dev",
    "2026.10.0.",
    "v2024.7.0",
    " 2024.7.0",
    "9999.1.1",
    "2024.7.0.1",
]
NUMBERS = ["5", "0x10", "1.5", " 7 ", "1_0", "-1", "-0x1", "nan", "1e3", "vad", "micro"]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 40),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([*URLS, *VERSIONS, *NUMBERS]),
    st.text(max_size=4),
    # New ones each time: what is drawn here becomes a part that is changed.
    st.builds(list),
    st.builds(dict),
    st.lists(st.one_of(st.text(max_size=3), st.none(), st.integers(0, 3), st.booleans(), st.builds(list)), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=1),
)
NAMES = st.sampled_from([*V2, *V1["micro"], *V2["micro"], "comment", "Type"])


@st.composite
def manifests(draw: st.DrawFn) -> object:
    """A manifest that ESPHome accepts, after up to three slips of the pen; seldom something else."""
    if draw(st.integers(0, 30)) == 0:
        return draw(VALUES)
    content = copy.deepcopy(draw(st.sampled_from([V1, V2])))
    for _ in range(draw(st.integers(0, 3))):
        where = draw(st.sampled_from(["whole", "micro"]))
        part = content if where == "whole" or not isinstance(content.get("micro"), dict) else content["micro"]
        name = draw(NAMES)
        if draw(st.booleans()):
            part.pop(name, None)
        else:
            part[name] = draw(VALUES)
    return content


@pytest.fixture(scope="module")
def judge(esphome: ToolEnvironment) -> Any:
    """Asks ESPHome's own validation: its complaint, None where it accepts. One process judges all."""
    process = subprocess.Popen(
        [esphome.python, "-c", JUDGE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=neutral_environment(),
    )
    assert process.stdin is not None and process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def ask(content: object) -> str | None:
        stdin.write(json.dumps(content) + "\n")
        stdin.flush()
        answer: str | None = json.loads(stdout.readline())
        return answer

    yield ask
    stdin.close()
    process.wait(timeout=60)
    stdout.close()


def test_the_rules_are_esphomes(judge: Callable[[object], str | None]) -> None:
    """One example each for every key, so that each rule is met whatever the generator draws."""
    for base in (V1, V2):
        assert judge(base) is None
        assert refusals(base) == ()
        for name in [*base, *(f"micro.{each}" for each in base["micro"])]:
            *where, key = name.split(".")
            content = copy.deepcopy(base)
            part = content["micro"] if where else content
            del part[key]
            assert (judge(content) is None) is not any(fault.key == name for fault in refusals(content)), name
            for value in [
                *URLS,
                *VERSIONS,
                *NUMBERS,
                None,
                True,
                False,
                0,
                1,
                2,
                3,
                30,
                31,
                -1,
                1.0,
                2.0,
                1.5,
                [],
                {},
                ["en"],
                ["en", None],
                {"a": 1},
            ]:
                part[key] = value
                assert (judge(content) is None) == (not refusals(content)), (
                    name,
                    value,
                    judge(content),
                    refusals(content),
                )


@given(content=manifests())
@settings(max_examples=400)
def test_any_manifest_is_judged_as_esphome_judges_it(judge: Callable[[object], str | None], content: object) -> None:
    said, found = judge(content), refusals(content)
    assert (said is None) == (not found), (said, found)
    if said is not None and "extra keys not allowed" in said:
        assert any("does not know this key" in fault.text or "window's name" in fault.text for fault in found)
    if said is not None and "required key not provided" in said:
        assert any("missing" in fault.text for fault in found)


CONVERT = """
import json, sys
from esphome.components.micro_wake_word import _convert_manifest_v1_to_v2
print(json.dumps(_convert_manifest_v1_to_v2(json.load(sys.stdin))))
"""


def test_version_1_becomes_what_esphome_makes_of_it(esphome: ToolEnvironment) -> None:
    done = subprocess.run(
        [esphome.python, "-c", CONVERT],
        input=json.dumps(V1),
        capture_output=True,
        text=True,
        env=neutral_environment(),
        check=True,
        timeout=60,
    )
    made, read = json.loads(done.stdout), manifest_of(V1)
    assert read is not None
    assert read.version == 1
    for key in ("probability_cutoff", "feature_step_size", "sliding_window_size", "tensor_arena_size"):
        assert getattr(read.micro, key) == made["micro"][key], key
    assert list(read.trained_languages) == made["trained_languages"]
