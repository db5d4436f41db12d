"""The page: whole, self-contained, escaped, the same for the same input."""

from __future__ import annotations

import base64
import io
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from harness.results.clips import ClipReader
from harness.results.evidence import PairedStream, misses
from harness.results.report import write_report
from harness.results.runs import run_streams, sweep_cutoffs
from harness.results.schema import Result, RunRecord
from tests.harness.results.builders import (
    CUTOFF_UINT8,
    STRIDE,
    WINDOW,
    clips_run,
    make_result,
    silent_hours,
    stream_run,
    write_tone,
)
from wakeword.detector import Detector
from wakeword.errors import ConfigError

VOID = {"br", "meta", "link", "img", "input", "hr"}
LOADING = {"src", "srcset", "href", "data", "poster", "action", "xlink:href"}


class Page(HTMLParser):
    """Everything a test asks of a page; unbalanced tags are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.source = text
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\N{NO-BREAK SPACE}", " ").split())

    @property
    def marked(self) -> dict[str, str]:
        """The facts that a reader must not overlook, by name."""
        found = re.findall(
            r'<dt>([^<]*)</dt><dd class="bad">(.*?)</dd>|<div class="fair"><dt>([^<]*)</dt><dd>(.*?)</dd>', self.source
        )
        return {
            unescape(name or count): unescape(text or value).replace("\N{NO-BREAK SPACE}", " ")
            for name, text, count, value in found
        }

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def ids(self) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get("id")) is not None]


def page_of(tmp_path: Path, *results: Result, max_clips: int = 20) -> Page:
    output = tmp_path / "report.html"
    write_report(results, output, max_clips=max_clips)
    return Page(output.read_text(encoding="utf-8"))


def result_in(folder: Path) -> Result:
    """Two of four utterances missed, two false accepts in a stream, one of two clips accepted falsely."""
    return make_result(
        [
            clips_run(folder / "wake", [250, 250, 210, 100]),
            stream_run(folder / "stream", [6, 6], [(3, 250), (9, 245)]),
            clips_run(folder / "none", [240, 10], truth="none", label="noise"),
        ]
    )


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Tests leave its recordings as they are."""
    return result_in(tmp_path_factory.mktemp("result"))


@pytest.fixture(scope="module")
def page(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Of the result."""
    return page_of(tmp_path_factory.mktemp("page"), result)


def test_the_page_is_whole(page: Page, result: Result) -> None:
    assert [tag for tag, _ in page.tags if tag == "h1"] == ["h1"]
    assert {"figures", "arena", "curves", "misses", "false-accepts", "method"} <= set(page.ids)
    assert "2 of 4 utterances recognised" in page.text
    assert "no device was asked" in page.text
    for recorded in (
        result.model.tflite_sha256,
        result.model.manifest_sha256,
        result.runs[0].corpus_sha256,
        result.command,
        result.created,
    ):
        assert recorded in page.text


def test_false_accepts_come_first(page: Page) -> None:
    assert page.text.index("False accepts per hour") < page.text.index("Recall")


def test_ids_are_unique_and_links_meet_them(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    targets = {href[1:] for _, attributes in page.tags if (href := attributes.get("href") or "").startswith("#")}
    assert targets <= set(page.ids)


def test_nothing_is_loaded_from_outside(page: Page) -> None:
    loads = {
        value or ""
        for tag, attributes in page.tags
        for name, value in attributes.items()
        if name in LOADING and tag != "path"
    }
    assert all(load.startswith(("#", "data:audio/wav;base64,")) for load in loads)
    assert not re.search(r"https?://|@import|url\((?!#)|<script", page.source)


def test_every_table_header_has_a_scope_and_every_picture_words(page: Page) -> None:
    assert all(header.get("scope") in {"col", "row", "rowgroup"} for header in page.all("th"))
    assert all(attributes.get("aria-label") for _, attributes in page.tags if attributes.get("role") == "img")
    assert all(audio.get("aria-label") and "controls" in audio for audio in page.all("audio"))
    assert len(page.all("caption")) == len(page.all("table"))


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, result: Result) -> None:
    first, second = tmp_path / "1.html", tmp_path / "2.html"
    write_report([result], first, max_clips=3)
    write_report([result], second, max_clips=3)
    assert first.read_bytes() == second.read_bytes()


def test_everything_is_escaped(tmp_path: Path) -> None:
    evil = '<img src=x onerror="x">&\'"'
    path = tmp_path / "a&b <i> \"q\" 'r'.wav"
    run = clips_run(tmp_path, [100], label=evil)
    file = run.files[0].model_copy(update={"path": str(path), "sha256": write_tone(path, 1.2), "speaker": evil})
    result = make_result(
        [run.model_copy(update={"files": (file,), "provenance": "synthetic"})], wake_word=evil, manifest_path=evil
    )
    result = result.model_copy(update={"command": evil, "versions": {evil: evil}})
    page = page_of(tmp_path, result)
    assert not page.all("img") and not page.all("i")[5:]  # the legend's five
    assert page.text.count(" ".join(evil.split())) >= 6
    assert str(path) in page.text
    assert page.all("audio")[0]["aria-label"] == f"Recording {path}"


def test_exactly_one_source_word(tmp_path: Path, page: Page, result: Result) -> None:
    assert "simulated" in page.text and "on-device" not in page.text and "virtual board" not in page.text
    mixed = make_result([*result.runs, silent_hours(1, source="virtual board")])
    with pytest.raises(ConfigError, match="sources"):
        page_of(tmp_path, mixed)


def over_noise(result: Result, dbfs: float) -> Result:
    protocols = [run.protocol.model_copy(update={"noise_floor_dbfs": dbfs}) for run in result.runs]
    runs = [run.model_copy(update={"protocol": one}) for run, one in zip(result.runs, protocols, strict=True)]
    return result.model_copy(update={"runs": tuple(runs)})


def test_noise_of_a_microphone_is_said_wherever_figures_are_and_never_mixed(
    tmp_path: Path, page: Page, result: Result
) -> None:
    words = "with a microphone's noise of -60 dBFS"
    assert "microphone's noise" not in page.source
    noisy = page_of(tmp_path, over_noise(result, -60.0))
    text = noisy.text
    assert text.index(f"simulated {words} Wake word measurement") < text.index(f"Hey Test, simulated, {words}: ")
    assert f"At cutoff 0.90 and a sliding window of 5, {words}." in text
    assert f"{words} means: white noise of this level" in text
    seedless = page_of(tmp_path, over_noise(result.model_copy(update={"seed": None}), -60.0)).text
    assert "none: the microphone's noise follows from the recordings" in seedless
    assert "nothing was drawn by chance" not in seedless
    assert text.count(f"of tail, {words}; each file is one utterance") == 1
    assert f"gaps of 0.5 s, {words}; no file holds the wake word" in text
    assert f"<title>Hey Test — simulated, {words}</title>" in unescape(noisy.source)
    half = over_noise(result, -60.0).model_copy(
        update={"runs": (*over_noise(result, -60.0).runs[:1], *result.runs[1:])}
    )
    for mixed in ([result, over_noise(result, -60.0)], [half], [over_noise(result, -60.0), over_noise(result, -50.0)]):
        with pytest.raises(ConfigError, match=r"cannot merge results with different noise of a microphone"):
            page_of(tmp_path, *mixed)


def test_synthetic_speech_has_a_banner(tmp_path: Path, page: Page, result: Result) -> None:
    assert "Synthetic speech" not in page.text
    some = make_result(
        [result.runs[0].model_copy(update={"provenance": "synthetic", "label": "generated"}), *result.runs[1:]]
    )
    text = page_of(tmp_path, some).text
    assert "Synthetic speech: says nothing about real people." in text and "Made by text-to-speech: generated." in text
    partly = make_result([*result.runs[:2], result.runs[2].model_copy(update={"provenance": "synthetic"})])
    assert (
        page_of(tmp_path, partly).text.count("Total partly synthetic") == 1
    )  # false accepts; recall is real, the clips are synthetic whole
    whole = make_result([run.model_copy(update={"provenance": "synthetic"}) for run in result.runs])
    assert "All recordings were made by text-to-speech." in page_of(tmp_path, whole).text


def test_misses_and_false_accepts_are_capped(tmp_path: Path, result: Result) -> None:
    page = page_of(tmp_path, result, max_clips=1)
    assert len(page.all("audio")) == 2
    assert "1 of 2 left out here" in page.text and "2 of 3 left out here" in page.text
    assert not page_of(tmp_path, result, max_clips=0).all("article")
    with pytest.raises(ConfigError, match="--max-clips -1"):
        page_of(tmp_path, result, max_clips=-1)


def test_nearest_misses_and_surest_false_accepts_come_first(page: Page) -> None:
    text = page.text
    assert text.index("wake2.wav") < text.index("wake3.wav")
    assert text.index("none-stream0.flac") < text.index("none-stream1.flac")


def test_a_response_that_came_too_late_is_on_the_timeline_of_a_stream(tmp_path: Path) -> None:
    whole = stream_run(tmp_path, [6.0], [(4.6, 250)], truth="wake")
    # The recording ends at 3 s; the answer comes 1.6 s later, where nothing else was played yet.
    run = whole.model_copy(
        update={
            "files": (whole.files[0].model_copy(update={"seconds": 3.0}),),
            "protocol": whole.protocol.model_copy(update={"tail_seconds": 3.0}),
        }
    )
    (late,) = run.detections
    streams = [PairedStream(stream) for stream in run_streams(run, STRIDE)]
    (exhibit,) = misses(streams, make_result([run]).model, 5, ClipReader()).exhibits
    (_, timeline) = exhibit.timelines[0]
    assert [mark.text for mark in timeline.detections] == [f"{late.seconds:.2f} s"]
    assert len(timeline.silence) == 1
    # Without a late answer a second of the silence is shown.
    quiet = run.model_copy(update={"detections": ()})
    (exhibit,) = misses(
        [PairedStream(stream) for stream in run_streams(quiet, STRIDE)], make_result([run]).model, 5, ClipReader()
    ).exhibits
    assert "Probability over 4.0 s" in exhibit.timelines[0][1].description


def test_sound_is_the_recording_or_a_reason(tmp_path: Path) -> None:
    result = result_in(tmp_path)
    Path(result.runs[0].files[2].path).unlink()
    write_tone(Path(result.runs[0].files[3].path), 0.5)
    page = page_of(tmp_path, result)
    assert "audio not found" in page.text and "audio changed since the measurement" in page.text
    sources = [audio["src"] or "" for audio in page.all("audio")]
    assert len(sources) == 3
    lengths = []
    for source in sources:
        samples, rate = soundfile.read(io.BytesIO(base64.b64decode(source.partition(",")[2])), dtype="int16")
        assert rate == 16_000 and np.abs(samples).max() > 2000
        lengths.append(round(len(samples) / rate, 2))
    assert sorted(lengths) == [1.2, 4.0, 4.0]


def test_without_probabilities_there_are_no_curves(tmp_path: Path) -> None:
    text = page_of(tmp_path, make_result([silent_hours(10, 2)])).text
    assert "No curve: the probabilities of this measurement were not recorded." in text
    assert "No probabilities were recorded here." in text and "audio not found" in text


@pytest.mark.parametrize("kept", [0, 1])
def test_one_kind_of_run_alone_makes_a_page(tmp_path: Path, result: Result, kept: int) -> None:
    page = page_of(tmp_path, make_result([result.runs[kept]]))
    assert "not measured" in page.text
    assert ("misses" in page.ids, "false-accepts" in page.ids) == (kept == 0, kept == 1)


def test_nothing_missed_is_said(tmp_path: Path) -> None:
    text = page_of(
        tmp_path, make_result([clips_run(tmp_path, [250]), clips_run(tmp_path / "n", [3], truth="none")])
    ).text
    assert "every utterance was recognised" in text and "None in" in text


def test_several_results_show_how_each_was_made(tmp_path: Path, result: Result) -> None:
    parts = [
        make_result([run]).model_copy(update={"command": f"mww-simulate part{index}"})
        for index, run in enumerate(result.runs)
    ]
    text = page_of(tmp_path, *parts).text
    assert all(f"mww-simulate part{index}" in text for index in range(3))
    assert "2 of 4 utterances recognised" in text


@pytest.mark.parametrize("damage", [{"inferences_per_file": (1, 2)}, {"probabilities": "!"}, {"files": ()}])
def test_a_result_that_contradicts_itself_is_refused(tmp_path: Path, damage: dict[str, object]) -> None:
    run = clips_run(tmp_path, [250, 100]).model_copy(update=damage)
    with pytest.raises(ConfigError, match="measure again"):
        page_of(tmp_path, make_result([run]))


@pytest.mark.parametrize("truth", ["wake", "none"])
def test_the_sweep_meets_the_detections_at_the_cutoff_in_use(tmp_path: Path, truth: str) -> None:
    run: RunRecord = stream_run(
        tmp_path, [6, 6, 6], [(3, 250), (5.5, 200), (9, 245), (16, 240)], truth="wake" if truth == "wake" else "none"
    )
    curve = sweep_cutoffs(run_streams(run, STRIDE), WINDOW)
    counts = curve.detected if truth == "wake" else curve.false_accepts
    expected = len({detection.file_index for detection in run.detections}) if truth == "wake" else len(run.detections)
    assert counts[CUTOFF_UINT8] == expected == 3
    assert counts[0] == counts[255] == 0


def test_the_drawn_average_is_the_detectors(tmp_path: Path) -> None:
    run = stream_run(tmp_path, [9], [(2, 250), (2.3, 240), (5, 250), (7, 130)])
    (stream,) = run_streams(run, STRIDE)
    averages = stream.averages(WINDOW)
    detector, ring_sums = Detector(CUTOFF_UINT8, WINDOW), []
    for index in range(stream.stream.slices):
        inference = (index + 1) % STRIDE == 0
        value = int(stream.stream.probabilities[index // STRIDE]) if inference else None
        ring = list(detector._ring)
        if value is not None:
            ring[(detector._newest + 1) % WINDOW] = value
            ring_sums.append(sum(ring))
        detector.step(value)
    assert len(run.detections) >= 2
    np.testing.assert_allclose(averages * 255 * WINDOW, ring_sums, atol=1e-6)
