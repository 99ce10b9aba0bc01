"""Prove that an archive still holds what was put into it: `python -m seec.jobs.verify ARCHIVE`."""

import math
import platform
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from seec import __version__
from seec.jobs import absence, clock
from seec.jobs.contents import same_contents
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.messages import warn
from seec.jobs.metrics import metrics_options
from seec.jobs.options import (
    Duration,
    Part,
    Percentage,
    allow_unfinished_option,
    descends_option,
    name_option,
    ray_options,
    store_options,
)
from seec.jobs.places import source_name
from seec.jobs.progress import progress
from seec.pipeline.archive.archive import REOPENINGS, Archive
from seec.pipeline.archive.completeness import Absent, absent, lost_files, not_held
from seec.pipeline.archive.planning import quarantined_files, seen_files
from seec.pipeline.archive.sources import follows_links
from seec.pipeline.signing.signed import Signatures, check_signatures
from seec.pipeline.signing.signers import read_signers
from seec.pipeline.stages.execution import execution, is_small
from seec.pipeline.stages.verifying import Scope, verify_shards
from seec.pipeline.storage import Limits, Source, Store
from seec.pipeline.verify.choose import not_in, oldest_first, share, subset
from seec.pipeline.verify.records import Records, check_records
from seec.pipeline.verify.reports import last_verified, newest, report_name
from seec.schemas.archive import MODEL, parse_name
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import SeecError, StorageError
from seec.schemas.report import (
    CHECKSUM,
    DECODE,
    MODES,
    SAMPLE,
    About,
    Checked,
    Finding,
    serialise_findings,
)

_SHOWN = 20
DEFAULT_IMAGES = 0.05

# What a report of a mode says is as good as what another one would.
_AS_GOOD = {CHECKSUM: MODES, SAMPLE: (SAMPLE, DECODE), DECODE: (DECODE,)}


@dataclass(frozen=True)
class Settings:
    """What to verify and how thoroughly.

    images: a fraction of each kind of image, for mode `sample`; None is DEFAULT_IMAGES. subset:
    part K of N, from 1. shards: a fraction of the shards. seed: of both choices; None is random.
    since: only what was added after this commit. max_duration_s: no shard is begun after that
    time. expect: what the archive digest begins with, now or after an earlier commit.
    allow_unfinished: whether it is well that files are absent. against: a source to compare with
    at the end; name: of that source in the archive; check_content: compare contents, too.
    """

    archive: str
    mode: str = DECODE
    images: float | None = None
    subset: tuple[int, int] | None = None
    shards: float | None = None
    since: int | None = None
    max_duration_s: float | None = None
    seed: int | None = None
    expect: str | None = None
    allow_unfinished: bool = False
    against: str | None = None
    name: str = ""
    check_content: bool = False
    signers: Path | None = None
    timestamp_roots: Path | None = None
    ray_address: str | None = None
    cpus: int | None = None
    limits: Limits | None = None


@dataclass(frozen=True)
class Comparison:
    """What the archive does not hold of a source, and why, by path.

    files: how many paths the source has. proven: whether all images of the archive were decoded,
    without damage, and none has a lossy background.
    """

    source: str
    files: int
    by_content: bool
    missing: dict[str, str]
    proven: bool

    @property
    def safe_to_delete(self) -> bool:
        """Whether the archive can give back all of the source."""
        return self.proven and bool(self.files) and not self.missing

    def as_dict(self) -> dict[str, Any]:
        """All by name."""
        return {**self.__dict__, "safe_to_delete": self.safe_to_delete}

    def lines(self) -> Iterator[str]:
        """For people."""
        for path, reason in list(self.missing.items())[:_SHOWN]:
            yield f"not in the archive: {path!r}: {reason}"
        if len(self.missing) > _SHOWN:
            yield f"... and {len(self.missing) - _SHOWN} more"
        how = "content" if self.by_content else "size and time"
        if self.missing:
            yield (
                f"{len(self.missing)} of {self.files} paths of {self.source} are not in the "
                f"archive as they are now, by {how}"
            )
        elif not self.files:
            yield f"{self.source} is empty; is it mounted?"
        elif self.safe_to_delete:
            yield (
                f"all {self.files} paths of {self.source} are in the archive, by {how}, and the "
                "archive is sound: they are safe to delete"
            )
        else:
            yield (
                f"all {self.files} paths of {self.source} are in the archive, by {how}; that they "
                "can be restored is not proven: that takes all shards in mode decode, "
                "without findings and without lossy backgrounds"
            )


@dataclass(frozen=True)
class VerifySummary:
    """What was checked and what was found; report is the object with all of it, if written.

    descends_from: the earlier commit after which the archive had the expected digest; None if it
    has that digest now, or none was expected. files_lost: of all states that are kept. absent:
    files that the archive should hold by now and does not; allow_unfinished: whether that is well.
    against: of a source, None if there is none. shards: how many were to be checked, shards_left:
    how many of them time did not allow. seed: what samples were drawn with.
    """

    archive: str
    mode: str
    seed: int
    digest: str
    descends_from: int | None
    signed: dict[str, Any] | None
    objects: int
    shards: int
    shards_left: int
    images: int
    images_decoded: int
    images_lossy: int
    files_lost: int
    objects_frozen: int
    seconds: float
    report: str | None
    findings: tuple[Finding, ...]
    absent: Absent
    allow_unfinished: bool
    against: Comparison | None

    @property
    def exit_code(self) -> ExitCode:
        """DAMAGE if anything was found; INCOMPLETE if files are not in the archive."""
        if self.findings:
            return ExitCode.DAMAGE
        complete = self.allow_unfinished or not self.absent
        if self.against is not None:
            complete = complete and self.against.files > 0 and not self.against.missing
        return ExitCode.OK if complete else ExitCode.INCOMPLETE

    def as_dict(self) -> dict[str, Any]:
        """All figures by name; findings as a list."""
        return {
            **self.__dict__,
            "findings": [asdict(finding) for finding in self.findings],
            "absent": asdict(self.absent),
            "against": None if self.against is None else self.against.as_dict(),
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        for finding in self.findings[:_SHOWN]:
            affected = f" ({len(finding.paths)} images affected)" if finding.paths else ""
            yield f"{finding.kind}: {finding.object}: {finding.detail}{affected}"
            yield f"  next: {finding.next_command}"
        if len(self.findings) > _SHOWN:
            yield f"... and {len(self.findings) - _SHOWN} more"
        sound = "what is there is as recorded" if self.absent else "everything as recorded"
        verdict = f"{len(self.findings)} findings" if self.findings else sound
        yield (
            f"{verdict}: {self.objects} objects and {self.images} images checked, "
            f"{self.images_decoded} decoded, in {self.seconds:.0f} s"
        )
        if self.shards_left:
            yield (
                f"{self.shards_left} of {self.shards} shards are left: the same command goes on "
                "with those that were verified longest ago"
            )
        if self.images_lossy:
            yield f"{self.images_lossy} images have a lossy background, as they were archived"
        if self.objects_frozen:
            yield (
                f"{self.objects_frozen} objects are in cold storage, and were not read: "
                "seec restore --thaw asks the store for what a restore needs"
            )
        yield from absence.lines(self.absent, self.archive)
        if self.against is not None:
            yield from self.against.lines()
        yield f"report {self.report}" if self.report else "no report: it could not be written"
        if self.signed is not None:
            since = self.signed["time_stamp"]
            stamp = f", there by {since} by a time-stamp" if since else ""
            later = self.signed["commits_since"]
            yield (
                f"commit {self.signed['commit']} is signed by {', '.join(self.signed['signers'])}"
                f"{stamp}; " + (f"{later} commits since are not" if later else "it is the last one")
            )
        if self.descends_from is not None:
            yield (
                f"descends from commit {self.descends_from}, which has the expected digest; "
                "seec ls --commits tells what was committed since"
            )
        yield f"archive digest {self.digest}"


def run(settings: Settings) -> VerifySummary:
    """Check records, then shards, then images; keep going after a finding; write a report.

    Raises NotAnArchive, UnknownCommit, or StorageError if the store does not answer.
    """
    start, begun_at = time.monotonic(), clock.now()
    name = source_name(settings.name)
    source = None if settings.against is None else Source(settings.against, settings.limits, name)
    seed = random.randrange(1 << 31) if settings.seed is None else settings.seed
    store = Store(settings.archive, limits=settings.limits)
    records = check_records(store, settings.expect)
    checked: dict[str, Checked] = {}
    _add(checked, records.checked)
    signatures = _signatures(store, settings, records)
    _add(checked, signatures.checked)
    previous, changed = newest(store)
    _add(checked, changed)
    shards = _choose(store, settings, records, seed)
    scope = Scope(
        settings.mode, DEFAULT_IMAGES if settings.images is None else settings.images, seed
    )
    end = start + (math.inf if settings.max_duration_s is None else settings.max_duration_s)
    begun: list[ShardRecord] = []

    def check(shards: list[ShardRecord]) -> None:
        # A file in pieces counts with the files, and with the pieces.
        total = sum(shard.files + shard.pieces for shard in shards)
        small = is_small(total, sum(shard.blob.size_bytes for shard in shards))
        with (
            progress("verify", total, "images") as shown,
            execution(settings.ray_address, settings.cpus, small=small) as executor,
        ):
            until = _until(end, shards, begun)
            for item in verify_shards(
                store, until, scope, records.models, executor, records.shards
            ):
                _add(checked, [item])
                shown.advance(item.decoded if settings.mode == DECODE else item.images)

    if shards:
        check(shards)
    for _ in range(REOPENINGS):
        newer = _moved_on(records, checked, settings.expect)
        if newer is None:
            break
        dropped = not_in(records.shards, {s.shard: s for s in newer.shards})
        more = not_in(newer.shards, {s.shard: s for s in records.shards})
        begun, shards = ([s for s in part if s not in dropped] for part in (begun, shards))
        records, shards = newer, [*shards, *more]
        _add(checked, records.checked)
        if more:
            check(more)
    about = About(
        software=f"seec-archive {__version__}",
        python=platform.python_version(),
        machine=f"{platform.node()}, {platform.platform()}",
        begun=begun_at.isoformat(),
        ended=clock.now().isoformat(),
        digest=records.archive.digest(),
        commits=records.state.sequence,
        checked=_chosen(settings, seed, len(begun), len(records.shards)),
        previous=previous,
    )
    lost = sum(item.lost for item in checked.values())
    findings = tuple(finding for item in checked.values() for finding in item.findings)
    lossy = sum(item.lossy for item in checked.values())
    frozen = sum(item.frozen for item in checked.values())
    whole = {s.shard for s in begun} == {s.shard for s in records.shards}
    proven = whole and settings.mode == DECODE and not (findings or lossy or frozen)
    return VerifySummary(
        archive=store.url,
        mode=settings.mode,
        seed=seed,
        digest=records.archive.digest(),
        descends_from=None
        if records.expected_at == records.state.sequence
        else records.expected_at,
        signed=_signed(signatures, records),
        objects=len(checked),
        shards=len(shards),
        shards_left=len(shards) - len(begun),
        images=sum(item.images for item in checked.values()),
        images_decoded=sum(item.decoded for item in checked.values()),
        images_lossy=lossy,
        files_lost=lost,
        objects_frozen=frozen,
        seconds=round(time.monotonic() - start, 3),
        report=_write_report(store, settings.mode, list(checked.values()), about),
        findings=findings,
        absent=absent(records.archive, lost=lost_files(records.archive) if lost else 0),
        allow_unfinished=settings.allow_unfinished,
        against=None
        if source is None or _is_damaged(findings, source)
        else _compare(records.archive, source, settings.check_content, proven),
    )


def _signatures(store: Store, settings: Settings, records: Records) -> Signatures:
    """What signatures say, if anybody is allowed to sign."""
    if settings.signers is None:
        return Signatures()
    roots = None
    if settings.timestamp_roots is not None:
        from seec.pipeline.signing.timestamps import read_roots

        roots = read_roots(settings.timestamp_roots)
    heads = {number: head for number, head in records.heads.items() if number}
    return check_signatures(store, heads, read_signers(settings.signers), roots)


def _signed(signatures: Signatures, records: Records) -> dict[str, Any] | None:
    last = signatures.last
    if last is None:
        return None
    since = None if last.since_s is None else datetime.fromtimestamp(last.since_s, UTC).isoformat()
    return {
        "commit": last.sequence,
        "signers": list(last.signers),
        "time_stamp": since,
        "commits_since": records.state.sequence - last.sequence,
    }


def _add(checked: dict[str, Checked], items: Iterable[Checked]) -> None:
    for item in items:
        checked[item.object] = checked.get(item.object, Checked(item.object)) + item


def _moved_on(records: Records, checked: dict[str, Checked], expect: str | None) -> Records | None:
    """The records by now if findings are about objects that commits since have dropped, else None.

    These may be gone, and that is no damage. Takes them, and the older records, out of the checked.
    """
    named = {record.name for shard in records.shards for record in shard.objects}
    found = {name for name, item in checked.items() if item.findings}
    models = {name for name in found if parse_name(name) == (MODEL, None)}
    if not found & named and not models:
        return None
    newer = check_records(records.archive.store, expect)
    kept = {record.name for shard in newer.shards for record in shard.objects}
    kept |= {item.object for item in newer.checked}
    if found & (named | models) <= kept:
        return None
    for name in (named - kept) | {item.object for item in records.checked}:
        checked.pop(name, None)
    return newer


def _is_damaged(findings: tuple[Finding, ...], source: Source) -> bool:
    if findings:
        warn(f"not compared with {source.url}: the archive is damaged; repair it first")
    return bool(findings)


def _compare(archive: Archive, source: Source, by_content: bool, proven: bool) -> Comparison:
    """Compare at the end, so that what came to the source meanwhile is missing."""
    source = source.following(follows_links(archive, source.record().name))
    listing = source.files()

    def tell_unread(what: str, error: SeecError) -> None:
        warn(f"{what} cannot be compared: {error}")

    seen = seen_files(archive, by_content, tell_unread)
    failed = quarantined_files(archive, tell_unread)
    same = same_contents(source, listing, seen) if by_content else None
    identity = source.record()
    name = identity.name if archive.state.sources.get(identity.name) == identity else None
    missing = not_held(listing, seen, failed, name, same)
    return Comparison(source.url, len(listing), by_content, missing, proven)


def _choose(store: Store, settings: Settings, records: Records, seed: int) -> list[ShardRecord]:
    """The shards to check, in the order in which to check them."""
    shards = records.shards
    if settings.since is not None:
        shards = not_in(shards, Archive.open(store).at(settings.since).state.shards)
    if settings.subset is not None:
        shards = subset(shards, *settings.subset)
    if settings.shards is not None and shards:
        shards = share(shards, settings.shards, seed)
    if settings.max_duration_s is not None:
        blobs = (shard.blob.name for shard in shards)
        shards = oldest_first(shards, last_verified(store, _AS_GOOD[settings.mode], blobs))
    return shards


def _until(
    end: float, shards: list[ShardRecord], begun: list[ShardRecord]
) -> Iterator[ShardRecord]:
    """The shards whose turn comes before the time is over, at least one; notes them in `begun`."""
    for shard in shards:
        if begun and time.monotonic() >= end:
            return
        begun.append(shard)
        yield shard


def _chosen(settings: Settings, seed: int, shards: int, of: int) -> dict[str, Any]:
    """What was asked for, and how many shards that came to."""
    names = ("mode", "images", "subset", "shards", "since", "max_duration_s", "expect")
    asked = {name: getattr(settings, name) for name in names}
    return {**asked, "seed": seed, "shards_checked": shards, "shards_of": of}


def _write_report(store: Store, mode: str, checked: list[Checked], about: About) -> str | None:
    name = report_name(clock.now(), mode)
    try:
        store.put_new(name, serialise_findings(checked, about))
    except StorageError as error:
        warn(f"no report: {error}")
        return None
    return name


@command(
    "verify",
    examples=[
        "seec verify photos.seec-archive",
        "seec verify photos.seec-archive --against photos/",
        "seec verify photos.seec-archive --max-duration 20m",
        "seec verify s3://bucket/archive --mode checksum",
        "seec verify s3://bucket/archive --mode sample --images 1%",
        "seec verify s3://bucket/archive --shards 5%",
        "seec verify s3://bucket/archive --subset 3/7",
    ],
)
@click.argument("archive")
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default=DECODE,
    help="checksum: compare digests of all bytes. decode: also decode every image and compare "
    "pixels. sample: also decode some images, as many as --images says.",
)
@click.option(
    "--images",
    type=Percentage(),
    help="Share of images that --mode sample decodes, of each kind in each shard. [default: 5%]",
)
@click.option(
    "--subset",
    type=Part(),
    help="Check only part K of N of the shards. The parts 1/7 to 7/7 together are all shards.",
)
@click.option("--shards", type=Percentage(), help="Check only a random share of the shards.")
@click.option(
    "--since",
    type=click.IntRange(min=1),
    metavar="COMMIT",
    help="Check only shards that were added after this commit.",
)
@click.option(
    "--max-duration",
    "max_duration_s",
    type=Duration(),
    help="Begin no further shard after this time, such as 20m. Shards come first that were "
    "verified longest ago, by the reports in the archive.",
)
@click.option(
    "--seed",
    type=int,
    help="Seed of the random choices of --shards and --images. [default: random]",
)
@descends_option
@click.option(
    "--signers",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of allowed signers, as ssh-keygen and git have it. If neither the last commit nor "
    "an earlier one is signed by one of them, verify ends with exit code 4.",
)
@click.option(
    "--timestamp-roots",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Certificates, in PEM, of those who vouch for time-stamp servers: also check time-stamps.",
)
@allow_unfinished_option
@click.option(
    "--against",
    metavar="SOURCE",
    help="Also compare ARCHIVE with this folder or URL: is every file, link and directory of it in "
    "ARCHIVE, with the same size and time? Only then, and if all of ARCHIVE was decoded without a "
    "finding, verify says that SOURCE is safe to delete.",
)
@name_option("The name of --against in ARCHIVE, if it was archived with --as.")
@click.option(
    "--check-content",
    is_flag=True,
    help="With --against: read every file of SOURCE and compare digests instead of times.",
)
@ray_options
@store_options
@metrics_options("verify")
def main(**options: Any) -> VerifySummary:
    """Check ARCHIVE against the digests in it, with the weights in it.

    verify always checks commits, plans and models. Options choose which shards to check, and how.
    verify names each damaged object, the images that are affected and the next command, and
    writes a report into the archive. If ARCHIVE does not hold all files that it should, because a
    run is not finished, or files are in quarantine or lost, verify ends with exit code 3.
    """
    if (options["check_content"] or options["name"]) and options["against"] is None:
        raise click.UsageError("--check-content and --as belong to --against")
    if options["timestamp_roots"] and not options["signers"]:
        raise click.UsageError("--timestamp-roots belongs to --signers")
    return run(Settings(**options))


if __name__ == "__main__":
    main()
