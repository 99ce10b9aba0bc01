"""Have something run the jobs of a file: `seec jobs install FILE --systemd`."""

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.scheduled import manifests, reading
from seec.jobs.scheduled.manifests import CRON, KUBERNETES, MARK, RAY, SYSTEMD, Place
from seec.jobs.scheduled.options import file_argument
from seec.jobs.summary import figures
from seec.schemas.errors import StorageError
from seec.schemas.jobs_file import JobsFile

# Parts of an hour, so that all of these schedulers can count them.
_MINUTES = ("1", "2", "3", "4", "5", "6", "10", "12", "15", "20", "30", "60")
_CONTAINERS = (KUBERNETES, RAY)


@dataclass(frozen=True)
class Settings:
    """Which file, for what kind of scheduler; write: put it in place, and do not only print it.

    every: minutes between looks at what is due. user: as in `manifests.Place`.
    """

    file: Path
    kind: str
    write: bool = False
    every: int = 5
    user: str | None = None
    image: str | None = None


@dataclass(frozen=True)
class Summary:
    """The texts, by where they belong; next_commands: what makes them count."""

    kind: str
    texts: dict[str, str]
    written: bool
    next_commands: tuple[str, ...]
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All by name."""
        return figures(self)

    def lines(self) -> Iterator[str]:
        """The texts; or, if they were written, where, and what to do next."""
        for where, text in self.texts.items():
            if self.written:
                yield f"wrote {where}"
            else:
                yield f"# {where}" if len(self.texts) > 1 or self.kind not in _CONTAINERS else MARK
                yield from text.removeprefix(f"{MARK}\n").splitlines()
        if self.written:
            yield from (f"next: {words}" for words in self.next_commands)


def run(settings: Settings) -> Summary:
    """Make the texts, and put them in place if asked.

    Wrong use if the file is wrong, or if its jobs cannot run there; StorageError if a file that is
    not ours is in the way; OSError if a place cannot be written.
    """
    file = reading.read(settings.file)
    place = Place(
        settings.file.absolute(),
        settings.file.read_text("utf-8"),
        _program(),
        settings.every,
        settings.user or (getpass.getuser() if os.geteuid() == 0 else None),
        settings.image,
    )
    if settings.kind in _CONTAINERS:
        summary = _containers(settings, file, place)
    elif settings.kind == SYSTEMD:
        summary = _systemd(place)
    else:
        summary = _cron(place)
    return _write(summary, place) if settings.write else summary


def _program() -> tuple[str, ...]:
    beside = Path(sys.executable).with_name("seec")
    return (str(beside),) if beside.exists() else (sys.executable, "-m", "seec.jobs.cli")


def _systemd(place: Place) -> Summary:
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    system = os.geteuid() == 0
    folder = Path("/etc/systemd/system") if system else Path(home, "systemd", "user")
    texts = {str(folder / name): text for name, text in manifests.systemd(place).items()}
    control = "systemctl" if system else "systemctl --user"
    later = (f"{control} daemon-reload", f"{control} enable --now {place.name}.timer")
    return Summary(SYSTEMD, texts, False, later)


def _cron(place: Place) -> Summary:
    where = f"/etc/cron.d/{place.name}" if place.user else "crontab"
    return Summary(CRON, {where: manifests.cron(place)}, False, ())


def _containers(settings: Settings, file: JobsFile, place: Place) -> Summary:
    if not settings.image:
        raise click.UsageError(f"--{settings.kind} needs --image, a container image with seec")
    local = {
        f"{key} of job {name}": value
        for name, job in file.jobs.items()
        for key, value in (
            ("source", job.source),
            ("archive", job.archive),
            ("model", job.model),
            ("target of copy", job.copy and job.copy.target),
        )
        if value is not None and "://" not in value
    }
    state = reading.state_of(file, settings.file)
    if state.is_local:
        local["state"] = file.state or "the default"
    if local:
        what, value = next(iter(local.items()))
        raise click.UsageError(
            f"{settings.file}: {what} is {value}, a folder of this machine, which containers do "
            "not have; give a URL, such as s3://bucket/folder"
        )
    make = manifests.kubernetes if settings.kind == KUBERNETES else manifests.ray
    where = place.path.with_suffix(f".{settings.kind}.yaml")
    return Summary(
        settings.kind, {str(where): make(place, file)}, False, (f"kubectl apply -f {where}",)
    )


def _write(summary: Summary, place: Place) -> Summary:
    for where, text in summary.texts.items():
        if where == "crontab":
            _write_crontab(text, place)
            continue
        path = Path(where)
        if path.exists() and not path.read_text("utf-8").startswith(MARK):
            raise StorageError(f"{path}: is there, and not by seec jobs install; move it away")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o644)
    return replace(summary, written=True)


def _write_crontab(text: str, place: Place) -> None:
    """Replace the lines of this file in the crontab of the user."""
    program = shutil.which("crontab")
    if program is None:
        raise StorageError("crontab: no such program; install cron")
    begin, end = f"# begin {place.name}", f"# end {place.name}"
    known = subprocess.run([program, "-l"], capture_output=True, text=True, check=False).stdout
    before, _, rest = known.partition(f"{begin}\n")
    _, _, after = rest.partition(f"{end}\n")
    lines = text.removeprefix(f"{MARK}\n")
    whole = f"{before}{begin}\n{lines}{end}\n{after}"
    subprocess.run([program, "-"], input=whole, text=True, check=True)


@command(
    "jobs install",
    examples=[
        "seec jobs install jobs.toml --systemd",
        "seec jobs install jobs.toml --cron --write",
        "seec jobs install jobs.toml --kubernetes --image registry.example.com/seec:0.1.0",
        "seec jobs install jobs.toml --ray --image registry.example.com/seec:0.1.0",
    ],
)
@file_argument
@click.option("--systemd", "kind", flag_value=SYSTEMD, help="A service and a timer.")
@click.option("--cron", "kind", flag_value=CRON, help="A file for /etc/cron.d, or a crontab line.")
@click.option(
    "--kubernetes", "kind", flag_value=KUBERNETES, help="A CronJob for each schedule of each job."
)
@click.option(
    "--ray",
    "kind",
    flag_value=RAY,
    help="A RayCronJob for each schedule of each job, for KubeRay 1.6 or later.",
)
@click.option("--write", is_flag=True, help="Put it in place. Without this option, only print it.")
@click.option(
    "--every",
    type=click.Choice(_MINUTES),
    default="5",
    help="With --systemd and --cron: minutes between looks at what is due.",
)
@click.option(
    "--user", help="With --systemd and --cron, as root: whom the jobs run as. [default: root]"
)
@click.option("--image", help="With --kubernetes and --ray: a container image with seec.")
def main(**options: Any) -> Summary:
    """Have systemd, cron, Kubernetes or Ray run the jobs of FILE.

    systemd and cron start `seec jobs run FILE` every few minutes, which runs what is due.
    Kubernetes and Ray start each job by its own schedule, from an image; FILE travels in a
    ConfigMap, and variables with secrets come from a Secret of the same name if there is one.

    Without root, --write puts systemd units and the crontab line where the user has them.
    """
    if options["kind"] is None:
        raise click.UsageError("give one of --systemd, --cron, --kubernetes, --ray")
    return run(Settings(**{**options, "every": int(options["every"])}))


if __name__ == "__main__":
    main()
