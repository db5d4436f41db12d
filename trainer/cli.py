"""`mww-generate`, `mww-train` and `mww-export`: parse, call, print."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.options import Config, Jobs, Overrides, RunConfig, Settings
from wakeword.command_line import CommandApp, reports_errors, resumes
from wakeword.errors import ConfigError

if TYPE_CHECKING:
    from trainer.config.sections import TrainerConfig
    from trainer.exporting import Exported, ExportedFloat
    from wakeword.model.float_model import Agreement, FormFigures

generate_app = CommandApp()
train_app = CommandApp()
export_app = CommandApp()


@generate_app.command()
@resumes
def generate(
    phrase: Annotated[str, typer.Argument(help="The wake word, as it is written.")],
    output: Annotated[Path, typer.Option(help="Folder to fill; an interrupted one is completed.")] = Path("generated"),
    positives: Annotated[int, typer.Option(help="Clips of the wake word.", min=0)] = 1000,
    near_misses: Annotated[int, typer.Option(help="Clips of phrases that sound like it.", min=0)] = 1000,
    sentences: Annotated[int, typer.Option(help="Clips of ordinary sentences.", min=0)] = 1000,
    natural: Annotated[
        int,
        typer.Option(
            help=(
                "Of these, so many of the wake word and as many negatives by natural voices, which take a core-second"
                " each. 0: none."
            ),
            min=0,
        ),
    ] = 500,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.", min=0)] = 0,
    engine: Annotated[
        list[str] | None,
        typer.Option(
            help=(
                "Speak with this engine alone; may be repeated. docs/voices.md lists them. (default: all that are"
                " installed)"
            )
        ),
    ] = None,
    piper_voice: Annotated[list[Path] | None, typer.Option(help="A Piper voice (.onnx); may be repeated.")] = None,
    kokoro: Annotated[
        Path | None,
        typer.Option(help="Folder with Kokoro's model and voices. (default: pip's, or fetched once; docs/voices.md)"),
    ] = None,
    language: Annotated[
        str, typer.Option(help="Language of the phrase, as a tag: en, en-GB, de, fr, es, it, nl, pt-BR, …")
    ] = "en",
    lines: Annotated[
        list[Path] | None,
        typer.Option(help="Text file of your own sentences in that language, one a line; may be repeated."),
    ] = None,
    ways: Annotated[
        str | None,
        typer.Option(
            help=(
                "Ways of speaking with their shares. (default: alone=6, in_flow=3, asked=1, called=1, whispered=0.5,"
                " child=1.5)"
            ),
            show_default=False,
        ),
    ] = None,
    formants: Annotated[
        str | None,
        typer.Option(
            help="Lowest and highest factor of a voice's formants; 1,1 leaves voices as they are. (default: 0.87,1.15)",
            show_default=False,
        ),
    ] = None,
    accents: Annotated[
        float, typer.Option(help="English: share of the clips with a foreign accent.", min=0, max=1)
    ] = 0.15,
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check",
            help="Throw out clips that a phoneme recogniser does not hear as what they should say.",
        ),
    ] = True,
    real_speech: Annotated[
        float | None,
        typer.Option(
            metavar="HOURS",
            help=(
                "Beside them, so many hours of people's speech as negatives, of LibriSpeech (English, CC BY 4.0, 10.7"
                " h): 650 MB, fetched once. docs/training.md says what it gains."
            ),
            min=0,
            show_default=False,
        ),
    ] = None,
    jobs: Jobs = None,
) -> None:
    """Speak a wake word, phrases near it and ordinary sentences in many voices.

    Generated speech helps a training; it says nothing about how real people are recognised.

    Example:

      mww-generate "okay house" --output generated/okay_house
      mww-generate "hallo haus" --language de --output generated/hallo_haus
      mww-generate "okay house" --real-speech 2 --output generated/okay_house
    """
    from trainer.data.generate import generate_corpus
    from trainer.data.librispeech import FOLDER, add_speech, fetched_speech
    from trainer.data.speech.engine import EngineOptions
    from trainer.data.speech.espeak_languages import check_language, language_title
    from trainer.data.speech.languages import primary
    from trainer.data.speech.plan import CorpusRequest
    from trainer.data.speech.registry import choose_engines, skipped_lines
    from trainer.data.speech.texts import clean_phrase
    from trainer.data.speech.ways import manner_of
    from trainer.terminal import Terminal

    manner = manner_of(ways, formants, accents)
    request = CorpusRequest(
        phrase, positives, near_misses, sentences, natural, seed, language, tuple(lines or ()), manner, check
    )
    choice = choose_engines(
        engine, EngineOptions(tuple(piper_voice or ()), kokoro), language=language, slow=natural > 0
    )
    with Terminal() as terminal:
        if real_speech:
            # A slip of the pen is told before anything is fetched.
            cleaned = clean_phrase(phrase, check_language(language))
            utterances = fetched_speech(terminal.counting)
        missing, counted = iter(skipped_lines(choice.skipped)), terminal.counting("speaking")

        def speaking(done: int, total: int) -> None:
            # Told once all input is found right: what is refused is refused in one line.
            for line in missing:
                terminal.told(line)
            counted(done, total)

        corpus = generate_corpus(request, output, choice, jobs=jobs, progress=speaking)
        for line in (
            *missing,
            *skipped_lines([skipped for skipped in corpus.skipped if skipped not in choice.skipped]),
        ):
            terminal.told(line)
        for note in corpus.notes:
            terminal.told(note)
        details = {dropped.reason: dropped.detail for dropped in reversed(corpus.dropped)}
        for reason, count in Counter(dropped.reason for dropped in corpus.dropped).most_common():
            terminal.told(f"{count} clips are left out: {reason}{details[reason] and f' (first: {details[reason]})'}")
        if real_speech:
            terminal.told(str(add_speech(output, utterances, cleaned, real_speech)))
            if primary(language) != "en":
                terminal.told(
                    f"it is English, which must not wake a model for {language_title(check_language(language))} either"
                )
        elif (output / FOLDER).is_dir():
            terminal.told(
                f"{output / FOLDER} has people's speech of an earlier call, which a training takes; delete it if it"
                " should not"
            )
    typer.echo(
        f"{len(corpus.clips)} clips in {output} ({corpus.made} new), described in {corpus.table}; listen to some:"
        f" {corpus.page}"
    )


@train_app.command()
@resumes
def train(
    config: Config = "standard",
    override: Overrides = None,
    setting: Settings = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; an interrupted run in it goes on. (default: paths.checkpoint_dir)"),
    ] = None,
    jobs: Jobs = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Check all, say what would be trained and what it costs on a board; write nothing."
        ),
    ] = False,
    find_lr: Annotated[
        bool,
        typer.Option(
            "--find-lr",
            help=(
                "Try rising learning rates on the run's own batches, draw the loss beside the run's folder, suggest a"
                " rate; train nothing that is kept."
            ),
        ),
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of a configuration file, for editors, and end.")
    ] = False,
) -> None:
    """Train a wake word model.

    With --dry-run: the recordings that would be used, those that would not, and the model's MACs, flash and RAM against
    known boards.

    Example:

      mww-train --config fast_test --set export.wake_word=computer --set paths.positive_dir=dataset/positive --output
      runs/computer
    """
    from trainer.config.loader import load_config

    if schema:
        from trainer.config.schema import config_schema

        typer.echo(config_schema(), nl=False)
        return
    configuration = load_config(config, override or (), setting or ())
    output = output or configuration.paths.checkpoint_dir
    if dry_run and find_lr:
        raise ConfigError("--dry-run writes nothing, and --find-lr draws a plot; give one of the two")
    from trainer.mixednet.runtime import require_tensorflow

    require_tensorflow()
    if dry_run:
        _print_dry_run(configuration, output, jobs)
        return
    if find_lr:
        _print_rate(configuration, output, jobs)
        return
    from trainer.training.run import train_run
    from trainer.training.terminal import TrainingTerminal

    with TrainingTerminal() as terminal:
        result = train_run(configuration, output, terminal, jobs)
    scores = result.best.scores
    typer.echo(
        f"Best weights after step {result.best.step} of {result.steps}: recall {scores.recall:.1%},"
        f" {scores.false_accepts_per_hour:.2f} false accepts/h ({result.arithmetic}, validation data, which chose them)"
    )
    if result.before is not None:
        typer.echo(
            f"Before the fine-tuning, in the same arithmetic: recall {result.before.recall:.1%},"
            f" {result.before.false_accepts_per_hour:.2f} false accepts/h"
        )
    export_command = shlex.join(
        ["mww-export", "--checkpoint", str(result.weights), "--output", str(output / "exported")]
    )
    typer.echo(f"Weights: {result.weights}\nNext: {export_command}")


def _print_dry_run(configuration: TrainerConfig, output: Path, jobs: int | None) -> None:
    from rich.console import Console

    from trainer.terminal import Terminal
    from trainer.training.dry_run import dry_run, rendered

    with Terminal() as terminal:
        found = dry_run(configuration, output, terminal, jobs)
    Console(highlight=False).print(rendered(found))


def _print_rate(configuration: TrainerConfig, output: Path, jobs: int | None) -> None:
    from trainer.terminal import Terminal
    from trainer.training.rate_test import find_rate

    plot = output.with_name(f"{output.name}.find-lr.png")
    with Terminal() as terminal:
        test = find_rate(configuration, plot, terminal, jobs)
    typer.echo(f"{str(test)[0].upper()}{str(test)[1:]}\nPlot: {plot}")
    if test.suggestion is not None:
        phases = [
            f"{test.suggestion * rate / configuration.training.learning_rates[0]:g}"
            for rate in configuration.training.learning_rates
        ]
        typer.echo(
            f"To train with it: --set training.learning_rates=[{', '.join(phases)}] (all phases in the old proportion)"
        )


@export_app.command()
@reports_errors
def export(
    checkpoint: Annotated[Path, typer.Option(help="Weights of a run: its checkpoints/best_weights.weights.h5.")],
    config: RunConfig = None,
    override: Overrides = None,
    setting: Settings = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for model and manifest. (default: paths.export_dir)")
    ] = None,
    model_name: Annotated[str | None, typer.Option(help="Name of the files. (default: from the wake word)")] = None,
    no_quantize: Annotated[
        bool, typer.Option("--no-quantize", help="Write a float32 model for computers instead; no device runs it.")
    ] = False,
    onnx: Annotated[
        bool,
        typer.Option(
            "--onnx", help="Write the float32 streaming model as ONNX for computers instead; no device runs it."
        ),
    ] = False,
    jobs: Jobs = None,
) -> None:
    """Export trained weights as an int8 streaming model with its ESPHome manifest.

    The cutoff is chosen on validation data for training.target_minimization false accepts an hour, unless
    export.probability_cutoff gives it. No file is written when mww-verify would not pass model and manifest. Beside
    both lie the lines for an ESPHome device's configuration (NAME.esphome.yaml), the float model (streaming/), the
    configuration, and a record of what was measured. What the float model finds on validation data and what int8
    arithmetic makes of it is told; an export that loses more than export.max_recall_drop is refused.

    Example:

      mww-export --checkpoint runs/computer/checkpoints/best_weights.weights.h5 --output models/computer
    """
    from trainer.export.onnx import require_onnx
    from trainer.exporting import default_name, export_float, export_onnx, export_run
    from trainer.inference.runs import run_config
    from trainer.mixednet.runtime import require_tensorflow
    from trainer.terminal import Terminal
    from trainer.training.memory import workers
    from wakeword.errors import ConfigError
    from wakeword.locks import hold_folder

    if onnx and no_quantize:
        raise ConfigError("--onnx and --no-quantize write different files; give one of them, then the other")
    if onnx:
        require_onnx()
    configuration = run_config(
        checkpoint, config, override or (), [*(setting or ()), *(["export.quantize=false"] if no_quantize else [])]
    )
    output, name = output or configuration.paths.export_dir, model_name or default_name(configuration.export.wake_word)
    require_tensorflow()
    with hold_folder(output, "give another --output"), Terminal() as terminal:
        if onnx:
            _print_onnx_export(export_onnx(checkpoint, configuration, output, name, terminal))
        elif configuration.export.quantize:
            _print_export(
                export_run(checkpoint, configuration, output, name, terminal, workers(configuration.performance, jobs))
            )
        else:
            _print_float_export(export_float(checkpoint, configuration, output, name, terminal))


def _print_export(exported: Exported) -> None:
    from trainer.export.package import esphome_lines

    choice, agreement = exported.choice, exported.agreement
    if choice is not None:
        typer.echo(
            f"Cutoff {choice.probability_cutoff} chosen on validation data:"
            f" {choice.counted}{f'; {choice.margin}' if choice.margin else ''}"
        )
        if not choice.reaches_target:
            typer.echo(
                "warning: no cutoff reaches the target of false accepts; the one with the fewest was taken", err=True
            )
    _print_forms(exported.forms)
    _print_agreement("int8 against float", agreement)
    if agreement.suspicious:
        typer.echo("warning: quantisation has changed the model by more than 0.02 on average", err=True)
    package = exported.package
    typer.echo(f"Model: {package.model}\nManifest: {package.manifest} (arena {exported.arena_bytes} bytes)")
    typer.echo(
        f"For an ESPHome device, copy both beside its configuration and add these lines to it ({package.yaml}):\n\n"
        f"{esphome_lines(package.manifest.name)}\n"
        "docs/deploy.md shows a whole device and Home Assistant."
    )


def _print_float_export(exported: ExportedFloat) -> None:
    _print_agreement("float32 against Keras", exported.agreement)
    typer.echo(
        f"Model: {exported.model}\nThis float32 model is for computers: no ESPHome device runs it. So it has no"
        " manifest, no cutoff was chosen, and the device contract was not checked. Export without --no-quantize"
        " (export.quantize: true) for a device."
    )


def _print_onnx_export(exported: ExportedFloat) -> None:
    from trainer.exporting import ONNX_TOLERANCE

    agreement = exported.agreement
    typer.echo(
        f"ONNX Runtime against Keras: largest difference {agreement.maximum:.1e} (allowed: {ONNX_TOLERANCE:g}), over"
        f" {agreement.inferences} inferences\nModel: {exported.model}\nThis float32 model is for computers: no ESPHome"
        " device runs it. Its metadata says what goes in. Export without --onnx for a device."
    )


def _print_forms(forms: tuple[FormFigures, ...]) -> None:
    """A line a form of the model: what it finds on validation data at the float model's false accepts."""
    for figures in forms:
        difference = (
            f"; probabilities differ by {figures.agreement.mean:.4f} on average, {figures.agreement.maximum:.3f} at"
            " most"
            if figures.agreement
            else ""
        )
        typer.echo(
            f"{figures.form}: {figures.detected}/{figures.utterances} utterances found ({figures.recall:.1%}),"
            f" {figures.false_accepts} false accepts in {figures.hours:.2f} h{difference}"
        )


def _print_agreement(what: str, agreement: Agreement) -> None:
    typer.echo(
        f"{what}: mean difference {agreement.mean:.4f}, largest {agreement.maximum:.3f}, over {agreement.inferences}"
        " inferences"
    )
