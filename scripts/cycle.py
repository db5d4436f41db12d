"""The whole cycle in one command: generate, train, export, verify, simulate on speakers that chose nothing, report.

Run by `nox -s cycle`; every step is one of the project's commands, printed as a user would type it. Interrupted, the same call
goes on: finished clips are kept and the training resumes.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

from harness.results.merge import merge_results
from harness.results.schema import read_result
from harness.results.verdict import judge
from trainer.exporting import default_name
from wakeword.errors import INTERRUPTED_EXIT_CODE, ConfigError

PROGRAMS = Path(sys.executable).parent
WIDTH = 100
SENTENCES_PER_CLIP = 3
"""Hours without the wake word are what a rate of false accepts needs most."""


def main() -> int:
    """Run all steps; the exit code of the first that fails, else 0."""
    options = _parse()
    try:
        name = default_name(options.phrase)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    work = options.output or Path("runs") / f"cycle_{name}"
    generated, run, exported, results = work / "generated", work / "run", work / "exported", work / "results"
    manifest, report = exported / f"{name}.json", work / "report.html"
    print(f"Cycle for {options.phrase!r} in {work}. Its corpus is synthetic: it shows that every part works, not how real people are recognised.")
    settings = {
        "export.wake_word": options.phrase,
        "paths.positive_dir": generated / "positive",
        "paths.negative_dir": generated / "negative",
        "training.seed": options.seed,
    }
    train = ["mww-train", "--config", options.config, "--output", run, *(part for key, value in settings.items() for part in ("--set", f"{key}={value}"))]
    for setting in options.set:
        train += ["--set", setting]
    clips = ["--positives", options.clips, "--near-misses", options.clips, "--sentences", SENTENCES_PER_CLIP * options.clips]
    steps: list[tuple[str, list[object]]] = [
        ("Generate speech", ["mww-generate", options.phrase, "--output", generated, "--seed", options.seed, *clips]),
        ("Train", train),
        ("Export", ["mww-export", "--checkpoint", run / "checkpoints" / "best_weights.weights.h5", "--output", exported, "--model-name", name]),
        ("Verify the device contract", ["mww-verify", manifest]),
        ("Simulate: utterances of test speakers", _simulate(manifest, run, "positive", "clips", "wake", results, options.seed)),
        ("Simulate: other speech of test speakers", _simulate(manifest, run, "negative", "stream", "none", results, options.seed)),
        ("Report", ["mww-report", results / "wake.json", results / "none.json", "--output", report]),
    ]
    began = time.monotonic()
    for number, (title, command) in enumerate(steps, 1):
        print(f"\n{f'[{number}/{len(steps)}] {title} ':─<{WIDTH}}\n$ {shlex.join(map(str, command))}", flush=True)
        started = time.monotonic()
        code = _run([str(PROGRAMS / str(command[0])), *map(str, command[1:])])
        if code == INTERRUPTED_EXIT_CODE:
            raise KeyboardInterrupt
        if code:
            print(f"\n{title} failed with exit code {code}; mend it and run the cycle again: finished work is kept.", file=sys.stderr)
            return code
        print(f"  {time.monotonic() - started:.0f} s", flush=True)
    verdict = judge(merge_results([read_result(results / "wake.json"), read_result(results / "none.json")]))
    print(f"\n{'Summary ':─<{WIDTH}}\n{verdict.sentence}")
    print("The corpus is synthetic: these figures say nothing about real people. Measure with recordings of your own next.")
    print(f"Model and manifest: {manifest.with_suffix('.tflite')}, {manifest}\nReport: {report.absolute()}\nTook {(time.monotonic() - began) / 60:.1f} min")
    return 0


def _run(command: list[str]) -> int:
    """Run a command to its end; its exit code, negative for a signal.

    Ctrl-C reaches the command as well, which then saves what it has: it is waited for, while `subprocess.run` would kill it after 0.25 s.
    """
    process = subprocess.Popen(command)
    interrupted = False
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            interrupted = True
        else:
            return INTERRUPTED_EXIT_CODE if interrupted else code


def _simulate(manifest: Path, run: Path, label: str, mode: str, truth: str, results: Path, seed: int) -> list[object]:
    audio = run / "lists" / f"test_{label}.txt"
    name = {"wake": "test utterances, synthetic", "none": "test speech, synthetic"}[truth]
    return ["mww-simulate", manifest, audio, "--mode", mode, "--truth", truth, "--label", name, "--seed", seed, "--result", results / f"{truth}.json"]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s cycle --", description=__doc__)
    parser.add_argument("--phrase", default="computer", help="the wake word")
    parser.add_argument("--output", type=Path, help="folder of everything that the cycle makes (default: runs/cycle_PHRASE)")
    parser.add_argument("--config", default="fast_test", help="preset or YAML file for mww-train")
    parser.add_argument("--clips", type=int, default=1000, help=f"utterances and near misses to generate; sentences are {SENTENCES_PER_CLIP} times as many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="a setting for mww-train, section.key=value; may be repeated")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on where it was", file=sys.stderr)
        sys.exit(INTERRUPTED_EXIT_CODE)
