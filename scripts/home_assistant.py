"""The Home Assistant add-on with all that its image is built of, as a repository of add-ons:

    python scripts/home_assistant.py FOLDER

FOLDER is made. Its wake_word_studio/ goes into Home Assistant's folder `addons`, or FOLDER as it is into a git
repository whose address Home Assistant is given.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ADDON = ROOT / "home_assistant"
NAME = "wake_word_studio"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")


def sources() -> list[str]:
    """What an image takes of the project: what the Containerfile copies."""
    lines = (ROOT / "Containerfile").read_text(encoding="utf-8").splitlines()
    return [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]


def write_repository(folder: Path) -> None:
    """Write the repository. Raises `FileExistsError` where something is there."""
    if folder.exists():
        raise FileExistsError(f"{folder}: is there already; name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as place:
        made = Path(place) / folder.name
        shutil.copytree(ADDON, made, ignore=_LEFT_OUT)
        project = made / NAME / "project"
        project.mkdir()
        for name in sources():
            source, target = ROOT / name, project / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=_LEFT_OUT)
            else:
                shutil.copy(source, target)
        made.rename(folder)


def main() -> None:
    """Parse, write, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the repository is written; it is made")
    folder = parser.parse_args().folder
    try:
        write_repository(folder)
    except OSError as error:
        sys.exit(f"error: {error}")
    print(f"{folder / NAME} goes into Home Assistant's folder addons, or {folder} into a git repository of its own")


if __name__ == "__main__":
    main()
