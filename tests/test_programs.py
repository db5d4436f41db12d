"""What a run on a bare machine says of the tests that it skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs import install, needs, what_to_install

pytest_plugins = ["pytester"]


def test_all_that_is_missing_is_one_line() -> None:
    reasons = [
        f"needs flite {install('flite')}",
        f"no virtual audio here: no pactl {install('pulseaudio', 'libportaudio2')}",
        "no GPU",
        f"needs flite {install('flite')}",
    ]
    assert (
        what_to_install(reasons)
        == "3 tests were skipped for want of programs; to run all of them: apt-get install flite libportaudio2"
        " pulseaudio"
    )
    assert (
        what_to_install(reasons[:1])
        == "1 test was skipped for want of programs; to run all of them: apt-get install flite"
    )
    assert what_to_install(["no GPU"]) is None


def test_the_line_is_at_the_end_of_a_run(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parents[1])!r})\nfrom tests.conftest import"
        " pytest_terminal_summary"
    )
    pytester.makepyfile("""
        import pytest
        from tests.programs import install, needs

        @needs("no-such-program", "no-such-package")
        def test_marked():
            pass

        @pytest.fixture(scope="module")
        def absent():
            pytest.skip(f"nothing here {install('another-package')}")

        @pytest.mark.parametrize("times", range(2))
        def test_by_fixture(absent, times):
            pass
        """)
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    line = (
        "3 tests were skipped for want of programs; to run all of them: apt-get install another-package no-such-package"
    )
    assert [text for text in done.outlines if "skipped for want" in text] == [line]
    assert needs("sh", "dash").args == (False,)
