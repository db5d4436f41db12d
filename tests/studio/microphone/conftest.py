"""A browser whose microphone says the wake word, in place of the one of the other pages, and a model that knows it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.spoken import Spoken
from tests.studio.microphone.hearing import chromium_hearing_words
from tests.studio.servers import StudioServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright


@pytest.fixture(scope="module")
def browser(driver: Playwright, spoken: Spoken, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium that hears two words, again and again."""
    with chromium_hearing_words(driver, spoken.words[:2], tmp_path_factory.mktemp("microphone")) as one:
        yield one


@pytest.fixture
def alexa(studio: StudioServer, official_models: Path) -> str:
    """The official model in the workspace; its path there."""
    folder = studio.workspace.models / "alexa"
    folder.mkdir(parents=True)
    for suffix in (".json", ".tflite"):
        shutil.copy(official_models / f"alexa{suffix}", folder)
    return "models/alexa/alexa.json"
