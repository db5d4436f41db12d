"""Files that people write, as every editor and spreadsheet saves them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bench_audio.calibration.microphone import read_microphone_curve
from bench_audio.corpus.description import read_corpus
from firmware.boards.inventory import read_inventory
from firmware.credentials import read as read_secrets
from trainer.clustering.namelist import read_namelist
from trainer.config.loader import load_config
from trainer.data.dataset import read_recordings
from trainer.data.mined import read_table
from trainer.data.split import read_splits
from wakeword.corpus.recordings import find_recordings
from wakeword.errors import ConfigError
from wakeword.model.manifest import read_manifest
from wakeword.reading import decoded, load_yaml, parse_yaml, read_csv, read_json, read_text, read_yaml

DRESSES: dict[str, Callable[[str], bytes]] = {
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "UTF-8 with BOM and CRLF, as Excel": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "UTF-16, as PowerShell": lambda text: text.replace("\n", "\r\n").encode("utf-16"),
    "UTF-16, the other way round": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
}
"""How programs save the same text."""

SHA = "0" * 64
CORPUS = """
name: größe
sources:
  - {label: tv, kind: tv, path: tv, licence: own}
conditions:
  - {name: loud, background_spl: 70}
"""
NAMELIST = json.dumps(
    {
        "schema_version": 1,
        "dataset": "positive",
        "roots": ["/data"],
        "analysis": {"embedding_model": "x/y", "method": "agglomerative", "similarity_threshold": 0.5, "n_clusters": 1},
        "speakers": {"jürgen": [{"path": "a.wav", "root": 0, "sha256": SHA}]},
    }
)
MINED = (
    "file,clip_sha256,source,source_sha256,start_sample,end_sample,probability,threshold,model_sha256,date\n"
    f"a.wav,{SHA},größe.wav,{SHA},0,16000,0.9,0.8,{SHA},2026-01-01\n"
)
READERS: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "list": ("list.txt", "größe.wav\n# no\nb.wav\n", lambda path: [one.name for one in find_recordings([path])]),
    "playlist": ("list.m3u8", "#EXTM3U\ngröße.wav\n", lambda path: [one.name for one in find_recordings([path])]),
    "table of recordings": (
        "list.csv",
        "path,word\ngröße.wav,a\n",
        lambda path: [one.name for one in find_recordings([path])],
    ),
    "splits": ("splits.csv", "path,group,split\ngröße.wav,jürgen,train\n", read_splits),
    "recordings of a run": (
        "recordings.csv",
        f"path,group,split,label,seconds,sample_rate,weight,sha256\ngröße.wav,jürgen,train,positive,1.0,16000,1.0,{SHA}\n",
        lambda path: read_recordings(path.parent),
    ),
    "mined clips": (
        "mined.csv",
        MINED,
        lambda path: read_table(path.parent),
    ),
    "configuration": (
        "own.yaml",
        "export:\n  wake_word: größe\ntraining:\n  seed: 5\n",
        lambda path: load_config(str(path)),
    ),
    "boards": (
        "boards.yaml",
        "boards:\n  - name: desk\n    kind: serial\n    target: x\n    mac: a0-85-e3-12-34-56\n    room: größe\n",
        read_inventory,
    ),
    "corpus": ("corpus.yaml", CORPUS, read_corpus),
    "secrets": ("secrets.yaml", 'wifi_ssid: "größe"\nwifi_password: "12345678"\n', read_secrets),
    "namelist": ("names.json", NAMELIST, read_namelist),
    "microphone": ("mic.txt", "20 1.5\n1000 0\n20000 -2\n", read_microphone_curve),
}


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_takes_a_file_in_every_dress(tmp_path: Path, reader: str, dress: str) -> None:
    name, content, read = READERS[reader]
    for recording in ("größe.wav", "b.wav"):
        (tmp_path / recording).touch()
    path = tmp_path / name
    path.write_bytes(content.encode())
    plain = read(path)
    path.write_bytes(DRESSES[dress](content))
    assert read(path) == plain


@pytest.mark.parametrize("reader", ["configuration", "boards", "corpus", "secrets"])
def test_a_repeated_key_names_both_lines(tmp_path: Path, reader: str) -> None:
    name, _, read = READERS[reader]
    content = {
        "configuration": "training:\n  seed: 1\n  batch_size: 64\n  seed: 2\n",
        "boards": "boards:\n  - name: desk\n    kind: serial\n\n    name: shelf\n",
        "corpus": f"{CORPUS}\nname: other\n",
        "secrets": "wifi_ssid: hunter1\n# another one\n\nwifi_ssid: hunter2\n",
    }[reader]
    key, first, second = {
        "configuration": ("the key seed", 2, 4),
        "boards": ("the key name", 2, 5),
        "corpus": ("the key name", 2, 8),
        "secrets": ("wifi_ssid", 1, 4),
    }[reader]
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ConfigError) as raised:
        read(path)
    assert (
        str(raised.value)
        == f"{path}: {key} stands there twice, in line {first} and in line {second}; remove one of them"
    )
    assert raised.value.__cause__ is None or reader != "secrets", "what YAML's reader says quotes the file"


def test_a_strange_name_in_secrets_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("hunter2: 1\nhunter2: 2\n")
    with pytest.raises(ConfigError, match="a name stands there twice, in line 1 and in line 2") as raised:
        read_secrets(tmp_path / "secrets.yaml")
    assert "hunter2" not in str(raised.value)


def test_repeated_sections_and_keys_behind_set_are_refused() -> None:
    with pytest.raises(ConfigError, match="the key training stands there twice, in line 1 and in line 3"):
        parse_yaml("training:\n  seed: 1\ntraining:\n  batch_size: 2\n", "own.yaml")
    with pytest.raises(ConfigError, match=r"--set training\.sampling_weights=.*stands there twice"):
        load_config("fast_test", (), ["training.sampling_weights={positive: 1, positive: 2}"])


def test_the_same_key_in_two_mappings_and_merged_keys_are_no_fault() -> None:
    assert load_yaml("a: {x: 1}\nb: {x: 2}\n") == {"a": {"x": 1}, "b": {"x": 2}}
    merged = load_yaml("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  x: 3\nc:\n  <<: *a\n  x: 4\n")
    assert (merged["b"], merged["c"]) == ({"x": 3, "y": 2}, {"x": 4, "y": 2})


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(PLAIN)
def test_all_other_yaml_reads_as_ever(value: object) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    assert load_yaml(text) == yaml.safe_load(text)


def test_what_is_no_text_says_where(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("a: größe".encode("latin-1"))
    with pytest.raises(
        ConfigError, match=r"latin\.txt: is no text in UTF-8 \(invalid .* at byte 5\), so save it in UTF-8; do this"
    ):
        read_text(tmp_path / "latin.txt", "do this")
    with pytest.raises(ConfigError, match=r"none: cannot be read \(No such file or directory\); do this"):
        read_yaml(tmp_path / "none", "do this")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ConfigError, match=r"a\.json: not JSON \(Expecting .*\); do this"):
        read_json(tmp_path / "a.json", "do this")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(ConfigError, match="not JSON"):
        read_json(tmp_path / "deep.json", "do this")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_of_spreadsheets_of_other_countries(tmp_path: Path, separator: str) -> None:
    rows = (("group", " path ", "note"), ("anna", '"a, b; c.wav"', "x"), (), ("bert", "d.wav"))
    (tmp_path / "a.csv").write_text("\r\n".join(separator.join(row) for row in rows), newline="")
    table = read_csv(tmp_path / "a.csv", ("path", "group"), "do this")
    assert table.columns == ("group", "path", "note")
    assert [(row.line, row["path"], row["group"], row["note"]) for row in table.rows] == [
        (2, "a, b; c.wav", "anna", "x"),
        (4, "d.wav", "bert", ""),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no column 'path'; its first line must name path; do this"),
        ("file\na\n", "has no column 'path'"),
        ('path\n"a\n', r"not a CSV table \(line 2: unexpected end of data\); do this"),
    ],
)
def test_what_is_no_table_says_why(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_csv(tmp_path / "a.csv", ("path",), "do this")


def test_line_ends_of_all_systems() -> None:
    assert decoded(b"a\r\nb\nc\rd") == "a\nb\nc\nd"


def test_a_manifest_that_esphome_cannot_read_is_refused(tmp_path: Path) -> None:
    """ESPHome reads manifests as UTF-8, where a byte order mark is no JSON: components/micro_wake_word/__init__.py."""
    (tmp_path / "m.json").write_text("{}", encoding="utf-8-sig")
    with pytest.raises(ConfigError, match="begins with a byte order mark, with which ESPHome does not read it"):
        read_manifest(tmp_path / "m.json")
