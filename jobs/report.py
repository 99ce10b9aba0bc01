"""Write a page on how an archive stands: `seec report ARCHIVE OUT.html`."""

import base64
import io
import random
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import click
from PIL import Image

from seec import __version__
from seec.jobs import clock, files
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.logs import printable
from seec.jobs.options import access_option
from seec.jobs.progress import progress
from seec.jobs.summary import figures
from seec.jobs.svg import Chart, Strip, growth_chart, heat_strip
from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.catalogue import current_quarantine, sorted_rows
from seec.pipeline.extras import needs
from seec.pipeline.reading.archive import OpenedArchive
from seec.pipeline.standing.checks import Standing, standing
from seec.pipeline.standing.growth import growth
from seec.pipeline.standing.sizes import Size, Sizes, sizes_of
from seec.pipeline.storage import Store
from seec.pipeline.verify.records import opened
from seec.schemas.errors import FixityError, FormatError, SeecError
from seec.schemas.report import Finding
from seec.schemas.routes import ROUTES
from seec.schemas.rows import Row

# What a page shows of lists that may be long.
MAX_FOLDERS = 20
MAX_FINDINGS = 100
MAX_QUARANTINE = 100
THUMBNAILS = 6
# Larger images take long to decode for a picture of this edge.
_THUMBNAIL_PIXELS = 2_000_000
_EDGE = 192
_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK")
_GENERATOR = b'name="generator" content="seec report"'


@dataclass(frozen=True)
class Settings:
    """Which archive, where the page goes, how many images it shows."""

    archive: str
    target: str
    thumbnails: int = THUMBNAILS
    force: bool = False


@dataclass(frozen=True)
class Summary:
    """What the page says in numbers."""

    target: str
    archive: str
    digest: str
    files: int
    source_size_bytes: int
    stored_size_bytes: int
    quarantined: int
    findings: int
    page_size_bytes: int
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return figures(self)

    def lines(self) -> Iterator[str]:
        """One line."""
        yield (
            f"{self.target}: {self.files:,} files, {self.findings} findings, "
            f"{self.quarantined:,} files in quarantine"
        )


@dataclass(frozen=True)
class Picture:
    """A restored image, small: its path, and a URL that holds its bytes."""

    path: str
    url: str


@dataclass(frozen=True)
class Facts:
    """All that a page shows; lists are cut to what it shows of them."""

    archive: Archive
    moment: datetime
    sizes: Sizes
    quarantine: list[tuple[str, str, str]]
    quarantined: int
    reasons: list[tuple[str, int]]
    checks: Standing
    findings: list[Finding]
    chart: Chart | None
    strip: Strip
    pictures: list[Picture]
    notes: list[str]


def run(settings: Settings) -> Summary:
    """Write the page. Raises NotAnArchive, StorageError, or MissingPackage without Jinja2.

    What of the archive cannot be read is named on the page, which shows the rest.
    """
    with needs("report", "seec report"):
        import jinja2
    if not settings.force and files.exists(settings.target):
        _refuse_strangers(settings.target)
    facts = collect(settings)
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_template),
    )
    environment.filters |= {"text": printable, "quoted": _quoted}
    environment.filters |= {"bytes": _bytes, "share": _share, "day": _day}
    page = environment.get_template("report.html").render(_values(facts)).encode()
    files.write(settings.target, page, force=True)
    total = facts.sizes.total
    return Summary(
        settings.target,
        facts.archive.store.url,
        facts.archive.digest(),
        total.files,
        total.source_bytes,
        total.stored_bytes,
        facts.quarantined,
        len(facts.checks.findings),
        len(page),
    )


def _refuse_strangers(target: str) -> None:
    if _GENERATOR not in files.read(target)[:4096]:
        raise click.UsageError(f"{target}: is there, and no report of seec; --force replaces it")


def _template(name: str) -> str:
    return (resources.files("seec.jobs") / name).read_text(encoding="utf-8")


def collect(settings: Settings) -> Facts:
    """Read an archive once, and what its reports say."""
    store = Store(settings.archive)
    archive, damaged = opened(store)
    notes = [f"{found.object}: {found.detail}" for found in damaged]

    def note(what: str, error: SeecError) -> None:
        notes.append(f"{what} cannot be read: {error}")

    some = _Some(settings.thumbnails, archive.digest())
    total = sum(shard.files for shard in archive.state.shards.values())
    with progress("report", total, "files") as shown:
        sizes = sizes_of(
            _counted(some.seen(sorted_rows(archive, on_damage=note, pieces=True)), shown)
        )
    quarantine: list[tuple[str, str, str]] = []
    reasons: Counter[str] = Counter()
    for _, rows in current_quarantine(archive, note):
        for row in rows:
            reasons[row.error] += 1
            if len(quarantine) < MAX_QUARANTINE:
                quarantine.append((row.path, row.error, row.reason))
    checks = standing(store, archive.state.in_order())
    try:
        chart = growth_chart(growth(archive))
    except (FixityError, FormatError) as error:
        chart = None
        notes.append(f"the growth is not known: {error}")
    now = clock.now()
    return Facts(
        archive=archive,
        moment=now,
        sizes=sizes,
        quarantine=sorted(quarantine),
        quarantined=sum(reasons.values()),
        reasons=reasons.most_common(MAX_QUARANTINE),
        checks=checks,
        findings=[*damaged, *checks.findings][:MAX_FINDINGS],
        chart=chart,
        strip=heat_strip(list(checks.read.values()), now),
        pictures=list(_pictures(archive, some.rows)),
        notes=notes[:MAX_FINDINGS],
    )


def _counted(rows: Iterable[Row], shown: Any) -> Iterator[Row]:
    for count, row in enumerate(rows):
        yield row
        if count % 1000 == 0:
            shown.update(count)


class _Some:
    """A few images of an archive, chosen evenly while all rows pass by.

    The same archive digest gives the same images.
    """

    def __init__(self, most: int, seed: str) -> None:
        self.rows: list[Row] = []
        self._most, self._random, self._seen = most, random.Random(seed), 0

    def seen(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows, which are looked at on the way."""
        for row in rows:
            if row.image is not None and row.image.pixels <= _THUMBNAIL_PIXELS:
                self._consider(row)
            yield row

    def _consider(self, row: Row) -> None:
        self._seen += 1
        if len(self.rows) < self._most:
            self.rows.append(row)
        elif (place := self._random.randrange(self._seen)) < self._most:
            self.rows[place] = row


def _pictures(archive: Archive, rows: Sequence[Row]) -> Iterator[Picture]:
    """The images that can be restored and that browsers show."""
    reader = OpenedArchive(archive, None)
    for row in sorted(rows, key=lambda row: row.path):
        try:
            with Image.open(io.BytesIO(reader.read(row.path))) as image:
                if image.mode not in _MODES:
                    continue
                image.thumbnail((_EDGE, _EDGE))
                small = image.convert("RGBA" if "A" in image.getbands() else "RGB")
        except (SeecError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue  # verify tells of damage; other formats are no pictures to a browser
        sink = io.BytesIO()
        small.save(sink, "WEBP", quality=75)
        url = f"data:image/webp;base64,{base64.b64encode(sink.getvalue()).decode()}"
        yield Picture(row.path, url)


def _values(facts: Facts) -> dict[str, Any]:
    """What the template needs, by name."""
    state = facts.archive.state
    folders, rest = facts.sizes.largest_folders(MAX_FOLDERS)
    by_route = facts.sizes.by_route
    oldest_s = facts.checks.oldest_age_s(facts.moment)
    return {
        "url": facts.archive.store.url,
        "digest": facts.archive.digest(),
        "made": facts.moment.strftime("%Y-%m-%d %H:%M UTC"),
        "version": __version__,
        "commits": state.sequence,
        "runs": len(state.runs),
        "shards": len(state.shards),
        "unfinished": state.open_run.run_id if state.open_run else None,
        "sources": [(str(one), one.name) for one in state.sources.values()],
        "total": facts.sizes.total,
        "lossy": facts.sizes.lossy,
        "lost": facts.sizes.lost,
        "routes": [(route, by_route[route]) for route in ROUTES if route in by_route],
        "folders": folders,
        "other_folders": len(facts.sizes.by_folder) - len(folders),
        "rest": rest,
        "chart": facts.chart,
        "strip": facts.strip,
        "never_read": facts.checks.never_read,
        "not_decoded": sum(moment is None for moment in facts.checks.decoded.values()),
        "oldest_days": int(oldest_s // 86_400),
        "last_report": facts.checks.last_report,
        "left_out": facts.checks.left_out,
        "findings": facts.findings,
        "findings_left": max(0, len(facts.checks.findings) - len(facts.findings)),
        "quarantine": facts.quarantine,
        "quarantined": facts.quarantined,
        "reasons": facts.reasons,
        "pictures": facts.pictures,
        "notes": facts.notes,
    }


def _quoted(place: str) -> str:
    """A place as a word of a command that can be copied."""
    return printable(shlex.quote(place))


def _bytes(size: int) -> str:
    """A size as people say it, in decimal units."""
    amount, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if amount < 1000 or unit == "PB":
            break
        amount /= 1000
    return f"{size} B" if unit == "B" else f"{amount:.3g} {unit}"


def _share(size: Size) -> str:
    """What the archive takes of the source."""
    if not size.source_bytes:
        return "-"
    return f"{100 * size.stored_bytes / size.source_bytes:.1f} %"


def _day(moment: datetime | None) -> str:
    return "never" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d")


@command(
    "report",
    examples=[
        "seec report photos.seec-archive photos.html",
        "seec report s3://bucket/archive report.html --thumbnails 0",
    ],
)
@click.argument("archive")
@click.argument("target", metavar="OUT.html")
@click.option(
    "--thumbnails",
    type=click.IntRange(min=0, max=48),
    default=THUMBNAILS,
    help="How many restored images the page shows, of at most 2 megapixels each.",
)
@click.option(
    "--force", is_flag=True, help="Replace OUT.html also if it is no earlier report of seec."
)
@access_option
def main(**options: Any) -> Summary:
    """Write one self-contained web page that shows how ARCHIVE stands.

    The page shows sizes by route and folder, growth over commits, how long ago each shard was
    verified, findings with the next command, files in quarantine with reasons, some restored
    images, and the archive digest to keep. It loads nothing from elsewhere, and stays small
    whatever the number of files.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
