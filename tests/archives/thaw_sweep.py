"""`python -m tests.archives.thaw_sweep [EVERY]`: counts of commands on cold storage, as tables.

An archive with parity on a real S3 server, before which a proxy answers as Glacier does. Objects of
each kind are frozen, some or all are thawed, and expire again. Each command does what it does
without cold storage, or ends with exit code 7, changes no object, and can be run again later.
`restore --thaw` is interrupted at each of its steps, and each of its requests fails; then it is run
again. With EVERY, only each so many-th case is tried.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count as count_from
from pathlib import Path
from typing import Any
from unittest.mock import patch

from seec.jobs.exit_codes import ExitCode
from seec.pipeline.storage import Store
from tests.archives import vault
from tests.archives.life import put_files
from tests.archives.table import Count, printed
from tests.archives.vault import ICE, Vault
from tests.faults.proxy import PASSING, Request
from tests.object_store import s3_server
from tests.sources import files_below

# Of each command: its words, with A for the archive, T for a new place, S for the source.
READING = {
    "ls": "ls A",
    "ls of commits": "ls A --commits",
    "info": "info A",
    "digest": "digest A",
    "prove": "prove A a.txt",
    "parity": "parity A",
    "gc": "gc A",
    "verify": "verify A",
    "verify checksums": "verify A --mode checksum",
    "restore": "restore A T",
    "restore of one": "restore A T --include a.txt",
    "copy": "copy A T",
    "report": "report A T.html",
}
WRITING = {
    "archive": "archive S A",
    "gc, deleting": "gc A --delete --older-than 0s",
    "compact": "compact A --shard-files 8",
    "more parity": "parity A 20%",
    "repair": "repair A",
}
COMMANDS = READING | WRITING
# What these wrote before they met a frozen object, they go on with.
GOES_ON = frozenset(WRITING) | {"copy"}
# Kinds of objects by a part of their keys, and the two that belong into cold storage.
KINDS = {
    "blobs and parity": ICE,
    "blobs": ("/blobs/",),
    "parity": ("/parity/",),
    "manifest parts": ("/manifest/",),
    "plans": ("/plans/",),
    "commits": ("/commits/",),
    "`archive.json`": ("/archive.json",),
    "the description": ("/FORMAT.md.gz",),
    "spares": ("/spare/",),
    "everything": ("/",),
}
# Commands that do without blobs, and so do all they do while these are frozen.
_WITHOUT_BLOBS = frozenset(
    ("ls", "ls of commits", "info", "digest", "prove", "parity", "gc", "verify")
) | {"verify checksums", "report", "archive", "gc, deleting"}


@dataclass
class Sweep:
    """A vault with an archive, its objects as they are before each command, and a folder."""

    vault: Vault
    folder: Path
    whole: dict[str, bytes]
    places: int = 0

    def run(self, name: str) -> tuple[int, str, Path]:
        """Exit code and output of a command, and the place for what it makes."""
        self.places += 1
        target = self.folder / f"{self.places}"
        names = {
            "A": self.vault.url,
            "S": str(self.vault.source),
            "T": str(target),
            "T.html": f"{target}.html",
        }
        words = [names.get(word, word) for word in COMMANDS[name].split()]
        result = self.vault.run(*words)
        return result.exit_code, result.output, target

    def set_back(self) -> None:
        """Let the archive have the objects that it had."""
        store = self.vault.store
        for name in self.vault.objects().keys() - self.whole.keys():
            store.remove(name)
        for name, data in self.whole.items():
            store.put(name, data)
        self.vault.ice.restored.clear()

    def unlike(self, name: str, expected: int, done: bool | None = None) -> str | None:
        """What is wrong with what a command does, if anything. done: whether it must succeed."""
        self.vault.ice.refused.clear()
        code, output, target = self.run(name)
        if code == expected and done is not False:
            return None
        if code != ExitCode.FROZEN or done:
            return f"ended with {code} in place of {expected}: {output[-300:]}"
        if "cold storage" not in output and '"frozen"' not in output:
            return f"does not say what is frozen: {output[-300:]}"
        if not self.whole.items() <= (now := self.vault.objects()).items():
            return "changed objects of the archive"
        if name not in WRITING and now != self.whole:
            return "added to the archive"
        if name in GOES_ON:
            return self._finished(name, expected)
        left = files_below(target) if target.exists() else {}
        return f"left {sorted(left)}" if left else None

    def _finished(self, name: str, expected: int) -> str | None:
        """What is wrong with a command that is run again without cold storage, if anything."""
        self.vault.ice.cold = ()
        code, output, _ = self.run(name)
        if code != expected:
            return f"after that, ended with {code} in place of {expected}: {output[-300:]}"
        found = self.vault.json("verify", self.vault.url, "--mode", "checksum")["findings"]
        return f"after that: {found}" if found else None


@contextmanager
def begun() -> Iterator[tuple[Sweep, dict[str, int]]]:
    """A sweep of two runs that share a payload, and how all commands end without cold storage."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "s3").mkdir()
        with s3_server(folder / "s3", "cold") as server, vault.opened(folder, server) as made:
            made.archive()
            put_files(made.source, e="five", a="one, later", copy="two")
            made.archive()
            put_files(made.source, f="six")
            (folder / "places").mkdir()
            sweep = Sweep(made, folder / "places", made.objects())
            codes: dict[str, int] = {}
            for command in COMMANDS:
                codes[command], *_ = sweep.run(command)
                sweep.set_back()
            yield sweep, codes


def frozen(sweep: Sweep, codes: dict[str, int], parts: tuple[str, ...], every: int) -> Count:
    """Each command while all objects of a kind are frozen."""
    count = Count()
    for command in list(COMMANDS)[::every]:
        sweep.vault.freeze(*parts)
        done = True if parts == ICE and command in _WITHOUT_BLOBS else None
        wrong = sweep.unlike(command, codes[command], done)
        if done and not command.startswith("verify") and sweep.vault.ice.refused:
            wrong = wrong or f"asked for {sweep.vault.ice.refused}"
        count.add(command, wrong)
        _put_back(sweep, command)
    return count


def partly(sweep: Sweep, codes: dict[str, int], every: int) -> Count:
    """Each command while one frozen object after the other is thawed."""
    count = Count()
    names = [name for name in sweep.whole if name.startswith(("blobs/", "parity/"))]
    for command in list(COMMANDS)[::every]:
        for thawed in range(1, len(names) + 1):
            sweep.vault.freeze()
            for name in names[:thawed]:
                sweep.vault.store.thaw(name, 1, "Standard")
            done = True if thawed == len(names) or command in _WITHOUT_BLOBS else None
            count.add(f"{command} {thawed}", sweep.unlike(command, codes[command], done))
            _put_back(sweep, command)
    return count


def expired(sweep: Sweep, codes: dict[str, int], every: int) -> Count:
    """Each command once all that was thawed has expired: as before it was thawed."""
    count = Count()
    for command in list(COMMANDS)[::every]:
        sweep.vault.freeze()
        for name in sweep.whole:
            if name.startswith(("blobs/", "parity/")):
                sweep.vault.store.thaw(name, 1, "Standard")
        sweep.vault.ice.restored.clear()
        done = command in _WITHOUT_BLOBS
        count.add(command, sweep.unlike(command, codes[command], done or None))
        _put_back(sweep, command)
    return count


def _put_back(sweep: Sweep, command: str) -> None:
    sweep.vault.ice.cold = ()
    sweep.vault.ice.restored.clear()
    if command in WRITING:
        sweep.set_back()


def interrupted(sweep: Sweep, every: int) -> Count:
    """`restore --thaw`, interrupted before or after each request to thaw or to look; run again."""
    sweep.vault.ice.bodies.clear()
    count = Count()
    for when in ("before", "after"):
        step = 0
        while True:
            sweep.vault.freeze()
            if not _interrupt(sweep, step, when):
                break
            count.add(f"{when} step {step}", _thawed(sweep))
            step += every
    return count


def _interrupt(sweep: Sweep, step: int, when: str) -> bool:
    """Run it until a step; whether it has so many."""
    numbers, reached = count_from(0), False

    def around(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal reached
            here = next(numbers) == step  # several threads ask
            reached |= here
            if here and when == "before":
                raise KeyboardInterrupt
            result = method(*arguments)
            if here:
                raise KeyboardInterrupt
            return result

        return call

    sweep.places += 1
    with (
        patch.object(Store, "thaw", around(Store.thaw)),
        patch.object(Store, "thawing", around(Store.thawing)),
    ):
        result = sweep.vault.run(*_restore(sweep))
    assert (result.exit_code == ExitCode.OK) != reached, result.output
    return reached


def _restore(sweep: Sweep) -> tuple[str, ...]:
    target = sweep.folder / f"thawed {sweep.places}"
    return ("restore", sweep.vault.url, str(target), "--thaw", "--thaw-every", "1s")


def _thawed(sweep: Sweep) -> str | None:
    """Run it again. What is wrong then, if anything."""
    result = sweep.vault.run(*_restore(sweep))
    if result.exit_code != ExitCode.OK:
        return f"ended with {result.exit_code}: {result.output[-300:]}"
    back = files_below(sweep.folder / f"thawed {sweep.places}")
    wanted = {b"a.txt": b"one, later", b"b.txt": b"two", b"c.txt": b"three"}
    wanted |= {b"d.txt": b"four", b"e.txt": b"five", b"copy.txt": b"two"}
    sweep.vault.ice.restored.clear()
    sweep.vault.ice.cold = ()
    asked = len(sweep.vault.ice.bodies)
    sweep.vault.ice.bodies.clear()
    blobs = sum(name.startswith("blobs/") for name in sweep.whole)
    if back != wanted:
        return f"restored {sorted(back)}"
    return None if asked <= blobs else f"asked {asked} times for {blobs} blobs"


def requests(sweep: Sweep, every: int) -> Count:
    """Each request of `restore --thaw` fails in each way that passes, and is made again."""
    count, asked = Count(), list[Request]()

    def listening(request: Request) -> None:
        asked.append(request)

    plan = sweep.vault.proxy.plan
    sweep.vault.freeze()
    sweep.places += 1
    plan.fault = listening
    assert _thawed(sweep) is None
    cases = [(number, fault) for number in range(len(asked)) for fault in PASSING]
    for number, fault in cases[::every]:
        sweep.vault.freeze()
        sweep.places += 1
        left = iter(range(number + 1))

        def strike(_: Request, left: Iterator[int] = left, fault: str = fault) -> str | None:
            return fault if next(left, None) == number else None  # noqa: B023

        plan.fault = strike
        wrong = _thawed(sweep)
        # A request whose answer was lost is made again.
        if wrong and wrong.startswith("asked"):
            wrong = None
        count.add(f"{number} {asked[number].method} {asked[number].target} {fault}", wrong)
        plan.fault = lambda _: None
    return count


def main() -> None:
    """Print the tables."""
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with begun() as (sweep, codes):

        def rows() -> Iterator[tuple[str, Count]]:
            for kind, parts in KINDS.items():
                yield f"{kind}: frozen", frozen(sweep, codes, parts, every)
            yield "blobs and parity: thawed one after the other", partly(sweep, codes, every)
            yield "blobs and parity: thawed and expired", expired(sweep, codes, every)

        failures = printed("objects | commands | as without, or exit code 7", rows())

        def thaws() -> Iterator[tuple[str, Count]]:
            yield "interrupted at each step, run again", interrupted(sweep, every)
            yield "each request fails once, in each way", requests(sweep, every)

        failures += printed("`restore --thaw` | tried | all restored", thaws())
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
