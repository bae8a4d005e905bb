"""`kdspeech`: finds each command's file by its name and loads it only when it is asked for."""

import importlib
import sys
from pathlib import Path

import click

from kdspeech.errors import KdspeechError

COMMANDS = {
    "prepare": "Read a corpus, check its audio and write the manifest.",
    "pretrain": "Train an encoder and the teachers' start on synthetic voices: no download.",
    "train-teachers": "Train one teacher per speaker, or bring your own.",
    "dump-teachers": "Let the teachers score every utterance and store it.",
    "aggregate": "Pool the teachers' scores into targets and print their ceiling.",
    "train": "Train a student with one speaker held out.",
    "eval": "Score a student on the speaker it never heard.",
    "transcribe": "Write down what is said in recordings, by a trained student.",
    "serve": "Open a page on this computer: speak a word, see the ranked answers.",
    "diagnose": "Find out why a run fails: nine checks, and the first cause.",
    "loso": "Hold every speaker out in turn and print the table.",
    "report": "Write a page about a run, or about several side by side.",
    "score": "Score any system's output against references.",
    "compare": "Tell whether one system is better than another.",
    "combine": "Combine several systems' output by vote or ROVER.",
}


class LazyGroup(click.Group):
    """Lists the commands from a table, so that --help imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"kdspeech.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kdspeech")
def cli() -> None:
    """Train one speech recogniser for speakers it has never heard, from teachers that each know only one."""


def main() -> None:
    """Runs `kdspeech` with the arguments of this process."""
    run_command(cli)


def run_command(command: click.Command) -> None:
    """Runs a command with the arguments of this process, then exits. Exit codes: 0 done, 1 failed, 2 wrong usage."""
    try:
        command.main(prog_name=Path(sys.argv[0]).name, standalone_mode=True)
    except KdspeechError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
