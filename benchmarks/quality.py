"""How good is a model that was trained from a typed phrase? Recipes side by side, tested on real people and on hours of
other sound.

A row is a recipe, a word and a seed: speech is generated, a model trained, exported and simulated by the project's own
commands, as a user would type them. The test chooses nothing in it: checkpoint and cutoff are validation's. Rows are
kept in the output folder; an interrupted call goes on with the same command, and rows that are there are not made
again. Every time that a word's people are listened to is written down, since whoever looks often chooses by what was
seen.

    nox -s quality -- --recipes plain --words alexa --seeds 0
    nox -s quality -- --table
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.ablation import commands
from benchmarks.ablation.commands import Asked
from benchmarks.ablation.corpus import EvaluationCorpus, open_corpus
from benchmarks.ablation.measure import PEOPLE, hear, listening, validation_says
from benchmarks.ablation.recipes import RECIPES, STEPS, WORDS, find_recipes
from benchmarks.ablation.rows import Row, add_row, looks, note_look, now, read_rows
from benchmarks.ablation.steps import Steps
from benchmarks.ablation.table import as_markdown, as_text
from wakeword.command_line import resumes
from wakeword.corpus.recordings import hash_file
from wakeword.errors import ConfigError, MwwError
from wakeword.files import write_atomically
from wakeword.locks import hold_folder
from wakeword.model.manifest import read_manifest

OUTPUT = Path("runs") / "quality"
PUBLISHED = {"alexa": "alexa", "jarvis": "hey_jarvis"}
"""ESPHome's models that the package pymicro-wakeword carries, by the word that they are compared for. There is none for
"computer"."""
SAYS_S = 30.0
"""Seconds between two lines of a step's own output."""


@resumes
def main() -> None:
    """Make the rows that are asked for, then print all that the folder has. Ends with the exit code of the first row
    that failed.
    """
    options = _parse()
    output: Path = options.output.absolute()
    failed: list[MwwError] = []
    if not options.table:
        wanted = list(_wanted(options, output))
        corpus = open_corpus()
        with hold_folder(output, "give another --output"):
            for word in options.words:
                _published(word, corpus, output)
            for asked in wanted:
                try:
                    _row(asked, corpus, output, _told(options.verbose))
                except MwwError as error:
                    print(f"error: {asked.folder.name}: {error}", file=sys.stderr)
                    failed.append(error)
    _print(output)
    if failed:
        raise SystemExit(failed[0].exit_code)


def _wanted(options: argparse.Namespace, output: Path) -> Iterator[Asked]:
    """The rows that are asked for, recipe by recipe. Raises `ConfigError` for a recipe or word that is none."""
    if unknown := [word for word in options.words if word not in WORDS]:
        raise ConfigError(f"--words {unknown[0]}: the corpus has no people for it; words are {', '.join(WORDS)}")
    for recipe in find_recipes(options.recipes):
        for word in options.words:
            if word not in recipe.words:
                print(f"{recipe.name} is no recipe for {word}: left out")
                continue
            for seed in options.seeds:
                asked = Asked(
                    recipe,
                    word,
                    seed,
                    options.steps,
                    seed if options.new_speech else 0,
                    Path(),
                    output / "speech",
                    output / "cache",
                )
                marks = [
                    recipe.name,
                    word,
                    str(seed),
                    asked.digest,
                    *([_commit()] if options.again else []),
                    *(["cold"] if options.cold else []),
                ]
                asked = replace(asked, folder=output / "rows" / "-".join(marks))
                yield (
                    replace(asked, speech=asked.folder / "speech", cache=asked.folder / "cache")
                    if options.cold
                    else asked
                )


def _print(output: Path) -> None:
    rows, looked = read_rows(output), looks(output)
    if not rows:
        print(f"No rows in {output} yet.")
        return
    write_atomically(output / "table.md", as_markdown(rows, looked))
    print(as_text(rows, looked))
    print(f"{output / 'table.md'} has the same as Markdown, {output / 'rows.jsonl'} all figures.")


def _row(asked: Asked, corpus: EvaluationCorpus, output: Path, told: Callable[[str], None]) -> None:
    """Make one row, or what is missing of it."""
    recipe, word, name = asked.recipe, asked.word, asked.folder.name
    if any(row.name == name for row in read_rows(output)):
        return
    print(f"\n{name}: {recipe.says}", flush=True)
    os.environ["MWW_CACHE_DIR"] = str(asked.cache)
    steps = Steps(asked.folder)
    if recipe.cycle:
        steps.run("cycle", commands.cycle(asked), told)
    else:
        for call in recipe.speech:
            made = Steps(asked.speech_of(call))
            made.run("generate", commands.generate(asked, call), told)
            steps.account(f"generate {call}", made.costs["generate"])
        steps.run("train", commands.train(asked, corpus), told)
        steps.run("export", commands.export(asked), told)
    others = [other for other in WORDS if other != word]
    what = listening(
        corpus,
        word,
        others,
        asked.folder / "lists",
        heard_people=recipe.people != "all",
        heard_sounds=recipe.corpus != "nothing",
    )
    if not steps.done(f"simulate {PEOPLE}"):
        note_look(output, word, recipe.name, asked.seed, asked.digest)
    figures = hear(asked.manifest, what, steps, asked.folder / "results", asked.cache, told)
    _, model = read_manifest(asked.manifest)
    row = Row(
        name=name,
        recipe=recipe.name,
        says=recipe.says,
        word=word,
        seed=asked.seed,
        digest=asked.digest,
        steps=None if recipe.own_steps or recipe.cycle else asked.steps,
        commit=_commit(),
        created=now(),
        command=_command(),
        model_sha256=hash_file(model),
        validation=validation_says(asked.run, model),
        figures=figures,
        costs=steps.costs,
    )
    add_row(output, row)


def _published(word: str, corpus: EvaluationCorpus, output: Path) -> None:
    """The row of ESPHome's own model for a word, where there is one."""
    if word not in PUBLISHED:
        return
    try:
        import pymicro_wakeword
    except ModuleNotFoundError:
        print(f"The package pymicro-wakeword is not installed: the table has no published model for {word}.")
        return
    manifest = Path(pymicro_wakeword.__file__).parent / "models" / f"{PUBLISHED[word]}.json"
    _, model = read_manifest(manifest)
    sha256 = hash_file(model)
    folder = output / "rows" / f"published-{word}-{sha256[:8]}"
    if any(row.name == folder.name for row in read_rows(output)):
        return
    print(f"\n{folder.name}: ESPHome's {PUBLISHED[word]}", flush=True)
    what = listening(
        corpus,
        word,
        [other for other in WORDS if other != word],
        folder / "lists",
        heard_people=False,
        heard_sounds=False,
    )
    figures = hear(manifest, what, Steps(folder), folder / "results", output / "cache", _told(False))
    row = Row(
        name=folder.name,
        recipe=f"ESPHome's {PUBLISHED[word]}",
        says="a published model",
        word=word,
        seed=0,
        digest="",
        steps=None,
        commit=_commit(),
        created=now(),
        command=_command(),
        model_sha256=sha256,
        validation={},
        figures=figures,
        costs={},
    )
    add_row(output, row)


def _told(verbose: bool) -> Callable[[str], None]:
    """What hears the lines of a step: all are shown, or one now and then."""
    shown = time.monotonic()

    def told(line: str) -> None:
        nonlocal shown
        if line.strip() and (verbose or time.monotonic() - shown >= SAYS_S):
            shown = time.monotonic()
            print(f"  {line.strip()}", flush=True)

    return told


def _command() -> str:
    return shlex.join(["nox", "-s", "quality", "--", *sys.argv[1:]])


def _commit() -> str:
    """The commit of the program, with `+` where its files differ from it; `unknown` outside a repository."""
    try:
        head, changed = (
            subprocess.run(
                ["git", "-C", str(commands.ROOT), *arguments], capture_output=True, text=True, check=True
            ).stdout.strip()
            for arguments in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+" if changed else head


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="nox -s quality --", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = "; ".join(f"{recipe.name}: {recipe.says}" for recipe in RECIPES.values())
    parser.add_argument(
        "--recipes", nargs="+", default=["plain"], metavar="NAME", help=f"rows to make (default: plain). {names}"
    )
    parser.add_argument(
        "--words",
        nargs="+",
        default=list(WORDS[:2]),
        metavar="WORD",
        help=f"of {', '.join(WORDS)} (default: those that choose a recipe)",
    )
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=[0], metavar="N", help="seeds of the training (default: 0)"
    )
    parser.add_argument(
        "--steps",
        type=_steps,
        default=STEPS,
        metavar="N,N",
        help=f"steps of the two phases (default: {','.join(map(str, STEPS))})",
    )
    parser.add_argument(
        "--new-speech",
        action="store_true",
        help="generate speech for each seed (default: all seeds hear the same speech)",
    )
    parser.add_argument(
        "--again", action="store_true", help="make rows of this commit, also where another commit has made them"
    )
    parser.add_argument(
        "--cold",
        action="store_true",
        help="share no speech and no features with other rows, so that times are those of a first run",
    )
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, help=f"folder of rows, speech and features (default: {OUTPUT})"
    )
    parser.add_argument("--table", action="store_true", help="make no rows, print those that are there")
    parser.add_argument("--verbose", action="store_true", help="show every line that the steps print")
    return parser.parse_args()


def _steps(text: str) -> tuple[int, ...]:
    try:
        first, second = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give two numbers of steps, such as 4000,2000") from None
    return first, second


if __name__ == "__main__":
    main()
