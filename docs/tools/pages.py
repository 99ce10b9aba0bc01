"""Hook of mkdocs: pages that are made from the code, so that they cannot fall behind.

- `reference/cli/`: one page for each command, from click
- `reference/format.md`: FORMAT.md as it travels in archives
- `reference/hex.md`: a small .seec file, byte by byte
- `reference/errors.md`: the tree of errors
- `reference/jobs-file.md`: the settings of a jobs file
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))  # mkdocs loads hooks by path, not as a package

from hex_dump import annotated_page  # noqa: E402  # pyright: ignore[reportMissingImports]

from seec.jobs.cli import main  # noqa: E402
from seec.schemas import errors, jobs_file  # noqa: E402
from seec.schemas.archive import format_text  # noqa: E402
from seec.schemas.settings_file import ListOf, Named, settings_of  # noqa: E402

_CLI = "reference/cli"
_ERRORS = "<!-- the tree of errors -->"
_JOBS_FILE_INTRO = """`seec jobs check FILE` checks a file by this definition, and names each line
that is wrong. `seec jobs schema` prints the definition as a JSON Schema, for editors. Relative
paths begin at the folder of the file. [Schedules](../how-to/schedule.md) has an example."""
_FORMAT_INTRO = """---
title: Formats
---

!!! note
    Every archive holds this text as `FORMAT.md.gz`; the repository, as `schemas/FORMAT.md`,
    `schemas/FORMAT-DEFLATE.md`, `schemas/FORMAT-SAMPLES.md` and `schemas/FORMAT-JPEG.md`.
    [A .seec file, byte by byte](hex.md) shows the container of Part 1 at work.

"""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Complete the navigation: the pages of all commands, and all decisions."""
    decisions = next(entry["Decisions"] for entry in config["nav"] if "Decisions" in entry)
    decisions += sorted(
        f"decisions/{page.name}"
        for page in (ROOT / "docs" / "decisions").glob("*.md")
        if page.name != "README.md"
    )
    reference = next(entry["Reference"] for entry in config["nav"] if "Reference" in entry)
    commands = [{f"seec {name}": _page_of(name)} for name, _ in _commands()]
    for entry in reference:
        if "Commands" in entry:
            entry["Commands"] = [f"{_CLI}/index.md", *commands]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for name, text in generated_pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Put the tree of errors, from the module that defines them, in its place."""
    if page.file.src_uri != "reference/errors.md":
        return markdown
    assert errors.__doc__ is not None
    tree = errors.__doc__[errors.__doc__.index("SeecError") :].partition("\n\n")[0]
    return markdown.replace(_ERRORS, f"```text\n{tree}\n```")


def generated_pages() -> dict[str, str]:
    """Markdown by file name."""
    pages = {f"{_CLI}/index.md": _overview()}
    for name, command in _commands():
        pages[_page_of(name)] = command_page(name, command)
    pages["reference/jobs-file.md"] = jobs_file_page()
    pages["reference/format.md"] = _FORMAT_INTRO + _format_text()
    pages["reference/hex.md"] = annotated_page()
    return pages


def _commands() -> Iterator[tuple[str, click.Command]]:
    """All commands by name; those of a group behind the group: `jobs`, `jobs check` ..."""

    def below(group: click.Group, before: str) -> Iterator[tuple[str, click.Command]]:
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None, name
            yield before + name, command
            if isinstance(command, click.Group):
                yield from below(command, f"{before}{name} ")

    return below(main, "")


def _page_of(name: str) -> str:
    return f"{_CLI}/{name.replace(' ', '-')}.md"


def _format_text() -> str:
    """FORMAT.md, with brackets that no Markdown dialect takes for links: w[c][i] is an element."""
    text = format_text()
    lines = []
    in_code, blank = False, True
    for line in text.splitlines():
        in_code = line.startswith("    ") and (in_code or blank)
        blank = not line.strip()
        parts = line.split("`")
        if not in_code:
            parts[::2] = [part.replace("[", r"\[") for part in parts[::2]]
        lines.append("`".join(parts))
    return "\n".join(lines) + "\n"


def _overview() -> str:
    rows = [
        f"| [`seec {name}`]({_page_of(name).rpartition('/')[2]}) | {_help_line(command)} |"
        for name, command in _commands()
    ]
    return "\n".join(
        [
            "# Commands",
            "",
            "Each page is generated from the command itself and says what `--help` says.",
            "[Settings](../settings.md) explains where options come from.",
            "[Errors and exit codes](../errors.md) explains how commands end.",
            "",
            "| command | purpose |",
            "| --- | --- |",
            *rows,
            "",
        ]
    )


def _help_line(command: click.Command) -> str:
    return _escape(command.get_short_help_str(limit=200))


def command_page(name: str, command: click.Command) -> str:
    """One command: usage, help text, options, examples."""
    context = click.Context(command, info_name=f"seec {name}", show_default=True)
    usage = " ".join(command.collect_usage_pieces(context))
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    return "\n".join(
        [
            f"# seec {name}",
            "",
            "```text",
            f"seec {name} {usage}",
            "```",
            "",
            _help_text(command),
            "",
            "## Options",
            "",
            *(line for option in options for line in _option_lines(name, option, context)),
            "## Examples",
            "",
            "```console",
            *(f"$ {example}" for example in getattr(command, "examples", ())),
            "```",
            "",
        ]
    )


def _help_text(command: click.Command) -> str:
    """The docstring, with its paragraphs as click shows them."""
    paragraphs = re.split(r"\n\s*\n", (command.help or "").strip())
    return "\n\n".join(_escape(" ".join(p.split())) for p in paragraphs)


def _option_lines(name: str, option: click.Option, context: click.Context) -> list[str]:
    """A definition: the option's spelling, its meaning, its default, its variable."""
    facts = option.get_help_extra(context)
    text = option.help or ""
    default = str(facts.get("default", "")).strip("()")
    found = re.search(r"\s*\[default: ([^\]]*)\]", text)
    if found:
        text, default = text.replace(found[0], ""), found[1]
    spelling = ", ".join(option.opts)
    if not option.is_flag:
        spelling += f" {option.make_metavar(context)}"
    lines = [f"`{spelling}`", f":   {_escape(text)}"]
    if "range" in facts:
        lines[-1] += f" Range: {_escape(facts['range'])}."
    if default:
        lines[-1] += f" Default: {_escape(default)}."
    if option.name not in ("config", "help", "version"):
        prefix = name.upper().replace(" ", "_")
        variable = option.envvar or f"SEEC_{prefix}_{(option.name or '').upper()}"
        variable = variable if isinstance(variable, str) else " or ".join(variable)
        lines.append(f"    Variable: `{variable}`.")
    return [*lines, ""]


def jobs_file_page() -> str:
    """Every setting of every table of a jobs file, from the definition that checks such files."""
    lines = ["# Settings of a jobs file", "", _JOBS_FILE_INTRO, ""]
    tables: list[tuple[str, type]] = [("", jobs_file.JobsFile)]
    while tables:
        name, made = tables.pop(0)
        lines += [f"## {(name and f'`{name}`') or 'The file'}", ""]
        lines += [" ".join((made.__doc__ or "").split()), ""]
        lines += ["| setting | value | default | meaning |", "| --- | --- | --- | --- |"]
        for key, one in settings_of(made).items():
            listed = isinstance(one.kind, ListOf)
            inner = getattr(one.kind.kind if listed else one.kind, "made", None)
            if inner is not None:
                below = f"{name.strip('[]')}.{key}".strip(".")
                named = f"{below}.NAME" if isinstance(one.kind, Named) else below
                tables.append((f"[[{named}]]" if listed else f"[{named}]", inner))
            value = "table" if inner else _escape(_value(one.kind.schema())).replace("|", "&#124;")
            default = "required" if one.required else "" if one.written is None else one.written
            shown = str(default).lower() if isinstance(default, bool) else default
            shown = ", ".join(shown) if isinstance(shown, list) else shown
            lines.append(f"| `{key}` | {value} | {shown} | {_escape(one.help)} |")
        lines.append("")
    return "\n".join(lines)


def _value(schema: dict[str, Any]) -> str:
    """What a setting takes, in a word or two."""
    if "enum" in schema:
        return " or ".join(f'"{option}"' for option in schema["enum"])
    if "examples" in schema:
        return ", ".join(f'"{example}"' for example in schema["examples"]) + " ..."
    names = {"integer": "number", "boolean": "true or false", "string": "text", "array": "list"}
    return names[schema["type"]]


def _escape(text: str) -> str:
    """Text for a Markdown paragraph: no HTML, no emphasis, no links by accident."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([*_\[\]])", r"\\\1", text)
