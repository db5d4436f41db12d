"""`mww-generate`: parse, call, print."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from trainer.options import Jobs
from wakeword.command_line import ClusterAddress, resumes


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
    cluster: ClusterAddress = None,
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

        corpus = generate_corpus(request, output, choice, jobs=jobs, progress=speaking, cluster=cluster)
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
