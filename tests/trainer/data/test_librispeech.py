"""People's speech for negatives, fetched from a server on this machine: a small corpus of the same layout. OpenSLR
itself cannot be tested.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import math
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from tests.commands import one_line_error, run
from tests.trainer.data.folders import folders
from tests.trainer.data.served import Server, serving
from trainer.data import librispeech
from trainer.data.composition import composition
from trainer.data.dataset import load_recordings
from trainer.data.ingest import Label, SampleRecord
from trainer.data.librispeech import FOLDER, SpeechArchive, Utterance, add_speech, fetched_speech
from trainer.data.speech.fetch import Remote
from trainer.data.split import Split
from wakeword.corpus.provenance import provenance_of
from wakeword.corpus.recordings import GENERATED_TABLE, RECORDED_TABLE
from wakeword.errors import ConfigError, InfrastructureError

SPEAKERS, TAKES, SECONDS = 20, 3, 1.0
TEXTS = ("HE READ ON", "THE COMPUTER'S VOICE", "NOBODY COMPUTES HERE")


def flac(seed: int) -> bytes:
    content = io.BytesIO()
    samples = np.random.default_rng(seed).integers(-900, 900, round(SECONDS * 16_000), dtype=np.int16)
    soundfile.write(content, samples, 16_000, format="FLAC")
    return content.getvalue()


def packed(part: str, first: int, others: dict[str, bytes] | None = None) -> bytes:
    """A part of the corpus as it is published, with so many speakers; numbers from `first` on."""
    files = {"LibriSpeech/LICENSE.TXT": b"a text", f"LibriSpeech/{part}": b""}
    for speaker in range(first, first + SPEAKERS):
        chapter = f"LibriSpeech/{part}/{speaker}/77"
        names = [f"{speaker}-77-{take:04}" for take in range(TAKES)]
        files |= {f"{chapter}/{name}.flac": flac(speaker * 100 + take) for take, name in enumerate(names)}
        lines = "".join(f"{name} {text}\n" for name, text in zip(names, TEXTS, strict=True))
        files[f"{chapter}/{speaker}-77.trans.txt"] = lines.encode()
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, of_file in (files | (others or {})).items():
            member = tarfile.TarInfo(name)
            member.type = tarfile.REGTYPE if of_file else tarfile.DIRTYPE
            member.size = len(of_file)
            tar.addfile(member, io.BytesIO(of_file))
    return content.getvalue()


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    return {"dev-clean": packed("dev-clean", 1000), "dev-other": packed("dev-other", 3000)}


@pytest.fixture
def server(contents: dict[str, bytes]) -> Iterator[Server]:
    with serving({f"/{name}.tar.gz": content for name, content in contents.items()}) as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "mww" / "librispeech"


def archive(server: Server, name: str, content: bytes) -> SpeechArchive:
    remote = Remote(f"{server.address}/{name}.tar.gz", "sha256", hashlib.sha256(content).hexdigest())
    return SpeechArchive(name, remote, len(content))


@pytest.fixture
def archives(server: Server, contents: dict[str, bytes]) -> list[SpeechArchive]:
    return [archive(server, name, content) for name, content in contents.items()]


def silent(_: str) -> Callable[[int, int], None]:
    return lambda _done, _total: None


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_both_parts_are_fetched_unpacked_and_kept(
    server: Server, archives: list[SpeechArchive], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counted: dict[str, tuple[int, int]] = {}
    first = fetched_speech(lambda stage: lambda *counts: counted.update({stage: counts}), archives)
    assert len(first) == 2 * SPEAKERS * TAKES
    assert {one.seconds for one in first} == {SECONDS}
    assert {one.text for one in first} == set(TEXTS)
    assert {one.speaker for one in first if one.path.is_relative_to(cache / "dev-clean")} == {
        str(speaker) for speaker in range(1000, 1000 + SPEAKERS)
    }
    assert all(one.path == cache / one.path.parts[-3] / one.speaker / one.path.name for one in first)
    sizes = {f"fetching {one.name}, MB": math.ceil(one.size / 1e6) for one in archives}
    assert counted == {stage: (size, size) for stage, size in sizes.items()}
    assert "fetching dev-clean and dev-other of LibriSpeech, once (" in capsys.readouterr().err
    # The archives are gone; who was recorded, and under which licence, stands beside the recordings.
    assert names_in(cache) == {"dev-clean", "dev-other"} | {
        f"{name}{lock}" for name in ("dev-clean", "dev-other") for lock in (".lock", ".tar.gz.lock")
    }
    source = json.loads((cache / "dev-other" / RECORDED_TABLE).read_text())
    assert "CC BY 4.0" in source["licence"]
    assert "Panayotov" in source["authors"]
    asked = len(server.asked)
    assert fetched_speech(silent, archives) == first
    assert len(server.asked) == asked, "the second call asks nobody"
    assert capsys.readouterr().err == ""


def test_a_cache_that_is_not_whole_is_told_with_what_to_do(archives: list[SpeechArchive], cache: Path) -> None:
    first = fetched_speech(silent, archives)[0]
    first.path.unlink()
    with pytest.raises(ConfigError, match=r"is not there, though utterances\.csv names it; delete .*fetches it anew"):
        fetched_speech(silent, archives)
    table = cache / "dev-clean" / "utterances.csv"
    table.write_text(table.read_text().replace(",1.0,", ",one,", 1))
    with pytest.raises(ConfigError, match="'one' is no length in seconds; delete"):
        fetched_speech(silent, archives)


@pytest.mark.usefixtures("cache")
def test_a_corpus_that_was_copied_with_its_recordings_gets_no_second_ones(
    archives: list[SpeechArchive], tmp_path: Path
) -> None:
    utterances, hours = fetched_speech(silent, archives), 10 / 3600
    added = add_speech(tmp_path / "corpus", utterances, "jarvis", hours)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "corpus", copy)
    again = add_speech(copy, utterances, "jarvis", 2 * hours)
    assert added.recordings == 10
    assert again.recordings == len(list((copy / FOLDER).glob("*/*.flac"))) == 20


def test_a_transfer_that_was_killed_goes_on(server: Server, archives: list[SpeechArchive], cache: Path) -> None:
    server.breaks, server.after = 1, 5000
    content = server.contents["/dev-clean.tar.gz"]
    cache.mkdir(parents=True)
    (cache / "dev-clean.tar.gz.partial").write_bytes(content[:7000])
    assert len(fetched_speech(silent, archives[:1])) == SPEAKERS * TAKES
    assert server.asked == ["bytes=7000-", "bytes=12000-"]


def test_another_archive_is_refused(server: Server, archives: list[SpeechArchive], cache: Path) -> None:
    server.contents["/dev-clean.tar.gz"] = packed("dev-clean", 5000)
    with pytest.raises(InfrastructureError, match=r"is not the file that is expected .*leave --real-speech out"):
        fetched_speech(silent, archives)
    assert names_in(cache) == {"dev-clean.lock", "dev-clean.tar.gz.lock"}


@pytest.mark.usefixtures("cache")
def test_a_disk_without_room_is_told_before_anything_is_fetched(
    server: Server, archives: list[SpeechArchive], monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = 1.1 * sum(one.size for one in archives) + max(one.size for one in archives)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=int(needed) - 10))
    with pytest.raises(InfrastructureError, match=r"librispeech: \d+ MB are free there, and people's speech needs \d+"):
        fetched_speech(silent, archives)
    assert not server.asked
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=int(needed) + 10))
    fetched_speech(silent, archives)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    assert fetched_speech(silent, archives), "what is there needs no room"


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "changed": lambda content: content[:2000] + bytes(500) + content[2500:],
    "no archive": lambda _: b"<html>an error page</html>" * 100,
    "an archive of nothing": lambda _: gzip.compress(bytes(10240)),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_an_archive_that_cannot_be_unpacked_leaves_nothing(server: Server, cache: Path, damage: str) -> None:
    content = DAMAGED[damage](server.contents["/dev-clean.tar.gz"])
    server.contents["/dev-clean.tar.gz"] = content
    with pytest.raises(InfrastructureError, match=r"dev-clean\.tar\.gz: cannot be unpacked"):
        fetched_speech(silent, [archive(server, "dev-clean", content)])
    assert names_in(cache) == {"dev-clean.lock", "dev-clean.tar.gz.lock"}


@pytest.mark.parametrize(
    "name", ["../../../../evil.flac", "LibriSpeech/dev-clean/../../../../evil/x.flac", "x/../a/y.flac"]
)
def test_an_archive_that_would_write_elsewhere_is_refused(
    server: Server, cache: Path, tmp_path: Path, name: str
) -> None:
    content = packed("dev-clean", 1000, {name: flac(1)})
    server.contents["/dev-clean.tar.gz"] = content
    with pytest.raises(InfrastructureError, match="cannot be unpacked"):
        fetched_speech(silent, [archive(server, "dev-clean", content)])
    assert names_in(cache) == {"dev-clean.lock", "dev-clean.tar.gz.lock"}
    assert not list(tmp_path.rglob("*.flac"))


# Stops within the unpacking, says so, and waits to be killed.
STOPPED = """
import sys, tarfile
from trainer.data.librispeech import SpeechArchive, fetched_speech
from trainer.data.speech.fetch import Remote
extract = tarfile.TarFile.extract
def stopping(self, *arguments, **options):
    extract(self, *arguments, **options)
    print("unpacking", flush=True)
    sys.stdin.read()
if sys.argv[4] == "stop":
    tarfile.TarFile.extract = stopping
remote = Remote(sys.argv[1], "sha256", sys.argv[2])
found = fetched_speech(lambda _: lambda *_: None, [SpeechArchive("dev-clean", remote, int(sys.argv[3]))])
print(len(found), flush=True)
"""


def another(one: SpeechArchive, how: str) -> subprocess.Popen[str]:
    """A process that fetches too."""
    return subprocess.Popen(
        [sys.executable, "-c", STOPPED, one.remote.address, one.remote.digest, str(one.size), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def test_a_process_that_is_killed_while_it_unpacks_and_one_that_waits_for_it(
    server: Server, archives: list[SpeechArchive], cache: Path
) -> None:
    with another(archives[0], "stop") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "unpacking\n"
        assert "dev-clean" not in names_in(cache), "it has its name when it is whole"
        with another(archives[0], "go on") as second:
            assert second.stderr is not None
            assert "fetching dev-clean" in second.stderr.readline()
            assert second.stderr.readline() == "waiting for another process that fetches dev-clean\n"
            first.send_signal(signal.SIGKILL)
            said, _ = second.communicate(timeout=120)
    assert said == f"{SPEAKERS * TAKES}\n"
    assert names_in(cache) == {"dev-clean", "dev-clean.lock", "dev-clean.tar.gz.lock"}
    assert len(server.asked) == 1, "what the killed one had fetched is used"


@pytest.mark.usefixtures("cache")
def test_the_hours_are_shared_by_the_speakers_and_the_phrase_is_left_out(
    archives: list[SpeechArchive], tmp_path: Path
) -> None:
    utterances = fetched_speech(silent, archives)
    speakers = 2 * SPEAKERS
    for hours, recordings, of_speakers in ((5 * SECONDS / 3600, 5, 5), (1.5 * speakers * SECONDS / 3600, 60, speakers)):
        added = add_speech(tmp_path / "corpus", utterances, "Computer", hours)
        assert (added.recordings, added.speakers) == (recordings, of_speakers)
        assert added.with_phrase == speakers, "a genitive is the phrase, 'computes' is not"
    links = list((tmp_path / "corpus" / FOLDER).glob("*/*.flac"))
    assert {link.name.rpartition("-")[2] for link in links} == {"0000.flac", "0002.flac"}
    assert all(link.is_symlink() and link.is_file() for link in links)
    assert "CC BY 4.0" in (tmp_path / "corpus" / FOLDER / RECORDED_TABLE).read_text()
    everything = add_speech(tmp_path / "corpus", utterances, "okay nabu", 100)
    assert (everything.recordings, everything.with_phrase) == (len(utterances), 0)
    less = add_speech(tmp_path / "corpus", utterances, "okay nabu", 3 * SECONDS / 3600)
    assert names_in(tmp_path / "corpus" / FOLDER) == {"1000", "1001", "1002", RECORDED_TABLE}
    assert str(less).startswith(f"0.00 h of people's speech in {tmp_path / 'corpus' / FOLDER}: 3 recordings of 3")


@pytest.mark.parametrize(
    ("phrase", "text", "reads"),
    [
        ("okay house", "IT IS OKAY HOUSE", True),
        ("okay house", "OKAY HOUSES STAND", True),
        ("okay house", "OKAY THE HOUSE", False),
        ("house", "A LIGHTHOUSE", False),
        ("alexa", "ALEXANDER", False),
        ("it's me", "IT'S ME", True),
        ("Hey, Jarvis!", "HEY JARVIS", True),
        ("привет", "HELLO", False),
    ],
)
def test_who_reads_a_phrase(phrase: str, text: str, reads: bool, tmp_path: Path) -> None:
    said = Utterance("1", tmp_path / "1.flac", 1.0, text)
    assert add_speech(tmp_path / "corpus", [said], phrase, 1).with_phrase == reads


def corpus_with_speech(root: Path, archives: list[SpeechArchive]) -> Path:
    """What `mww-generate --real-speech` makes, with noise for generated speech."""
    rows = ["path,engine,family,speaker"]
    for kind in ("positive", "negative/sentences"):
        for family in range(24):
            path = Path(kind, f"v{family}", "0.wav")
            (root / path).parent.mkdir(parents=True)
            samples = np.random.default_rng(len(rows)).integers(-9000, 9000, 16_000, dtype=np.int16)
            soundfile.write(root / path, samples, 16_000)
            rows.append(f"{path},espeak,f{family},v{family}")
    (root / GENERATED_TABLE).write_text("\n".join(rows) + "\n")
    add_speech(root, fetched_speech(silent, archives), "computer", 1)
    return root


def of_people(records: tuple[SampleRecord, ...]) -> list[SampleRecord]:
    return [record for record in records if FOLDER.name in record.path.parts]


@pytest.mark.parametrize("people", [False, True])
@pytest.mark.parametrize("by", ["generated_dir", "negative_dir"])
@pytest.mark.usefixtures("cache")
def test_a_training_takes_it_as_recorded_and_splits_it_by_speaker(
    archives: list[SpeechArchive], tmp_path: Path, people: bool, by: str
) -> None:
    corpus = corpus_with_speech(tmp_path / "generated", archives)
    recorded = tmp_path / "people"
    for speaker in range(12 if people else 0):
        (recorded / f"p{speaker}").mkdir(parents=True)
        shutil.copyfile(corpus / "positive" / f"v{speaker}" / "0.wav", recorded / f"p{speaker}" / "0.wav")
    if by == "generated_dir":
        paths = folders([recorded] if people else [], [], [corpus])
    else:
        paths = folders([recorded if people else corpus / "positive"], [corpus / "negative"])
    records = load_recordings(paths, 0, jobs=1).records
    taken = of_people(records)
    assert len(taken) == 2 * 2 * SPEAKERS
    assert all(record.label is Label.NEGATIVE and record.speaker == record.path.parent.name for record in taken)
    splits: dict[str, set[Split]] = {}
    for record in taken:
        splits.setdefault(record.speaker, set()).add(record.split)
    assert {len(found) for found in splits.values()} == {1}
    assert set.union(*splits.values()) == set(Split), "it validates and tests too, also where generated speech trains"
    assert {provenance_of([record.path]) for record in taken} == {"unknown"}
    assert provenance_of([record.path for record in records]) == "partly synthetic"
    kinds = {share.kind for share in composition(records, paths)}
    assert kinds == {"librispeech", "generated/negative" if by == "generated_dir" else "sentences"}


def generate(output: Path, *arguments: object) -> list[object]:
    counts = ["--positives", 3, "--near-misses", 2, "--sentences", 2, "--natural", 0, "--engine", "espeak"]
    return ["computer", "--output", output, *counts, "--no-check", "--jobs", 1, *arguments]


@pytest.mark.usefixtures("cache")
def test_the_command_puts_it_beside_generated_speech(
    archives: list[SpeechArchive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(librispeech, "ARCHIVES", archives)
    output = tmp_path / "corpus"
    hours = 2 * SPEAKERS * SECONDS / 3600
    done = run(tmp_path / "features", "mww-generate", *generate(output, "--real-speech", hours, "--language", "de"))
    assert done.returncode == 0, done.stderr
    assert f"h of people's speech in {output / FOLDER}: 40 recordings of 40 speakers" in done.stderr
    assert "40 in which the phrase is read are left out" in done.stderr
    assert "it is English, which must not wake a model for German either" in done.stderr
    again = run(tmp_path / "features", "mww-generate", *generate(output, "--language", "de"))
    assert again.returncode == 0, again.stderr
    assert f"{output / FOLDER} has people's speech of an earlier call" in again.stderr
    assert len(list((output / FOLDER).glob("*/*.flac"))) == 40


def test_without_a_network_nothing_is_spoken(
    server: Server, archives: list[SpeechArchive], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(librispeech, "ARCHIVES", archives)
    wrong = run(tmp_path, "mww-generate", *generate(tmp_path / "corpus", "--real-speech", 1, "--language", "xx"))
    assert "xx" in one_line_error(wrong)
    assert not server.asked
    server.server_close()
    done = run(tmp_path, "mww-generate", *generate(tmp_path / "corpus", "--real-speech", 1))
    assert done.returncode == 3
    told, error = done.stderr.splitlines()
    assert "fetching dev-clean and dev-other" in told
    assert error.startswith(f"error: people's speech is not on this machine yet: {server.address}/dev-clean.tar.gz")
    assert not (tmp_path / "corpus").exists()
    assert names_in(cache) == {"dev-clean.lock", "dev-clean.tar.gz.lock"}
