"""The `seec` command: one subcommand for each job, imported only when it is used."""

import importlib

import click

from seec import __version__
from seec.jobs.interface import ExitCode
from seec.pipeline.extras import needs
from seec.schemas.errors import MissingPackage

# What `seec --help` says, without importing the job: numpy, torch and Ray take seconds.
_COMMANDS = {
    "archive": "Archive a tree of images; run again to resume.",
    "verify": "Prove that an archive still holds what it was given.",
    "repair": "Mend a damaged archive from a copy or the source.",
    "restore": "Write an archive's files back.",
    "ls": "List an archive's files.",
    "gc": "Remove what interrupted runs left in an archive.",
    "compact": "Copy small shards of an archive into large ones.",
    "info": "Describe a .seec file or an archive.",
    "encode": "Encode one image as a .seec file.",
    "decode": "Decode a .seec file to an image.",
    "segment": "Write the label maps of images.",
    "explain": "Show where the bits of an image go.",
    "bench": "Measure rate and speed of SEEC and its peers.",
    "evaluate": "Measure what each part of the codec brings.",
    "train": "Train a model on a folder of images.",
}


class _Jobs(click.Group):
    """Finds a subcommand as `main` of the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        try:
            with needs("train", f"seec {cmd_name}"):
                return importlib.import_module(f"seec.jobs.{cmd_name}").main
        except MissingPackage as error:
            raise click.UsageError(str(error)) from None
        except KeyboardInterrupt:
            ctx.exit(ExitCode.INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Jobs)
@click.version_option(__version__, message="seec %(version)s")
def main() -> None:
    """Archive image collections losslessly with a learned codec.

    `seec COMMAND --help` shows examples and exit codes.
    """


if __name__ == "__main__":
    main()
