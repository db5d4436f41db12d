"""`mww-search` as a user runs it: refused before any work, run by processes, interrupted, killed, run by two."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import DEADLINE_S, one_line_error, run, run_apart
from tests.once import made_once
from tests.trainer.commands.cycle import alive, started, wait_until
from tests.trainer.search.tones import SPACE, arguments, write_corpus
from trainer.search.results import BASE, Outcome, TrialRecord
from trainer.search.study import Sampling, open_study
from trainer.training.run import DUPLICATES_NAME


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings, a space, and what is to be given with `--set`."""

    def make(folder: Path) -> None:
        (folder / "settings.txt").write_text("\n".join(write_corpus(folder)))
        (folder / "space.yaml").write_text(SPACE)

    return made_once(tmp_path_factory, "tones", make)


def given(corpus: Path, output: Path, *more: object) -> list[object]:
    settings = (corpus / "settings.txt").read_text().splitlines()
    return arguments(settings, corpus / "space.yaml", output, *more)


def records(folder: Path) -> Iterator[TrialRecord]:
    with open_study(folder, Sampling(0, 5, 0)) as study:
        yield from study.records()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--space", "smal"), "--space smal: neither a preset nor a file; did you mean small?"),
        (("--board", "ESP8266"), "--board ESP8266: no known board; give one of ESP32-S3 N8R8"),
        (("--set", "training.batch_size=0"), "training.batch_size is 0"),
        (("--set", "paths.positive_dir=nowhere"), "nowhere"),
        (("--set", "export.wake_word="), "export.wake_word"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_any_work(
    corpus: Path, tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    output = tmp_path / "search"
    assert said in one_line_error(run(tmp_path / "cache", "mww-search", *given(corpus, output, *more)))
    assert not output.exists()


def test_a_folder_with_something_else_is_refused(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "recordings.csv").touch()
    refused = run(tmp_path / "cache", "mww-search", *given(corpus, tmp_path))
    assert "holds something else, no search; give another --output" in one_line_error(refused)
    assert "is a file; name a folder" in one_line_error(
        run(tmp_path / "cache", "mww-search", *given(corpus, tmp_path / "recordings.csv"))
    )


def test_a_search_by_processes_and_the_same_command_again(corpus: Path, tmp_path: Path) -> None:
    output, cache = tmp_path / "search", tmp_path / "cache"
    compared = ("--set", "speaker_clustering.leakage_audit_enabled=true")
    command = given(corpus, output, "--trials", 2, "--processes", 2, *compared)
    done = run(cache, "mww-search", *command)
    assert done.returncode == 0, done.stderr
    assert "Trials: 3 done" in done.stdout
    assert "flatters it" in done.stdout
    assert re.search(
        r"^trial base: the configuration itself; flash [\d,]+ bytes, arena [\d,]+ bytes", done.stderr, re.M
    )
    assert f"Next: mww-evaluate --checkpoint {output}" in done.stdout
    assert (output / "best" / "loud.json").is_file()
    assert "<svg" in (output / "search.html").read_text()
    found = (output / DUPLICATES_NAME).read_text()
    assert {(run / DUPLICATES_NAME).read_text() for run in (output / "trials").iterdir()} == {found}
    before = [record.runs for record in records(output)]
    again = run(cache, "mww-search", *command)
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout
    assert "going on with the search" in again.stderr
    assert [record.runs for record in records(output)] == before
    refused = run(cache, "mww-search", *command, "--max-arena-kb", 100)
    assert "holds a search with another budget; give another --output" in refused.stderr.splitlines()[-1]
    assert refused.returncode == 2


LONG = ("--set", "training.training_steps=[2000]", "--set", "training.eval_step_interval=50", "--no-pruning")


def at_work(output: Path) -> bool:
    """Whether a drawn trial has been evaluated, so that there is something to go on from."""
    return any((output / "trials").glob("00*/checkpoints/training_state.npz"))


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on(corpus: Path, tmp_path: Path) -> None:
    """With all its processes at once, and then a process of it alone."""
    output, cache, log = tmp_path / "search", tmp_path / "cache", tmp_path / "stderr.txt"
    command = given(corpus, output, "--trials", 2, "--no-base", *LONG)
    with started(cache, "mww-search", *command, log=log) as process:
        wait_until(lambda: at_work(output), process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(DEADLINE_S)
        wait_until(lambda: not alive(process.pid))  # its processes end with it
    (killed,) = records(output)
    assert killed.outcome is Outcome.RUNNING
    with started(cache, "mww-search", *command, log=log) as process:
        wait_until(lambda: "trial 001: training" in log.read_text(), process)
        (child,) = children(process.pid)
        os.kill(child, signal.SIGKILL)
        process.wait(DEADLINE_S)
    assert process.returncode == 0, log.read_text()
    assert re.search(r"^trial 000: going on after step \d+$", log.read_text(), re.M)
    first, second = records(output)
    assert (first.outcome, first.drawn) == (Outcome.DONE, killed.drawn)
    assert (second.outcome, second.said) == (Outcome.FAILED, "its process died (signal 9)")


def children(parent: int) -> list[int]:
    """Processes of a search that train."""
    numbers = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(one) for one in numbers if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_search_ends_in_order_and_goes_on(
    corpus: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    output, cache, log = tmp_path / "search", tmp_path / "cache", tmp_path / "stderr.txt"
    command = given(corpus, output, "--trials", 1, "--no-base", *LONG)
    with started(cache, "mww-search", *command, log=log) as process:
        wait_until(lambda: at_work(output), process)
        # As a terminal does it: the whole group hears Ctrl-C.
        (os.killpg if number is signal.SIGINT else os.kill)(process.pid, number)
        process.wait(DEADLINE_S)
        wait_until(lambda: not alive(process.pid))  # Python's own tracker of resources ends a moment later
    assert process.returncode == code, log.read_text()
    assert "Traceback" not in log.read_text()
    assert log.read_text().splitlines()[-1].startswith("error: ")
    done = run_apart(cache, "mww-search", *command)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^trial 000: going on after step \d+$", done.stderr, re.M)
    assert [record.outcome for record in records(output)] == [Outcome.DONE]


@pytest.mark.slow
def test_two_commands_share_a_search(corpus: Path, tmp_path: Path) -> None:
    output, cache = tmp_path / "search", tmp_path / "cache"
    command, logs = given(corpus, output, "--trials", 3), [tmp_path / "one.txt", tmp_path / "other.txt"]
    with (
        started(cache, "mww-search", *command, log=logs[0]) as one,
        started(cache, "mww-search", *command, log=logs[1]) as other,
    ):
        for process in (one, other):
            process.communicate(timeout=DEADLINE_S)
    assert (one.returncode, other.returncode) == (0, 0), [log.read_text() for log in logs]
    found = list(records(output))
    assert [record.name for record in found] == [BASE, "000", "001", "002"]
    assert all(record.outcome is not Outcome.RUNNING for record in found)
    begun = [
        line for log in logs for line in log.read_text().splitlines() if re.match(r"trial \w+: (the|training)", line)
    ]
    assert len(begun) == len({line.split(":")[0] for line in begun}) == 4, "each was trained by one of them"
    assert (output / "search.html").is_file()
