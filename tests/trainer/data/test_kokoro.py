"""Kokoro: real model and voices where the extra `voices` is installed; its files, symbols, speakers and faster
arithmetic everywhere.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.speech.engine import EngineOptions, SkippedEngine
from trainer.data.speech.engines import hibari, kokoro
from trainer.data.speech.engines.kokoro import KokoroEngine
from trainer.data.speech.fetch import Remote
from trainer.data.speech.kokoro import files
from trainer.data.speech.kokoro.faster import faster, pays
from trainer.data.speech.kokoro.files import KokoroFiles, find_files, read_voices
from trainer.data.speech.kokoro.speakers import FAMILIES, LEFT_OUT, reader, reading, speakers, style
from trainer.data.speech.kokoro.symbols import ipa, symbols
from wakeword.errors import ConfigError, InfrastructureError

NAMES = """
af_alloy af_aoede af_bella af_heart af_jessica af_kore af_nicole af_nova af_river af_sarah af_sky am_adam am_echo
am_eric am_fenrir am_liam am_michael am_onyx am_puck am_santa bf_alice bf_emma bf_isabella bf_lily bm_daniel bm_fable
bm_george bm_lewis ef_dora em_alex em_santa ff_siwis hf_alpha hf_beta hm_omega hm_psi if_sara im_nicola jf_alpha
jf_gongitsune jf_nezumi jf_tebukuro jm_kumo pf_dora pm_alex pm_santa zf_xiaobei zf_xiaoni zf_xiaoxiao zf_xiaoyi
zm_yunjian zm_yunxi zm_yunxia zm_yunyang
"""
VOICES = tuple(NAMES.split())

# What the tokenizer of kokoro-onnx 0.6.1 makes of these texts in American and British English.
REFERENCE = (
    ("alexa!", "ɐlˈɛksə!", "ɐlˈɛksə!"),  # noqa: RUF001 - IPA
    ("Alexa, what time is it?", "ɐlˈɛksə, wˌʌt tˈaɪm ɪz ɪt?", "ɐlˈɛksə, wˌɒt tˈaɪm ɪz ɪt?"),  # noqa: RUF001
    (
        "Do the dishes; then go home: now.",
        "dˈuː ðə dˈɪʃᵻz; ðˈɛn ɡˌoʊ hˈoʊm: nˈaʊ.",  # noqa: RUF001
        "dˈuː ðə dˈɪʃɪz; ðˈɛn ɡˌəʊ hˈəʊm: nˈaʊ.",  # noqa: RUF001
    ),
    (
        'She has the 3 books - and a "cat".',
        'ʃiː hɐz ðə θɹˈiː bˈʊks ænd ˈeɪ "kˈæt".',  # noqa: RUF001
        'ʃiː hɐz ðə θɹˈiː bˈʊks and ˈeɪ "kˈat".',  # noqa: RUF001
    ),
    ("an hour ago I read it", "ɐn ˈaʊɚɹ ɐɡˈoʊ aɪ ɹˈiːd ɪt", "ɐn ˈaʊəɹ ɐɡˈəʊ aɪ ɹˈiːd ɪt"),  # noqa: RUF001
    ("The U.S. is big…", "ðə jˈuː.ˈɛs. ɪz bˈɪɡ…", "ðə jˈuː.ˈɛs. ɪz bˈɪɡ…"),  # noqa: RUF001
    ("café naïve", "kæfˈeɪ naɪˈiːv", "kafˈeɪ naɪˈiːv"),  # noqa: RUF001
)


def test_the_pupils_of_hibari_are_of_their_teachers_families() -> None:
    families = {one.voice: one.family for one in speakers(VOICES) if len(one.shares) == 1}
    assert {teacher: families[teacher] for teacher in hibari.FAMILIES} == hibari.FAMILIES
    if importlib.util.find_spec("hibari") is not None:
        known = importlib.import_module("hibari.voices").VOICES
        assert {voice["kokoro"] for voice in known.values()} == set(hibari.FAMILIES), "each voice has a teacher"
        assert [voice.family for voice in hibari.HibariEngine().voices("en") if voice.name == "heart"] == ["kokoro_f4"]


@pytest.fixture(scope="module")
def engine() -> KokoroEngine:
    """The real one."""
    found = kokoro.ENGINE.find(EngineOptions())
    if isinstance(found, SkippedEngine):
        if os.environ.get("CI"):
            raise InfrastructureError(found.reason)
        pytest.skip(f"Kokoro is not there: {found.reason}; {found.install}")
    assert isinstance(found, KokoroEngine)
    return found


def test_a_switch_of_language_is_no_sound() -> None:
    assert "(" not in ipa(["un weekend"], "fr")[0]


def test_texts_become_the_phonemes_that_the_model_is_used_with() -> None:
    texts, *spoken = zip(*REFERENCE, strict=True)
    assert [ipa(texts, "en-us"), ipa(texts, "en")] == [list(american_or_british) for american_or_british in spoken]
    assert ipa(texts[:1], "en-us") == [spoken[0][0]], "alone as among others"
    assert symbols("alexa!", "en-us") == [70, 54, 156, 86, 53, 61, 83, 5]


def test_speakers_are_voices_and_blends_within_families_that_share_none() -> None:
    found = speakers(VOICES)
    assert len({one.name for one in found}) == len({one.voice for one in found}) == len(found) > 300
    by_family = {
        family: {voice for one in found if one.family == family for voice, _ in one.shares}
        for family in {one.family for one in found}
    }
    assert len(by_family) == FAMILIES
    assert sorted(voice for members in by_family.values() for voice in members) == sorted(set(VOICES) - LEFT_OUT), (
        "each voice is in one family"
    )
    assert all(
        {voice[1] for voice in members} == {"f", "m"} and len({voice[0] for voice in members}) > 3
        for members in by_family.values()
    )
    assert all(sum(share for _, share in one.shares) == 100 and len(one.shares) <= 3 for one in found)
    assert found[9].name == "kokoro_f1_009", "the names of speakers stay"
    assert found[9].voice == "bm_fable*0.62+am_echo*0.28+pm_alex*0.10"
    assert speakers(list(reversed(VOICES))) == found
    few = speakers([voice for voice in VOICES if voice.startswith("j")])
    assert {one.family for one in few} == {"kokoro_f1", "kokoro_f2"}, "five voices make two families"
    assert [one.voice for one in speakers(VOICES[:1])] == [VOICES[0]], "nothing to blend with"
    assert speakers([]) == ()


@given(st.integers(0, len(speakers(VOICES)) - 1), st.integers(1, 600))
def test_a_blend_is_between_its_voices(number: int, length: int) -> None:
    styles = {
        name: np.random.default_rng(place).normal(size=(510, 1, 256)).astype(np.float32)
        for place, name in enumerate(VOICES[:1])
    }
    rows = styles[VOICES[0]]
    styles = {name: np.roll(rows, place, axis=2) for place, name in enumerate(VOICES)}
    one = speakers(VOICES)[number]
    members = np.stack([styles[name][min(length, 510) - 1] for name, _ in one.shares])
    found = style(one.voice, styles, length)
    assert found.shape == (1, 256)
    np.testing.assert_allclose(
        found, np.einsum("n,nij->ij", [share / 100 for _, share in one.shares], members), atol=1e-5
    )


def test_british_voices_speak_british_english() -> None:
    names = ("af_heart", "bm_lewis*0.6+af_sky*0.4", "jf_alpha", reading("bm_lewis", "fr"))
    assert [reader(voice) for voice in names] == ["en-us", "en", "en-us", "fr"]
    rows = {"bm_lewis": np.ones((510, 1, 256), np.float32)}
    assert style(reading("bm_lewis", "fr"), rows, 5).sum() == 256


def bins(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names, 1):
        (folder / f"{name}.bin").write_bytes(np.full((510, 1, 256), number, "<f4").tobytes())
    return folder


def test_voices_are_read_from_a_folder_an_archive_and_the_package_of_npm(tmp_path: Path) -> None:
    folder = bins(tmp_path / "package" / "voices", "af_heart", "bm_lewis")
    with tarfile.open(tmp_path / "kokoro-js-1.2.1.tgz", "w:gz") as archive:
        archive.add(tmp_path / "package", "package")
    np.savez(
        tmp_path / "voices.npz",
        af_heart=np.full((510, 1, 256), 1, np.float32),
        bm_lewis=np.full((510, 1, 256), 2, np.float32),
    )
    for place in (folder, tmp_path / "kokoro-js-1.2.1.tgz", tmp_path / "voices.npz"):
        found = read_voices(place)
        assert {name: (rows.shape, rows[0, 0, 0]) for name, rows in found.items()} == {
            "af_heart": ((510, 1, 256), 1),
            "bm_lewis": ((510, 1, 256), 2),
        }


def damaged_package() -> bytes:
    """A package of npm with a byte that no longer unpacks."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("package/voices/af_heart.bin")
        content = np.random.default_rng(0).integers(0, 9, 510 * 256 * 4, np.uint8).tobytes()
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()[:20_000] + b"\xff" * 200 + packed.getvalue()[20_200:]


def lone_array() -> bytes:
    content = io.BytesIO()
    np.save(content, np.zeros(3))
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", b"PK\x03\x04", damaged_package(), lone_array()],
    ids=["empty", "text", "cut zip", "package", "array"],
)
def test_damaged_voices_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "voices-v1.0.bin").write_bytes(content)
    with pytest.raises(ConfigError, match=r"voices-v1\.0\.bin: Kokoro's voices cannot be read .* --kokoro"):
        read_voices(tmp_path / "voices-v1.0.bin")


def test_a_place_of_the_users_is_taken_as_the_hub_lays_it_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "pays", lambda: False)
    (tmp_path / "onnx").mkdir()
    for name in ("model.onnx", "model_quantized.onnx"):
        (tmp_path / "onnx" / name).write_bytes(b"")
    voices = bins(tmp_path / "voices", "af_heart")
    expected = KokoroFiles(tmp_path / "onnx" / "model_quantized.onnx", voices)
    assert find_files(tmp_path) == expected
    monkeypatch.setenv(files.VARIABLE, str(tmp_path))
    assert find_files() == expected
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"empty: holds neither a model of Kokoro"):
        find_files(tmp_path / "empty")
    with pytest.raises(ConfigError, match=r"none: no such folder"):
        find_files(tmp_path / "none")


def test_without_network_it_is_skipped_with_what_would_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("without onnxruntime nothing is fetched")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(files, "_model", lambda _own: tmp_path / "model.onnx")
    monkeypatch.setattr(
        files, "VOICES", tuple(Remote(f"http://127.0.0.1:1/{name}", "sha256", "") for name in ("a.tgz", "b.bin"))
    )
    monkeypatch.setattr(files, "PIP_VOICES", "no_such_package")
    skipped = kokoro.ENGINE.find(EngineOptions())
    assert isinstance(skipped, SkippedEngine)
    assert "voices are not on this machine yet" in skipped.reason
    assert skipped.install == "connect this machine once, or give Kokoro's files with --kokoro DIR"
    assert capsys.readouterr().err.count("fetching 54 voices") == 2


def test_without_network_the_voices_of_a_wheel_speak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec(files.PIP_VOICES) is None:
        pytest.skip("needs the extra voices")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(files, "_model", lambda _own: tmp_path / "model.onnx")
    monkeypatch.setattr(files, "VOICES", (Remote("http://127.0.0.1:1/a.tgz", "sha256", ""),))
    found = read_voices(find_files().voices)
    assert sorted(found) == ["jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo"]
    assert {rows.shape[1:] for rows in found.values()} == {(1, 256)}
    assert "Kokoro: speaks with 5 voices instead of 54" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("width", "dilation", "pads"), [(1, 1, (0, 0)), (3, 1, (1, 1)), (7, 3, (9, 9)), (11, 5, (25, 0)), (4, 2, (0, 3))]
)
def test_convolutions_as_products_are_equal(width: int, dilation: int, pads: tuple[int, int]) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the extra voices")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra voices")
    if not pays():
        pytest.skip("this processor has no exact product of unsigned and signed bytes")
    random = np.random.default_rng(width)
    constant = onnx.numpy_helper.from_array
    kernels = [random.integers(0, 256, (5, 6, width), np.uint8) for _ in range(2)]
    constants = [constant(kernel, f"w{place}") for place, kernel in enumerate(kernels)] + [constant(np.uint8(131), "z")]
    nodes = [
        onnx.helper.make_node(
            "ConvInteger",
            ["x", f"w{place}", "xz", "z"],
            [f"y{place}"],
            kernel_shape=[width],
            dilations=[dilation],
            pads=list(pads),
        )
        for place in range(2)
    ]
    nodes.append(
        onnx.helper.make_node("ConvInteger", ["x", "w0", "xz", "z"], ["y2"], kernel_shape=[width], strides=[2])
    )
    value = onnx.helper.make_tensor_value_info
    inputs = [value("x", onnx.TensorProto.UINT8, [1, 6, None]), value("xz", onnx.TensorProto.UINT8, [])]
    outputs = [value(f"y{place}", onnx.TensorProto.INT32, None) for place in range(3)]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "g", inputs, outputs, constants), opset_imports=[onnx.helper.make_opsetid("", 20)]
    )
    model.ir_version = 10
    content = model.SerializeToString()
    rewritten = faster(content)
    kinds = [node.op_type for node in onnx.load_from_string(rewritten).graph.node]
    assert (kinds.count("MatMulInteger"), kinds.count("ConvInteger"), kinds.count("Pad")) == (
        2,
        1,
        1,
    ), "the input is laid out once"
    given_inputs = {"x": random.integers(0, 256, (1, 6, 80), np.uint8), "xz": np.array(117, np.uint8)}
    plain, fast = (
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, given_inputs)
        for model in (content, rewritten)
    )
    for one, other in zip(plain, fast, strict=True):
        np.testing.assert_array_equal(one, other)


def test_kokoro_speaks_the_same_whatever_was_spoken_before(engine: KokoroEngine) -> None:
    voices = engine.voices("en")
    first = engine.synthesise("ox", voices[9].name, 1.0, 0.0, 0)
    fast = engine.synthesise("ox", voices[0].name, 1.4, 2.0, 0)
    again = engine.synthesise("ox", voices[9].name, 1.0, 0.0, 1)
    np.testing.assert_array_equal(first.samples, again.samples)
    assert (first.sample_rate, fast.sample_rate) == (24_000, 26_939)
    assert len(fast.samples) / fast.sample_rate < len(first.samples) / first.sample_rate
    assert np.abs(first.samples.astype(int)).max() > 3000


def test_kokoro_has_all_voices_of_english(engine: KokoroEngine) -> None:
    voices = engine.voices("en")
    assert len(read_voices(engine.files.voices)) == 54
    assert len(voices) == len({voice.speaker for voice in voices}) == 360
    british = engine.voices("en-GB")
    assert british == tuple(voice for voice in voices if voice.language == "en-GB")
    assert 20 < len(british) < 100
    assert engine.unreadable(["hey jarvis", "café", "ß"], "en") == {"ß": "it says the name of ß where a word is meant"}


def test_kokoro_speaks_the_languages_that_it_was_trained_on(engine: KokoroEngine) -> None:
    assert [engine.voices(tag) for tag in ("de", "ja", "zh")] == [(), (), ()]
    spanish = engine.voices("es-MX")
    assert len(spanish) == 360
    assert {voice.family for voice in spanish} == {voice.family for voice in engine.voices("en")}
    assert spanish[0].name == "es:af_alloy"
    assert engine.unreadable(["hola casa", "señor"], "es") == {}
    assert len(engine.synthesise("sí", spanish[3].name, 1.2, 0.0, 0).samples) > 4000


def test_a_text_without_sound_or_without_end_is_refused(engine: KokoroEngine) -> None:
    for text in ("", "word " * 300):
        with pytest.raises(InfrastructureError, match="kokoro speaks 1 to 510 sounds at once"):
            engine.synthesise(text, "af_heart", 1.0, 0.0, 0)


def test_a_model_that_is_none_is_named(engine: KokoroEngine, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    broken = dataclasses.replace(engine, files=KokoroFiles(tmp_path / "model.onnx", engine.files.voices))
    with pytest.raises(ConfigError, match=r"model\.onnx: onnxruntime cannot load this model"):
        broken.synthesise("a", "af_heart", 1.0, 0.0, 0)


@pytest.mark.slow
def test_the_whole_model_is_equal_in_the_faster_order(engine: KokoroEngine, tmp_path: Path) -> None:
    if not pays():
        pytest.skip("this processor has no exact product of unsigned and signed bytes")
    plain = tmp_path / "plain.onnx"
    plain.write_bytes(files._pinned_model())
    slow = dataclasses.replace(engine, files=KokoroFiles(plain, engine.files.voices))
    for text, voice in (
        ("alexa", "af_heart"),
        ("What is the weather in Paris tomorrow?", "bm_lewis*0.60+jf_alpha*0.40"),
    ):
        one, other = (speaker.synthesise(text, voice, 1.1, -1.0, 0).samples for speaker in (engine, slow))
        np.testing.assert_array_equal(one, other)
