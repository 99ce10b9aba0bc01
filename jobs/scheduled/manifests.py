"""What makes systemd, cron, Kubernetes and Ray run the jobs of a file: texts of their own kinds."""

import hashlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from seec.schemas.jobs_file import ARCHIVE, Job, JobsFile

SYSTEMD, CRON, KUBERNETES, RAY = KINDS = ("systemd", "cron", "kubernetes", "ray")
# What a file begins with that may be replaced.
MARK = "# Written by seec jobs install; it replaces this file."
_MOUNT = "/etc/seec"
_NAME_LETTERS = 46
_STOP_S = 90  # to commit what is done


@dataclass(frozen=True)
class Place:
    """What is installed: the file, the program that runs it, how often that looks what is due.

    program: words of a command line. every: minutes. user: whom the jobs run as; None is whoever
    installs them. image: of containers.
    """

    path: Path
    text: str
    program: tuple[str, ...]
    every: int
    user: str | None = None
    image: str | None = None

    @property
    def name(self) -> str:
        """A name for units and objects: seec-<name of the file>, in letters that all take."""
        stem = re.sub(r"[^a-z0-9]+", "-", self.path.stem.lower()).strip("-")
        return f"seec-{stem or 'jobs'}"[:40].rstrip("-")

    @property
    def command(self) -> list[str]:
        """Words that run what is due."""
        return [*self.program, "jobs", "run", str(self.path.absolute())]


def systemd(place: Place) -> dict[str, str]:
    """A service and a timer, by the names of their files."""
    words = " ".join(_unit_word(word) for word in place.command)
    user = f"User={place.user}\n" if place.user else ""
    service = f"""{MARK}
[Unit]
Description=Jobs of {place.path.name} that are due
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
{user}WorkingDirectory=~
Environment=SEEC_LOG_FORMAT=json OMP_NUM_THREADS=1
ExecStart={words}
# Files in quarantine are no failed unit.
SuccessExitStatus=3
# Ask the program alone to stop: it ends what it started.
KillMode=mixed
TimeoutStopSec={_STOP_S}
Nice=10
"""
    timer = f"""{MARK}
[Unit]
Description=Look every {place.every} minutes which jobs of {place.path.name} are due

[Timer]
OnCalendar=*:0/{place.every}
RandomizedDelaySec=20
Persistent=true

[Install]
WantedBy=timers.target
"""
    return {f"{place.name}.service": service, f"{place.name}.timer": timer}


def _unit_word(word: str) -> str:
    """A word of ExecStart: % and $ mean something there."""
    escaped = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$").replace('"', '\\"')
    return f'"{escaped}"' if re.search(r"[\s\"';]", word) else escaped


def cron(place: Place) -> str:
    """A file for /etc/cron.d, or without a user a line of a crontab.

    What jobs say goes to the system's log: cron mails all output, every few minutes.
    """
    # An unescaped % is a new line to cron.
    words = " ".join(shlex.quote(word) for word in place.command).replace("%", r"\%")
    user = f"{place.user} " if place.user else ""
    minutes = "*" if place.every == 1 else f"*/{place.every}" if place.every < 60 else "0"
    return f"{MARK}\n{minutes} * * * * {user}{words} 2>&1 | logger -t {place.name}\n"


def kubernetes(place: Place, file: JobsFile) -> str:
    """A ConfigMap with the file, and a CronJob for each schedule of each job."""
    objects = [_config_map(place)]
    for name, job, suffix, schedule in _schedules(file):
        run = {
            "name": "seec",
            "image": place.image,
            "args": ["jobs", "run", f"{_MOUNT}/{place.path.name}", name, "--due"],
            "env": _environment(),
            "envFrom": [{"secretRef": {"name": place.name, "optional": True}}],
            "resources": {"requests": {"cpu": str(job.cpus or 2), "memory": "4Gi"}},
            "volumeMounts": _mounts(),
        }
        pod = {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": _STOP_S,
            "containers": [run],
            "volumes": _volumes(place),
        }
        objects.append(
            {
                "apiVersion": "batch/v1",
                "kind": "CronJob",
                "metadata": {"name": _short(f"{place.name}-{name}{suffix}")},
                "spec": {
                    "schedule": schedule,
                    "timeZone": file.zone(job),
                    "concurrencyPolicy": "Forbid",
                    "jobTemplate": {
                        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
                    },
                },
            }
        )
    return _documents(objects)


def ray(place: Place, file: JobsFile) -> str:
    """A ConfigMap with the file, and a RayCronJob (KubeRay) for each schedule of each job."""
    objects = [_config_map(place)]
    for name, job, suffix, schedule in _schedules(file):
        words = ["python", "-m", "seec.jobs.cli", "jobs", "run", f"{_MOUNT}/{place.path.name}"]
        node = {
            "name": "seec",
            "image": place.image,
            "env": _environment(),
            "envFrom": [{"secretRef": {"name": place.name, "optional": True}}],
            "resources": {"requests": {"cpu": "2", "memory": "8Gi"}},
            "volumeMounts": _mounts(),
        }
        pod = {"spec": {"containers": [node], "volumes": _volumes(place)}}
        workers = max(1, ((job.cpus or 8) - 1) // 8 + 1)
        worker = {**node, "resources": {"requests": {"cpu": "8", "memory": "16Gi"}}}
        objects.append(
            {
                "apiVersion": "ray.io/v1",
                "kind": "RayCronJob",
                "metadata": {"name": _short(f"{place.name}-{name}{suffix}")},
                "spec": {
                    "schedule": schedule,
                    "timeZone": file.zone(job),
                    "jobTemplate": {
                        "entrypoint": shlex.join([*words, name, "--due"]),
                        "shutdownAfterJobFinishes": True,
                        "ttlSecondsAfterFinished": 600,
                        "rayClusterSpec": {
                            "headGroupSpec": {
                                # Drives and commits; reads and encodes nothing.
                                "rayStartParams": {"num-cpus": "0"},
                                "template": pod,
                            },
                            "workerGroupSpecs": [
                                {
                                    "groupName": "cpu",
                                    "replicas": workers,
                                    "rayStartParams": {},
                                    "template": {"spec": {**pod["spec"], "containers": [worker]}},
                                }
                            ],
                        },
                    },
                },
            }
        )
    return _documents(objects)


def _schedules(file: JobsFile) -> list[tuple[str, Job, str, str]]:
    """Name, job, a suffix for the object, and cron expression, of each schedule that differs."""
    found: list[tuple[str, Job, str, str]] = []
    for name, job in file.jobs.items():
        seen: set[str] = set()
        for part, own in job.parts.items():
            schedule = own or job.schedule
            if schedule is not None and schedule not in seen:
                seen.add(schedule)
                suffix = "" if part == ARCHIVE or own is None else f"-{part}"
                found.append((name, job, suffix, schedule))
    return found


def _short(name: str) -> str:
    """A name of an object, of which pods still get longer ones."""
    if len(name) <= _NAME_LETTERS:
        return name
    return f"{name[: _NAME_LETTERS - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _config_map(place: Place) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": place.name},
        "data": {place.path.name: place.text},
    }


def _environment() -> list[dict[str, str]]:
    return [
        {"name": "SEEC_LOG_FORMAT", "value": "json"},
        {"name": "OMP_NUM_THREADS", "value": "1"},
    ]


def _mounts() -> list[dict[str, str]]:
    return [
        {"name": "jobs", "mountPath": _MOUNT},
        {"name": "shared-memory", "mountPath": "/dev/shm"},
    ]


def _volumes(place: Place) -> list[dict[str, Any]]:
    return [
        {"name": "jobs", "configMap": {"name": place.name}},
        # Ray keeps payloads in shared memory; 64 MiB, the default, is too small.
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}},
    ]


def _documents(objects: list[dict[str, Any]]) -> str:
    class Dumper(yaml.SafeDumper):
        """Writes what occurs twice twice, and texts of several lines as blocks."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Dumper, value: str) -> Any:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    body = yaml.dump_all(objects, Dumper=Dumper, sort_keys=False, explicit_start=True)
    return f"{MARK}\n{body}"
