"""Pictures of the studio's pages for docs/studio.md, taken from the running pages: each wide and narrow, side by side.

    python scripts/studio_pictures.py WORKSPACE --heard recording.wav

The workspace holds what the pages show: a phrase of the page Start that is done, a data set, a result. The microphone
hears the recording. It needs Chromium and the group `test`.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROGRAM = Path(sys.executable).parent / "mww-studio"
WIDE, NARROW, HEIGHT, GAP = 1200, 420, 860, 30
BACKGROUND = {"light": (226, 223, 215), "dark": (8, 10, 12)}
QUALITY = 82
"""Of WebP: a picture of text is some 40 kB."""
WAIT_MS = 60_000


def _start(page: Page) -> None:
    page.get_by_label("Phrase").fill("okay house")
    page.keyboard.press("Enter")
    page.get_by_text("Nearest everyday word").wait_for()
    page.get_by_role("list", name="Voices").get_by_role("listitem").nth(9).wait_for()


def _made(page: Page) -> None:
    page.get_by_role("link", name="Open the report").wait_for()


def _listen(page: Page) -> None:
    page.get_by_role("button", name="Start listening").click()
    page.wait_for_timeout(9000)


def _record(page: Page) -> None:
    page.get_by_label("Who speaks").fill("anna")
    page.get_by_role("button", name="Open the microphone").click()
    page.wait_for_timeout(3000)


def _words(page: Page) -> None:
    page.get_by_label("Show").select_option("positive")
    page.wait_for_url("**label=positive**")


def _train(page: Page) -> None:
    page.get_by_label("Find a setting").fill("learning rate")
    page.evaluate("document.getElementById('settings-title').scrollIntoView()")


def _first_result(page: Page) -> None:
    page.get_by_role("heading", level=2).first.get_by_role("link").click()
    page.wait_for_load_state("networkidle")


def _nothing(page: Page) -> None:
    page.wait_for_load_state("load")


def scenes(workspace: Path) -> list[tuple[str, str, str, Callable[[Page], None]]]:
    """Name, address, colours and what is done first."""
    words = sorted(path.name for path in (workspace / "words").iterdir() if (path / "report.html").is_file())
    return [
        ("start", "/start/", "light", _start),
        *(("made", f"/start/made/{name}/", "light", _made) for name in words[:1]),
        ("record", "/record/", "light", _record),
        ("clips", "/record/clips", "dark", _words),
        ("train-settings", "/train/new", "light", _train),
        *(("train-run", f"/train/run/words/{name}/run", "dark", _nothing) for name in words[:1]),
        ("listen", "/listen/", "light", _listen),
        ("results", "/results/", "light", _first_result),
        ("boards", "/boards/virtual/", "light", _nothing),
        ("jobs", "/jobs/", "light", _nothing),
    ]


def main() -> int:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--heard", type=Path, required=True, help="what the microphone hears (.wav)")
    parser.add_argument("--output", type=Path, default=Path("docs") / "studio")
    parser.add_argument("--only", nargs="+", default=[], help="names of pictures")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    studio = subprocess.Popen(
        [PROGRAM, "--workspace", options.workspace, "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert studio.stdout is not None
        address = studio.stdout.readline().rpartition("open ")[2].strip()
        with sync_playwright() as driver:
            chromium = driver.chromium.launch(executable_path=shutil.which("chromium"), args=_flags(options.heard))
            for name, path, scheme, prepare in scenes(options.workspace):
                if options.only and name not in options.only:
                    continue
                taken = [_taken(chromium, address, path, width, scheme, prepare) for width in (WIDE, NARROW)]
                file = options.output / f"{name}.webp"
                _beside(taken, scheme).save(file, quality=QUALITY, method=6)
                print(f"{file}: {file.stat().st_size / 1000:.0f} kB")
    finally:
        studio.terminate()
        studio.wait()
    return 0


def _flags(heard: Path) -> list[str]:
    return [
        "--no-sandbox",
        "--disable-gpu",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={heard.absolute()}",
    ]


def _taken(
    chromium: Browser, address: str, path: str, width: int, scheme: str, prepare: Callable[[Page], None]
) -> Image.Image:
    """A picture of a page.

    Args:
        chromium: Who shows it.
        address: Of the studio, with its token.
        path: Of the page.
        width: Of the window.
        scheme: light or dark.
        prepare: What is done first.

    Returns the picture, `HEIGHT` high.
    """
    context = chromium.new_context(
        viewport={"width": width, "height": HEIGHT}, color_scheme="dark" if scheme == "dark" else "light"
    )
    try:
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.goto(address.replace("/?", f"{path}?"))
        prepare(page)
        page.wait_for_timeout(1500)
        return Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    finally:
        context.close()


def _beside(pictures: Sequence[Image.Image], scheme: str) -> Image.Image:
    whole = Image.new(
        "RGB", (sum(one.width for one in pictures) + GAP * (len(pictures) + 1), HEIGHT + 2 * GAP), BACKGROUND[scheme]
    )
    left = GAP
    for one in pictures:
        whole.paste(one, (left, GAP))
        left += one.width + GAP
    return whole


if __name__ == "__main__":
    sys.exit(main())
