"""An evaluation's figures against recordings whose outcome can be written down, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.trainer.evaluation.loudness import STRIDE, LoudnessModel, write_bursts
from trainer.config.loader import CONFIG_NAME, load_config
from trainer.config.sections import PathsSection
from trainer.data.composition import Share, composition, write_composition
from trainer.data.dataset import read_recordings, write_recordings
from trainer.data.ingest import Ingestion, Label
from trainer.data.split import Split
from trainer.evaluation import evaluate as evaluating
from trainer.evaluation.evaluate import Evaluation, as_json, evaluate, seconds_to_hear
from trainer.evaluation.robustness import change_count, changed_words
from trainer.evaluation.table import rendered
from trainer.evaluation.windows import word_ends_of
from trainer.inference.runs import ModelCandidate
from trainer.inference.splits import simulate_split, split_records, validation_point
from wakeword.audio import read_samples
from wakeword.corpus.feature_cache import FeatureCache
from wakeword.errors import ConfigError
from wakeword.frontend import device_features
from wakeword.model.manifest import Manifest, MicroSection
from wakeword.scoring.grades import grade_false_accepts, grade_recall
from wakeword.scoring.rates import clopper_pearson, garwood


def candidate(folder: Path, cutoff: float | None = 0.7) -> ModelCandidate:
    manifest = None
    if cutoff is not None:
        micro = MicroSection(probability_cutoff=cutoff, sliding_window_size=2, tensor_arena_size=1)
        manifest = Manifest(wake_word="loud", author="", model="loud.tflite", micro=micro)
    config = load_config(str(folder / CONFIG_NAME))
    return ModelCandidate(None, folder / "loud.tflite", manifest, config, folder, read_recordings(folder))


def measured(folder: Path, split: Split = Split.TEST, cutoff: float | None = 0.7, **also: bool) -> Evaluation:
    return evaluate(candidate(folder, cutoff), LoudnessModel(), split, **also, jobs=1, progress=lambda _: None)


def test_the_device_figures(run_folder: Path) -> None:
    figures = measured(run_folder).device
    assert (figures.recall.found, figures.recall.utterances, figures.recall.interval) == (3, 4, clopper_pearson(3, 4))
    assert {name: (one.found, one.utterances) for name, one in figures.speakers.items()} == {
        "ada": (2, 2),
        "bob": (1, 2),
    }
    assert figures.missed == (3,)
    (false,) = figures.false_accepts
    assert false.path.name == "loud.wav"
    assert 5.0 < false.seconds < 5.5
    # The negatives, and the session: 1.5 s of silence, four words with a pause behind each.
    assert figures.hours == pytest.approx((30 + 1.5 + 4 * (1.2 + 3.5)) / 3600)
    assert figures.per_hour == pytest.approx(1 / figures.hours)
    assert figures.after_words == 0
    assert figures.per_hour_interval == garwood(1, figures.hours)
    assert figures.latency is not None
    # The burst ends at 0.8 s; the model is sure of it as soon as it has begun.
    assert -250 < figures.latency.percentiles_ms[1] < 50
    assert figures.latency.utterances == 3


def test_the_window_metrics_are_those_of_the_same_probabilities(run_folder: Path) -> None:
    evaluation = measured(run_folder)
    windows, calibration = evaluation.windows, evaluation.calibration
    assert windows.positives == 4
    assert windows.negatives == pytest.approx(30.5 / 0.3, abs=2)
    assert windows.threshold == 0.7
    assert windows.recall == 0.75
    assert 0.9 < windows.auc < 1
    assert len(windows.thresholds) == 101
    assert windows.thresholds[0][2] == 1.0
    threshold, false_rate, recall = windows.thresholds[70]
    assert (threshold, recall) == pytest.approx((0.7, 0.75))
    assert false_rate == pytest.approx(1 / windows.negatives)
    assert calibration.base_rate == pytest.approx(4 / (4 + windows.negatives))
    assert (
        sum(part.windows for part in calibration.by_mass)
        == sum(part.windows for part in calibration.by_width)
        == windows.positives + windows.negatives
    )


def test_the_cutoff_comes_from_validation_data_or_from_whoever_gave_it(run_folder: Path) -> None:
    assert measured(run_folder).point.origin == "the manifest's"
    chosen = measured(run_folder, cutoff=None)
    assert "chosen on validation data" in chosen.point.origin
    assert chosen.point == measured(run_folder, Split.VAL, cutoff=None).point
    assert 0.5 < chosen.point.probability_cutoff < 0.8
    given = candidate(run_folder, None)
    given = replace(given, config=load_config(str(run_folder / CONFIG_NAME), (), ["export.probability_cutoff=0.3"]))
    assert evaluate(given, LoudnessModel(), Split.TEST, jobs=1, progress=lambda _: None).point.probability_cutoff == 0.3
    test = simulate_split(LoudnessModel(), split_records(given.records, Split.TEST, run_folder))
    with pytest.raises(ValueError, match="test data must not choose"):
        validation_point(test, 2, 0.5)


def test_an_evaluation_writes_nothing(run_folder: Path) -> None:
    before = {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()}
    evaluation = measured(run_folder, analysis=True)
    assert {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()} == before
    assert evaluation.note.startswith("Test data was not used to choose anything")
    assert "flatter" in measured(run_folder, Split.VAL).note


def test_the_analysis_names_the_worst(run_folder: Path) -> None:
    analysis = measured(run_folder, analysis=True).analysis
    assert analysis is not None
    assert [(one.path.name, one.found) for one in analysis.utterances] == [
        ("t4.wav", False),
        ("t3.wav", True),
        ("t1.wav", True),
        ("t2.wav", True),
    ]
    peaks = [(one.path.name, round(one.seconds), one.accepted) for one in analysis.negatives[:3]]
    assert peaks == [("loud.wav", 5, True), ("loud.wav", 12, False), ("quiet.wav", 3, False)]
    assert [round(one.average, 1) for one in analysis.negatives[:3]] == [0.8, 0.5, 0.3]
    assert analysis.positive_histogram.total == 4
    assert analysis.negative_histogram.total == sum(analysis.negative_histogram.counts) > 900


def test_everything_is_json_and_text(run_folder: Path) -> None:
    evaluation = measured(run_folder, cutoff=0.999, analysis=True)
    assert np.isnan(evaluation.windows.precision), "nothing is accepted"
    assert evaluation.device.latency is None
    values = json.loads(as_json(evaluation), parse_constant=pytest.fail)
    assert values["windows"]["precision"] is None
    assert values["split"] == "test"
    assert values["device"]["recall"]["found"] == 0
    console = Console(width=160)
    with console.capture() as capture:
        console.print(rendered(measured(run_folder, analysis=True)))
    text = capture.get()
    assert (
        text.index("false accepts/h")
        < text.index("recall")
        < text.index("Classic window metrics, for comparison")
        < text.index("Calibration")
    )
    assert "Test data was not used to choose anything" in text
    assert "bob" in text


def test_the_grades_are_those_of_a_report(run_folder: Path) -> None:
    evaluation = measured(run_folder)
    figures, recall = evaluation.device, evaluation.device.recall
    assert evaluation.grades.false_accepts == grade_false_accepts(len(figures.false_accepts), figures.hours, "unknown")
    assert evaluation.grades.recall == grade_recall(recall.found, recall.utterances, "unknown")
    console = Console(width=160)
    with console.capture() as capture:
        console.print(rendered(evaluation))
    assert (
        f"False accepts: {evaluation.grades.false_accepts.headline}. Recall: {evaluation.grades.recall.headline}."
        in capture.get()
    )


def test_latency_leaves_out_words_whose_end_noise_hides(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measured(run_folder).device.latency
    assert whole is not None
    assert whole.hidden == 0
    ends = word_ends_of
    monkeypatch.setattr(
        evaluating,
        "word_ends_of",
        lambda paths, jobs: [replace(one, known=index > 0) for index, one in enumerate(ends(paths, jobs))],
    )
    partly = measured(run_folder).device.latency
    assert partly is not None
    assert (partly.utterances, partly.hidden) == (whole.utterances - 1, 1)


def test_an_empty_split_is_told(run_folder: Path) -> None:
    with pytest.raises(ConfigError, match="the train split holds no positive recordings"):
        measured(run_folder, Split.TRAIN)
    records = [record for record in read_recordings(run_folder) if record.path.name not in ("quiet.wav", "loud.wav")]
    with pytest.raises(ConfigError, match="the test split holds no negative recordings"):
        split_records(records, Split.TEST, run_folder)


def test_changed_recordings_are_told(run_folder: Path) -> None:
    changed = next(record.path for record in read_recordings(run_folder) if record.path.name == "t2.wav")
    write_bursts(changed, 1.3, {0.6: 0.9})
    with pytest.raises(ConfigError, match=r"t2\.wav: 1\.300 s long, but 1\.200 s when the run was trained"):
        measured(run_folder)
    changed.unlink()
    with pytest.raises(ConfigError, match=r"t2\.wav: listed in .*recordings\.csv, but not there \(1 of 6 are gone\)"):
        measured(run_folder)


def test_one_speaker_and_what_the_negatives_are_stand_in_the_report(run_folder: Path) -> None:
    assert measured(run_folder).session_note == ""
    records = [
        replace(record, speaker="eve") if record.label is Label.POSITIVE else record
        for record in read_recordings(run_folder)
    ]
    write_recordings(Ingestion(tuple(records), (), ()), run_folder)
    paths = PathsSection(negative_dir=(run_folder.parent / "audio",))
    write_composition(composition(records, paths), run_folder)
    evaluation = measured(run_folder)
    console = Console(width=200)
    with console.capture() as captured:
        console.print(rendered(evaluation))
    assert "One speaker, split by session: the test says nothing of other people." in captured.get()
    assert "Negatives by folder (number of files): test 0.5 min (2), val none." in captured.get()
    values = json.loads(as_json(evaluation))
    assert values["session_note"].startswith("one speaker")
    assert [(share["kind"], share["recordings"], round(share["hours"] * 3600)) for share in values["negatives"]] == [
        ("test", 2, 30),
        ("val", 0, 0),
    ]


def test_a_list_of_negatives_that_were_not_all_heard_is_left_out(run_folder: Path) -> None:
    """As of a run whose validation heard generated near misses, and no longer does."""
    write_composition([Share(Split.VAL, Label.NEGATIVE, "audio", 1, 0.1)], run_folder)
    assert [share.kind for share in measured(run_folder, Split.VAL).negatives] == ["audio"]
    write_composition(
        [
            Share(Split.VAL, Label.NEGATIVE, "audio", 1, 0.1),
            Share(Split.VAL, Label.NEGATIVE, "near_miss", 3, 0.1),
        ],
        run_folder,
    )
    assert measured(run_folder, Split.VAL).negatives == ()


@pytest.mark.parametrize("split", [Split.VAL, Split.TEST])
@pytest.mark.parametrize("cutoff", [None, 0.7])
@pytest.mark.parametrize("also", [{}, {"temperature": True, "robust": True}], ids=["alone", "with both options"])
def test_all_that_is_heard_is_told_and_counted(
    run_folder: Path, split: Split, cutoff: float | None, also: dict[str, bool]
) -> None:
    told: list[float] = []
    given = candidate(run_folder, cutoff)
    evaluate(given, LoudnessModel(), split, **also, jobs=1, progress=told.append)
    assert sum(told) == pytest.approx(seconds_to_hear(given, split, **also))
    if also:
        assert len(told) >= change_count(STRIDE), "one call a change"


def test_the_best_of_all_cutoffs_is_told_beside_the_one_in_use(run_folder: Path) -> None:
    """The loudest negative has 0.85: above it, two words of four are left."""
    best = measured(run_folder).device.all_cutoffs
    assert best.recall_at_no_faph == 0.5
    assert best.cutoff_for_no_faph is not None
    assert 0.8 < best.cutoff_for_no_faph < 0.9
    # The rate of one false accept in these two minutes is far above 2 an hour.
    assert best.average_viable_recall == 0.5
    assert best == measured(run_folder, cutoff=0.2).device.all_cutoffs


def test_a_temperature_is_fitted_on_validation_whatever_is_measured(run_folder: Path) -> None:
    assert measured(run_folder).temperature is None
    of_test, of_val = (measured(run_folder, split, temperature=True) for split in (Split.TEST, Split.VAL))
    assert of_test.temperature is not None
    assert of_val.temperature is not None
    assert of_test.temperature.temperature == of_val.temperature.temperature
    assert of_test.temperature.fitted_windows == of_val.windows.positives + of_val.windows.negatives
    assert of_val.temperature.likelihood_after < of_val.temperature.likelihood_before
    # But for the ends of the scale, whose steps are taken for their middle.
    assert of_test.temperature.error_before == pytest.approx(of_test.calibration.error.expected, abs=1 / 510)
    assert of_test.temperature.error_after != of_test.temperature.error_before
    console = Console(width=400)
    with console.capture() as capture:
        console.print(rendered(of_test))
    fitted = of_test.temperature
    assert f"A temperature of {fitted.temperature:.2f}, fitted on {fitted.fitted_windows} windows" in capture.get()


def test_robustness_hears_every_word_under_every_change(run_folder: Path) -> None:
    assert measured(run_folder).robustness == ()
    evaluation = measured(run_folder, robust=True)
    changes = [one.change for one in evaluation.robustness]
    shifts = [f"{ms} ms later" for ms in (5, 10, 15, 20, 25)]
    assert changes == [*shifts, "-30 dB", "-20 dB", "-10 dB", "+6 dB", "+12 dB"]
    # This model's memory is 0.2 s: no shift changes what it finds.
    assert [one.recall for one in evaluation.robustness[:5]] == [evaluation.device.recall] * 5
    console = Console(width=160)
    with console.capture() as capture:
        console.print(rendered(evaluation))
    assert "Robustness, at the same cutoff: the same words, changed (no figure of the device)" in capture.get()


def test_what_is_heard_is_changed_as_it_says(run_folder: Path, tmp_path: Path) -> None:
    words = [record.path for record in split_records(read_recordings(run_folder), Split.TEST, run_folder).positives]
    heard = dict(changed_words(FeatureCache(tmp_path), words, 3))
    parts = [np.zeros(24_000, np.int16)]
    for path in words:
        parts += [read_samples(path), np.zeros(56_000, np.int16)]
    sound = np.concatenate(parts)
    louder = np.clip(np.rint(sound * 10 ** (12 / 20)), -32768, 32767).astype(np.int16)
    assert np.abs(louder.astype(int)).max() == 32768 or louder.max() == 32767
    expected = {
        "-20 dB": np.rint(sound * 0.1).astype(np.int16),
        "+12 dB": louder,
        "15 ms later": np.concatenate([np.zeros(240, np.int16), sound]),
    }
    for change, samples in expected.items():
        np.testing.assert_array_equal(heard[change].features.read(), device_features(samples))
