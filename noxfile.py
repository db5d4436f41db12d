"""Everything that is done with this project, each as one command: `nox -s NAME`.

Each session has an environment of its own, installed from uv.lock, so that nothing on the machine changes a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

PYTHON = "3.12"
USED = [word for extra in ("train", "jax", "bench", "audio", "voices") for word in ("--extra", extra)]
"""What a user of the whole project installs on a machine without a GPU."""
TESTED = [*USED, "--extra", "dask", "--extra", "judge", "--extra", "search", "--extra", "studio", "--group", "test"]
"""What the tests need."""


def install(session: nox.Session, *arguments: str) -> None:
    """Install the project and what `arguments` ask of its extras and groups, exactly as uv.lock has them."""
    environment = {
        "UV_PROJECT_ENVIRONMENT": session.virtualenv.location,
        # TensorFlow imports in a third of the time when it is compiled on installation.
        "UV_COMPILE_BYTECODE": "1",
    }
    session.run_install(
        "uv",
        "sync",
        "--locked",
        "--no-default-groups",
        f"--python={session.virtualenv.location}",
        *arguments,
        env=environment,
    )


@nox.session(python=PYTHON)
def cycle(session: nox.Session) -> None:
    """Generate speech, train a model on it, export, verify, simulate on speakers that training never heard, and report.

    Arguments go to the cycle: `nox -s cycle -- --phrase "okay house" --output runs/house`. With `--board virtual` the
    model is also built into a firmware and measured on a virtual board; with a board of `boards.yaml` it is flashed and
    hears a loudspeaker. `--phrase` and `--board` may be repeated: one report then tells of all.
    """
    run_cycle(session)


@nox.session(python=PYTHON)
def train(session: nox.Session) -> None:
    """The cycle's first part: a model from a phrase. `nox -s train -- --phrase "okay house"`; options as `cycle` has
    them.
    """
    run_cycle(session, "--only", "train")


@nox.session(python=PYTHON)
def flash(session: nox.Session) -> None:
    """The cycle's second part: the trained model in a firmware, on a board:
    `nox -s flash -- --phrase "okay house" --board desk`.
    """
    run_cycle(session, "--only", "flash")


@nox.session(python=PYTHON)
def measure(session: nox.Session) -> None:
    """The cycle's last part: the model measured and reported, on the board that `flash` prepared or, without `--board`,
    simulated: `nox -s measure -- --phrase "okay house" --board desk`.
    """
    run_cycle(session, "--only", "measure")


def run_cycle(session: nox.Session, *only: str) -> None:
    """Run the cycle, or what it shall do alone, with the session's arguments."""
    install(session, *USED)
    # After Ctrl-C the training saves its state before it ends.
    session.run(
        "python", str(Path("scripts") / "cycle.py"), *only, *session.posargs, interrupt_timeout=60, terminate_timeout=10
    )


def in_parallel(arguments: Sequence[str]) -> list[str]:
    """What makes pytest use all cores, unless `arguments` decide it, name a single file, or let in tests at real time:
    a busy machine spoils those.
    """
    decided = any(argument.startswith(("-n", "--numprocesses", "--dist", "--pdb", "--trace")) for argument in arguments)
    paths = [argument for argument in arguments if Path(argument.partition("::")[0]).exists()]
    one_file = len(paths) == 1 and Path(paths[0].partition("::")[0]).is_file()
    marked = any(argument.startswith("-m") for argument in arguments)
    realtime = marked and not any(
        left_out in argument for argument in arguments for left_out in ("not realtime", "not slow")
    )
    # A process that has nothing left to do takes tests from the end of another's list.
    return [] if decided or one_file or realtime else ["-n", "logical", "--dist", "worksteal"]


@nox.session(python=PYTHON)
def tests(session: nox.Session) -> None:
    """Run the tests on all cores; arguments go to pytest. `nox -s tests -- -m slow` runs those that take minutes,
    `-n 0` one after the other.
    """
    install(session, *TESTED)
    selection = [] if any(argument.startswith("-m") for argument in session.posargs) else ["-m", "not slow"]
    # Tests start hundreds of programs of ours, which would all be compiled again where the machine's user keeps no
    # bytecode.
    session.run(
        "pytest", *selection, *in_parallel(session.posargs), *session.posargs, env={"PYTHONDONTWRITEBYTECODE": None}
    )


@nox.session(python=PYTHON, default=False)
def hardware(session: nox.Session) -> None:
    """Run the tests that any board passes: `nox -s hardware -- --board NAME`, a board of `boards.yaml` or `virtual`."""
    install(session, *TESTED)
    session.run("pytest", "-m", "hardware", *session.posargs)


@nox.session(python=PYTHON)
def lint(session: nox.Session) -> None:
    """Check format, style and types."""
    install(session, *TESTED, "--group", "lint")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")


@nox.session(python=PYTHON, default=False)
def bench(session: nox.Session) -> None:
    """Measure speeds, each beside what it is compared with in the same run. Arguments: folders of recordings to use."""
    install(session, "--extra", "train", "--group", "test")
    session.run("python", str(Path("benchmarks") / "simulation.py"), *session.posargs)
    session.run("python", str(Path("benchmarks") / "augmentation.py"))
    session.run("python", str(Path("benchmarks") / "training.py"))


@nox.session(python=PYTHON, default=False)
def quality(session: nox.Session) -> None:
    """Train from a typed phrase by several recipes and test each on real people:
    `nox -s quality -- --recipes plain --words alexa`. Hours.
    """
    install(session, *TESTED)
    session.run(
        "python", str(Path("benchmarks") / "quality.py"), *session.posargs, interrupt_timeout=60, terminate_timeout=10
    )


@nox.session(python=PYTHON, default=False)
def cluster(session: nox.Session) -> None:
    """Test speaker clustering beside PyTorch and SpeechBrain, in an environment of its own without TensorFlow."""
    install(session, "--extra", "cluster", "--group", "test")
    session.run("pytest", str(Path("tests") / "trainer" / "clustering"), *session.posargs)
