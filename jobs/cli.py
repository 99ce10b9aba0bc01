"""The `seec` command: one subcommand for each job, imported only when it is used."""

import click

from seec import __version__
from seec.jobs.exit_codes import ExitCode
from seec.jobs.lazy_group import LazyGroup
from seec.pipeline.extras import needs
from seec.schemas.errors import MissingPackage

# What `seec --help` says, without importing the job: numpy, torch and Ray take seconds.
_COMMANDS = {
    "estimate": "Estimate what archiving takes, from a sample.",
    "archive": "Archive all files below a folder or bucket; run again to resume.",
    "verify": "Check every file of an archive against its digests.",
    "copy": "Make a second copy of an archive, or bring it up to date.",
    "parity": "Add parity to an archive, from which repair mends damage.",
    "repair": "Repair a damaged archive from parity, a copy or the source.",
    "restore": "Write files of an archive to a folder or bucket.",
    "ls": "List the files or the commits of an archive.",
    "cat": "Write files of an archive to stdout.",
    "mount": "Show an archive as a folder, through FUSE.",
    "query": "Ask an archive in SQL.",
    "export": "Write files of an archive as WebDataset shards.",
    "digest": "Print the archive digest, now or after an earlier commit.",
    "sign": "Sign the state of an archive.",
    "prove": "Write a proof that a file was in an archive.",
    "verify-proof": "Check such a proof, with nothing else.",
    "gc": "Delete objects that interrupted runs left in an archive.",
    "compact": "Merge small shards of an archive into large ones.",
    "report": "Write a web page on how an archive stands.",
    "jobs": "Archive and verify by a schedule, as a TOML file says.",
    "info": "Describe a .seec file, a JPEG file or an archive.",
    "encode": "Encode one image as a .seec file.",
    "decode": "Decode a .seec file to an image.",
    "segment": "Write label maps of images as PNG.",
    "explain": "Show on a web page where the bits of an image go.",
    "bench": "Measure size and speed of SEEC and other codecs.",
    "evaluate": "Measure what each part of the codec contributes.",
    "train": "Train weights on a folder of images.",
}


class _Jobs(LazyGroup):
    package = "seec.jobs"
    one_line = _COMMANDS

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        try:
            with needs("train", f"seec {cmd_name}"):
                return super().get_command(ctx, cmd_name)
        except MissingPackage as error:
            raise click.UsageError(str(error)) from None
        except KeyboardInterrupt:
            ctx.exit(ExitCode.INTERRUPTED)


@click.group(cls=_Jobs)
@click.version_option(__version__, message="seec %(version)s")
def main() -> None:
    """Archive image collections losslessly with a learned codec.

    `seec COMMAND --help` lists the options of a command, with examples and exit codes.
    """


if __name__ == "__main__":
    main()
