"""The folder of a studio: everything that is typed, recorded, made and measured lies in it, as the commands read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from studio.jobs.desk import JobDesk
from wakeword.errors import ConfigError
from wakeword.files import check_writable
from wakeword.locks import hold

OWN = ".studio"
"""The studio's own: jobs, token, lock."""
WORDS_FOLDER, RUNS_FOLDER, MODELS_FOLDER = Path("words"), Path("runs"), Path("models")
RESULTS_FOLDER, FIRMWARE_FOLDER = Path("results"), Path("firmware")
"""From the workspace, as commands name them."""


@dataclass(frozen=True)
class Workspace:
    """A folder, and the places in it. Each is made when something is put there."""

    root: Path

    @property
    def words(self) -> Path:
        """A folder for each phrase of the page Start: what its chain made, from speech to report."""
        return self.root / WORDS_FOLDER

    @property
    def datasets(self) -> Path:
        """A folder for each data set: `positive/SPEAKER/` and `negative/SPEAKER/` with recordings."""
        return self.root / "datasets"

    @property
    def runs(self) -> Path:
        """A folder for each training."""
        return self.root / RUNS_FOLDER

    @property
    def models(self) -> Path:
        """A folder for each exported or uploaded model: NAME/NAME.json beside NAME.tflite."""
        return self.root / MODELS_FOLDER

    @property
    def results(self) -> Path:
        """Results of simulations and measurements, and reports."""
        return self.root / RESULTS_FOLDER

    @property
    def firmware(self) -> Path:
        """A folder for each firmware."""
        return self.root / FIRMWARE_FOLDER

    @property
    def own(self) -> Path:
        """What is the studio's own."""
        return self.root / OWN

    @property
    def desk(self) -> JobDesk:
        """The jobs."""
        return JobDesk(self.own / "jobs", self.root)

    def inside(self, relative: str) -> Path:
        """A path within the workspace as a page names it. Raises `ConfigError` for one that leads out of it, or into
        the studio's own folder.
        """
        if "\0" in relative:
            raise ConfigError(f"{relative!r}: is no name of a file")
        path = (self.root / relative).resolve()
        if not path.is_relative_to(self.root.resolve()) or path.is_relative_to(self.own.resolve()):
            raise ConfigError(f"{relative}: is not in the workspace; name a file or folder of it")
        return path

    def relative(self, path: Path) -> str:
        """A path as commands and pages name it: from the workspace where it lies in it."""
        path = path.absolute()
        root = self.root.absolute()
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

    @contextmanager
    def served(self) -> Iterator[None]:
        """Hold the workspace while a server shows it; made where it is missing. Raises `ConfigError` where it cannot
        be, and `InfrastructureError` when another server has it.
        """
        check_writable(self.own / "lock")
        self.own.mkdir(parents=True, exist_ok=True)
        with hold(self.own / "lock", f"{self.root}:", "give another --workspace"):
            yield
