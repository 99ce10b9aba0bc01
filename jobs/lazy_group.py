"""A command that has commands, each `main` of a module that is imported when it is used."""

import importlib
from collections.abc import Mapping

import click


class LazyGroup(click.Group):
    """package: where the modules are. one_line: what each command does, in the order of the help.

    A command `verify-proof` is in the module `verify_proof`.
    """

    package: str = ""
    one_line: Mapping[str, str] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(self.one_line)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, whose module is imported now; None if there is none."""
        if cmd_name not in self.one_line:
            return None
        return importlib.import_module(f"{self.package}.{cmd_name.replace('-', '_')}").main

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As of click.Group; the error names the command that was meant."""
        name = args[0]
        if name not in self.one_line and not name.startswith("-"):
            from difflib import get_close_matches  # few mistype

            close = get_close_matches(name, self.one_line, n=1)
            ctx.fail(
                f"no command {name!r}: did you mean {ctx.command_path} {close[0]}?"
                if close
                else f"no command {name!r}: {ctx.command_path} --help lists the commands"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, and import none."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.one_line.items()))
