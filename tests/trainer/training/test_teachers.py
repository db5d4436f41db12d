"""Which earlier runs may teach a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from trainer.config.loader import CONFIG_NAME, load_config, write_config
from trainer.config.sections import TrainerConfig
from trainer.data.dataset import write_recordings
from trainer.data.ingest import Ingestion, Label, SampleRecord
from trainer.data.mined import MinedClip, write_table
from trainer.data.split import Split
from trainer.networks.weights import BEST_WEIGHTS, save_weights
from trainer.training.checkpoints import STATE, RunState, save_state
from trainer.training.patience import Patience
from trainer.training.run_files import TABLE as VALIDATION_NAME
from trainer.training.teachers import check_teachers, open_teachers
from wakeword.errors import ConfigError
from wakeword.part import Part

SMALL = (
    "model.first_conv_filters=6",
    "model.pointwise_filters=6,6",
    "model.mixconv_kernel_sizes=[3],[5]",
    "model.repeat_in_block=1,1",
    "model.residual_connection=0,0",
)


def record(name: str, split: Split) -> SampleRecord:
    return SampleRecord(
        Path("/recordings") / f"{name}.wav", Label.POSITIVE, split, name, 1.0, 16_000, sha256=f"{ord(name):064x}"
    )


RECORDS = (record("a", Split.TRAIN), record("b", Split.VAL), record("c", Split.TEST))


def config(*settings: str) -> TrainerConfig:
    return load_config("standard", (), ["export.wake_word=Computer", *SMALL, *settings])


def run(folder: Path, records: tuple[SampleRecord, ...] = RECORDS, *settings: str) -> Path:
    """A run's folder with untrained weights; the checkpoint."""
    from trainer.networks.models import build_model

    own = config(*settings)
    write_recordings(Ingestion(records, (), ()), folder)
    write_config(own, folder / CONFIG_NAME)
    (folder / VALIDATION_NAME).write_text("step,recall\n500,0.5\n30000,0.9\n")
    checkpoint = folder / "checkpoints" / BEST_WEIGHTS
    network = own.model
    save_weights(build_model(network, own.slices), checkpoint)
    return checkpoint


def taught_by(*checkpoints: Path) -> TrainerConfig:
    return config(f"training.teachers=[{', '.join(map(str, checkpoints))}]")


def test_teachers_of_the_same_split_are_opened(tmp_path: Path) -> None:
    first, second = (
        run(tmp_path / "first"),
        run(tmp_path / "second", RECORDS, "training.seed=2", "model.pointwise_filters=9,6"),
    )
    chosen = taught_by(first, second)
    check_teachers(chosen, RECORDS)
    distillation = open_teachers(chosen)
    assert distillation is not None
    assert [teacher.network.pointwise_filters for teacher in distillation.teachers] == [(6, 6), (9, 6)]
    other = open_teachers(taught_by(second, first))
    assert other is not None
    assert other.fingerprint != distillation.fingerprint
    assert open_teachers(config()) is None
    assert config(f"training.teachers={first}").training.teachers == (first,)
    check_teachers(config(), RECORDS)


@pytest.mark.parametrize(
    ("moved", "named"),
    [
        pytest.param(("b", Split.TRAIN), "b", id="what validates trained"),
        pytest.param(("c", Split.TRAIN), "c", id="what tests trained"),
        pytest.param(("c", Split.VAL), "c", id="what tests chose its checkpoint"),
    ],
)
def test_a_teacher_that_heard_what_is_held_out_is_refused(tmp_path: Path, moved: tuple[str, Split], named: str) -> None:
    name, split = moved
    heard = tuple(
        replace(record(name, split), path=Path("/elsewhere/copy.wav")) if one.path.stem == name else one
        for one in RECORDS
    )
    message = (
        rf"heard /recordings/{named}\.wav, which validates or tests this run \(1 such recordings\);"
        r" .*paths\.splits=.*recordings\.csv"
    )
    with pytest.raises(ConfigError, match=message):
        check_teachers(taught_by(run(tmp_path / "run", heard)), RECORDS)


def test_a_teacher_may_test_itself_with_what_trains_this_run(tmp_path: Path) -> None:
    check_teachers(taught_by(run(tmp_path / "run", (replace(RECORDS[0], split=Split.TEST), *RECORDS[1:]))), RECORDS)


def test_a_teacher_that_mined_what_is_held_out_is_refused(tmp_path: Path) -> None:
    clip = tmp_path / "hard" / "mined.wav"
    clip.parent.mkdir()
    row = MinedClip(clip.name, "0" * 64, "/gone/c.wav", RECORDS[2].sha256, 0, 16_000, 0.9, 0.5, "0" * 64, "2026-11-21")
    write_table(clip.parent, [row])
    mined = replace(record("m", Split.TRAIN), path=clip, label=Label.HARD_NEGATIVE)
    with pytest.raises(ConfigError, match=r"heard /recordings/c\.wav, which validates or tests"):
        check_teachers(taught_by(run(tmp_path / "run", (*RECORDS, mined))), RECORDS)


def test_a_teacher_of_another_word_is_refused(tmp_path: Path) -> None:
    other = tuple(replace(one, sha256=f"{index:064x}") for index, one in enumerate(RECORDS))
    turned = (replace(RECORDS[0], label=Label.NEGATIVE), *RECORDS[1:])
    for name, records, own in (("none in common", other, RECORDS), ("a negative here", RECORDS, turned)):
        with pytest.raises(ConfigError, match="learned another wake word"):
            check_teachers(taught_by(run(tmp_path / name, records)), own)


def test_a_teacher_that_was_taught_is_refused(tmp_path: Path) -> None:
    first = run(tmp_path / "first")
    second = run(tmp_path / "second", RECORDS, f"training.teachers={first}")
    with pytest.raises(ConfigError, match="was itself taught"):
        check_teachers(taught_by(second), RECORDS)


def test_a_teacher_that_is_not_finished_is_refused(tmp_path: Path) -> None:
    checkpoint = run(tmp_path / "run")
    (tmp_path / "run" / VALIDATION_NAME).write_text("step,recall\n500,0.5\n")
    with pytest.raises(ConfigError, match="its run has done 500 of 30000 steps"):
        check_teachers(taught_by(checkpoint), RECORDS)
    (tmp_path / "run" / VALIDATION_NAME).unlink()
    with pytest.raises(ConfigError, match="its run has done 0 of 30000 steps"):
        check_teachers(taught_by(checkpoint), RECORDS)


def test_a_teacher_whose_training_ended_early_is_finished(tmp_path: Path) -> None:
    checkpoint = run(tmp_path / "run", RECORDS, "training.early_stopping_evaluations=3")
    (tmp_path / "run" / VALIDATION_NAME).write_text("step,recall\n500,0.5\n")
    for waited in (2, 3):
        save_state(checkpoint.parent / STATE, RunState("", step=500, patience=Patience(waited=waited)), [])
        if waited == 2:
            with pytest.raises(ConfigError, match="its run has done 500 of 30000 steps"):
                check_teachers(taught_by(checkpoint), RECORDS)
    check_teachers(taught_by(checkpoint), RECORDS)


def test_a_teacher_whose_recordings_are_unknown_is_refused(tmp_path: Path) -> None:
    checkpoint = run(tmp_path / "run", tuple(replace(one, sha256="") for one in RECORDS))
    with pytest.raises(
        ConfigError, match=r"recordings\.csv: of an older version, without the files' hashes; train this teacher again"
    ):
        check_teachers(taught_by(checkpoint), RECORDS)


def test_a_teacher_of_another_window_is_refused(tmp_path: Path) -> None:
    checkpoint = run(tmp_path / "run", RECORDS, "hardware.clip_duration_ms=900")
    with pytest.raises(
        ConfigError,
        match=(
            r"reads windows of \d+ slices and this run has \d+; give a teacher with the same hardware\.clip_duration_ms"
        ),
    ):
        check_teachers(taught_by(checkpoint), RECORDS)


def test_what_is_no_teacher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.weights\.h5: does not exist; give the checkpoints/best_weights"):
        check_teachers(taught_by(tmp_path / "none.weights.h5"), RECORDS)
    lone = tmp_path / "a" / "b" / "lone.weights.h5"
    lone.parent.mkdir(parents=True)
    lone.write_bytes(b"")
    with pytest.raises(
        ConfigError, match=r"config\.yaml: does not exist; give a checkpoint within the folder of its run"
    ):
        check_teachers(taught_by(lone), RECORDS)
    damaged = run(tmp_path / "damaged")
    damaged.write_bytes(b"no weights")
    with pytest.raises(ConfigError, match="holds no weights"):
        check_teachers(taught_by(damaged), RECORDS)
    other = run(tmp_path / "other", RECORDS, "model.pointwise_filters=9,6")
    other.replace(damaged)
    check_teachers(taught_by(damaged), RECORDS)
    with pytest.raises(ConfigError, match="not the weights of this model"):
        open_teachers(taught_by(damaged))


@pytest.mark.parametrize("share", ["0", "1.5", "-1"])
def test_a_share_out_of_range_is_refused(share: str) -> None:
    with pytest.raises(ConfigError, match="teaching_share"):
        config(f"training.teaching_share={share}")


def test_a_teacher_that_heard_a_stretch_that_this_run_tests_with_is_refused(tmp_path: Path) -> None:
    def evening(start: int, end: int, split: Split) -> SampleRecord:
        return SampleRecord(
            Part(Path("/recordings/evening.wav"), start, end).path,
            Label.NEGATIVE,
            split,
            "negative/evening",
            9.0,
            16_000,
            sha256="e" * 64,
        )

    teacher = taught_by(
        run(tmp_path / "teacher", (*RECORDS, evening(0, 100, Split.TRAIN), evening(103, 200, Split.VAL)))
    )
    check_teachers(teacher, (*RECORDS, evening(110, 200, Split.VAL), evening(0, 100, Split.TRAIN)))
    for mine in (evening(99, 140, Split.VAL), evening(150, 200, Split.TEST)):
        with pytest.raises(ConfigError, match=r"heard /recordings/evening\.wav#t=.* validates or tests this run"):
            check_teachers(teacher, (*RECORDS, mine))
