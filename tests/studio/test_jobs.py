"""Jobs: their order, their end, and what of them outlives whom."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from studio.jobs.desk import LOG_TAIL, TRAINING, JobDesk
from studio.jobs.records import LOG_FILE, JobPhase, JobStep, lock_name, process_began
from studio.jobs.wording import phrase_of, step_class
from studio.workspace import Workspace
from tests.studio.servers import DEAF, LOOK, end_jobs, serving, studio_server, wait_until
from wakeword.errors import ConfigError
from wakeword.locks import ATTEMPTS


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path / "workspace")
    made.own.mkdir(parents=True)
    yield made
    end_jobs(made)


def phase_is(desk: JobDesk, name: str, phase: JobPhase) -> None:
    wait_until(desk, lambda: desk.job(name).phase is phase, f"job {name} is {phase}")


def serves(desk: JobDesk, name: str) -> None:
    wait_until(desk, lambda: "Wyoming" in desk.log(name)[0], f"the command of job {name} serves")


def test_a_job_does_its_steps_in_the_workspace(workspace: Workspace) -> None:
    missing = JobStep(title="Verify", command=("mww-verify", "models/none.json"))
    job = workspace.desk.place("Try", "test", [LOOK, missing, LOOK])
    phase_is(workspace.desk, job.name, JobPhase.FAILED)
    job = workspace.desk.job(job.name)
    assert [step.exit_code for step in job.state.steps] == [0, 2]
    assert [step_class(job, number) for number in range(3)] == ["done", "failed", "later"]
    assert phrase_of(job) == "Failed: exit code 2"
    assert "error: models/none.json: " in workspace.desk.log(job.name)[0]
    assert job.can_go_on


def test_one_training_at_a_time_in_their_order(workspace: Workspace, official_models: Path) -> None:
    desk = workspace.desk
    first, second, third = (
        desk.place(title, "test", [serving(official_models)], lane=TRAINING) for title in ("One", "Two", "Three")
    )
    beside = desk.place("Beside", "test", [LOOK])
    phase_is(desk, beside.name, JobPhase.DONE)
    serves(desk, first.name)
    assert [desk.job(one.name).phase for one in (first, second, third)] == ["running", "queued", "queued"]
    assert phrase_of(desk.job(third.name)) == "Waits for its turn, behind job 0001, 0002"
    wait_until(desk, lambda: desk.job(second.name).state.pid, "the second job's process waits")
    desk.stop(second.name)
    phase_is(desk, second.name, JobPhase.STOPPED)
    assert desk.job(third.name).phase is JobPhase.QUEUED
    desk.go_on(second.name)
    assert [one.name for one in desk.job(second.name).state.after] == [first.name, third.name], "it lines up again"
    desk.stop(first.name)
    serves(desk, third.name)
    assert desk.job(second.name).phase is JobPhase.QUEUED


def test_a_killed_server_leaves_jobs_that_the_next_one_finds(tmp_path: Path, official_models: Path) -> None:
    folder = tmp_path / "workspace"
    with studio_server(folder) as server:
        desk = server.workspace.desk
        job = desk.place("Serve", "test", [serving(official_models)])
        serves(desk, job.name)
        server.kill()
    assert desk.job(job.name).alive
    with studio_server(folder) as again:
        assert again.token == server.token, "an open page goes on"
        assert again.workspace.desk.job(job.name).phase is JobPhase.RUNNING
    end_jobs(again.workspace)
    assert desk.job(job.name).phase is JobPhase.STOPPED


def test_a_killed_job_is_seen_and_leaves_no_command_behind(workspace: Workspace, official_models: Path) -> None:
    desk = workspace.desk
    job = desk.place("Serve", "test", [LOOK, serving(official_models)])
    serves(desk, job.name)
    (command,) = (
        Path(f"/proc/{desk.job(job.name).state.pid}/task/{desk.job(job.name).state.pid}/children").read_text().split()
    )
    os.kill(desk.job(job.name).state.pid, signal.SIGKILL)
    phase_is(desk, job.name, JobPhase.KILLED)
    assert process_began(int(command)) == 0, "as long as the command lives, its job does"
    with pytest.raises(ConfigError, match="has ended: killed"):
        desk.stop(job.name)
    desk.go_on(job.name)
    wait_until(desk, lambda: desk.log(job.name)[0].count("$ mww-judge") == 2, "it goes on")
    assert desk.log(job.name)[0].count("$ mww-verify") == 1
    with pytest.raises(ConfigError, match="is running; only one that ended"):
        desk.go_on(job.name)
    with pytest.raises(ConfigError, match="stop it first"):
        desk.remove(job.name)


def test_a_command_that_does_not_end_is_ended_by_a_second_stop(workspace: Workspace) -> None:
    desk = workspace.desk
    job = desk.place("Deaf", "test", [DEAF], lane=TRAINING)
    behind = desk.place("Behind", "test", [LOOK], lane=TRAINING)
    wait_until(desk, lambda: "\ndeaf" in desk.log(job.name)[0], "the command is at work")
    desk.stop(job.name)
    wait_until(desk, lambda: desk.job(job.name).state.stopping, "it was told to end")
    assert phrase_of(desk.job(job.name)) == "Stopping: its command saves what it has"
    desk.stop(job.name)
    phase_is(desk, job.name, JobPhase.STOPPED)
    assert not desk.job(job.name).state.stopping
    phase_is(desk, behind.name, JobPhase.DONE)


@pytest.mark.parametrize("_", range(6))
def test_a_stop_at_any_moment_leaves_no_command_at_work(workspace: Workspace, official_models: Path, _: int) -> None:
    desk = workspace.desk
    job = desk.place("Serve", "test", [LOOK, serving(official_models)])
    wait_until(desk, lambda: desk.job(job.name).state.pid, "its process has begun")
    wait_until(desk, lambda: desk.job(job.name).step, "its first command begins")
    desk.stop(job.name)
    wait_until(desk, lambda: not desk.job(job.name).alive, "it has ended")
    assert desk.job(job.name).phase is JobPhase.STOPPED
    assert not list(_commands_of(job.folder)), "what is stopped is at work no more"


def _commands_of(folder: Path) -> Iterator[str]:
    """Processes that write the progress of a job."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes() and process_began(int(process.name)):
                yield process.name
        except OSError:
            continue


def test_what_was_begun_is_gone_on_with(workspace: Workspace) -> None:
    desk = workspace.desk
    step = JobStep(title="Measure", command=("mww-verify", "none.json"), resumed=("--resume",), begun="session.json")
    job = desk.place("Measure", "test", [step])
    phase_is(desk, job.name, JobPhase.FAILED)
    desk.go_on(job.name)
    phase_is(desk, job.name, JobPhase.FAILED)
    assert "--resume" not in desk.log(job.name)[0]
    (workspace.root / "session.json").touch()
    desk.go_on(job.name)
    wait_until(desk, lambda: "$ mww-verify none.json --resume\n" in desk.log(job.name)[0], "it goes on")


def test_what_the_process_of_a_job_complained_of_is_told(workspace: Workspace) -> None:
    desk = workspace.desk
    job = desk.place("Try", "test", [LOOK])
    phase_is(desk, job.name, JobPhase.DONE)
    assert desk.job(job.name).complaint == ""
    (job.folder / "runner.txt").write_text("Traceback\n  …\nOSError: [Errno 28] No space left on device\n")
    assert desk.job(job.name).complaint == "OSError: [Errno 28] No space left on device"


def test_a_folder_that_a_kill_left_stops_nothing(workspace: Workspace) -> None:
    desk = workspace.desk
    (desk.folder / "0001").mkdir(parents=True)
    assert desk.place("Try", "test", [LOOK]).name == "0002"
    assert [job.name for job in desk.jobs()] == ["0002"]


def test_no_number_is_given_twice(workspace: Workspace) -> None:
    desk = workspace.desk
    job = desk.place("Try", "test", [LOOK])
    phase_is(desk, job.name, JobPhase.DONE)
    desk.remove(job.name)
    assert not job.folder.exists()
    assert desk.place("Again", "test", [LOOK]).name == "0002"


def test_a_job_that_has_just_ended_is_removed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says comes a moment before its process has ended: who asks in between does not hear that it works."""
    desk = workspace.desk
    job = desk.place("Look", "test", [LOOK])
    phase_is(desk, job.name, JobPhase.DONE)
    (lock,) = (desk.folder / job.name).glob(lock_name("*"))
    looks = []
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        def passes(_: float) -> None:
            looks.append(1)
            if len(looks) == 2 * ATTEMPTS:
                fcntl.flock(held, fcntl.LOCK_UN)

        with monkeypatch.context() as patch:
            patch.setattr("wakeword.locks.time.sleep", passes)
            desk.remove(job.name)
    assert len(looks) == 2 * ATTEMPTS
    assert not (desk.folder / job.name).exists()


@pytest.mark.parametrize("file", ["job.json", "state.json"])
def test_a_damaged_job_is_told_and_removed_and_stands_in_nobodys_way(workspace: Workspace, file: str) -> None:
    desk = workspace.desk
    broken = desk.place("Try", "test", [LOOK])
    phase_is(desk, broken.name, JobPhase.DONE)
    (broken.folder / file).write_text("{")
    after = desk.place("After", "test", [LOOK], lane=TRAINING)
    phase_is(desk, after.name, JobPhase.DONE)
    assert [job.name for job in desk.jobs()] == [after.name]
    ((name, line),) = desk.damaged().items()
    assert name == broken.name
    assert "damaged: remove it" in line
    desk.remove(broken.name)
    assert not desk.damaged()


def test_what_lies_between_is_undisturbed(workspace: Workspace) -> None:
    """Both ask whether there is a job, and place one where there is none: there is one."""
    ready = threading.Barrier(2)

    def ask(_: int) -> None:
        ready.wait(30)
        with workspace.desk.undisturbed():
            if not workspace.desk.jobs():
                workspace.desk.place("Once", "test", [LOOK])

    with ThreadPoolExecutor(2) as two:
        list(two.map(ask, range(2)))
    assert len(workspace.desk.jobs()) == 1


def test_letters_of_several_bytes_are_whole_wherever_a_log_is_cut(workspace: Workspace) -> None:
    desk = workspace.desk
    job = desk.place("Look", "test", [LOOK])
    phase_is(desk, job.name, JobPhase.DONE)
    letters = "ü€" * 50_000
    (job.folder / LOG_FILE).write_bytes(letters.encode())
    tail, end = desk.log(job.name)
    assert end == len(letters.encode())
    assert letters.endswith(tail)
    assert len(tail.encode()) > LOG_TAIL - 3


def test_a_letter_that_is_written_half_is_given_when_it_is_whole(workspace: Workspace, official_models: Path) -> None:
    desk = workspace.desk
    job = desk.place("Serve", "test", [serving(official_models)])
    serves(desk, job.name)
    _, end = desk.log(job.name)
    with (job.folder / LOG_FILE).open("ab") as log:
        log.write("sagt \N{LATIN SMALL LETTER U WITH DIAERESIS}".encode()[:-1])
        log.flush()
        text, end = desk.log(job.name, end)
        assert text == "sagt "
        log.write("\N{LATIN SMALL LETTER U WITH DIAERESIS}".encode()[-1:])
        log.flush()
        text, end = desk.log(job.name, end)
    assert text == "\N{LATIN SMALL LETTER U WITH DIAERESIS}"


@pytest.mark.parametrize("name", ["9", "0001", "../..", ""])
def test_no_such_job(workspace: Workspace, name: str) -> None:
    with pytest.raises(ConfigError, match="there is no job"):
        workspace.desk.job(name)


def test_a_second_server_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    with (
        studio_server(tmp_path / "workspace"),
        pytest.raises(AssertionError, match=r"in use by pid \d+ \(mww-studio"),
        studio_server(tmp_path / "workspace"),
    ):
        pass


def test_a_port_in_use(tmp_path: Path) -> None:
    with (
        studio_server(tmp_path / "one") as server,
        pytest.raises(AssertionError, match=f"port {server.port} is in use; give another --port"),
        studio_server(tmp_path / "two", server.port),
    ):
        pass
