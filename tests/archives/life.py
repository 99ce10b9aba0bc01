"""An archive over time, without Ray: files of a few bytes, and what can be had of them."""

from pathlib import Path
from typing import Any

from seec.jobs import archive as archive_job
from seec.pipeline.archive import Archive
from seec.pipeline.archive.catalogue import current_rows
from seec.pipeline.archive.shard import payloads
from seec.pipeline.codec import load_model
from seec.pipeline.routes.reading import restore
from seec.pipeline.storage import Store
from seec.pipeline.verify.records import check_records
from seec.pipeline.verify.shards import check_shard
from seec.schemas.archive import model_name
from seec.schemas.report import Finding
from tests.faults import points


def put_files(source: Path, **contents: str) -> None:
    """Write files `<name>.txt`, with a time of their own for each content."""
    source.mkdir(exist_ok=True)
    for name, text in contents.items():
        (source / f"{name}.txt").write_text(text)


def archive(source: Path, root: Path | str, **options: Any) -> archive_job.ArchiveSummary:
    """`seec archive` with shards of two files."""
    settings = {"shard_files": 2, "model": points.MODEL, **options}
    return points.archive_in_process(archive_job.Settings(str(source), str(root), **settings))


def opened(root: Path, at: int | None = None) -> Archive:
    """The archive, as of a commit."""
    found = Archive.open(Store(str(root)))
    return found if at is None else found.at(at)


def held(root: Path, at: int | None = None) -> dict[str, bytes]:
    """Every file that can be restored, by path, as of a commit."""
    archived = opened(root, at)
    store = archived.store
    models = {i: load_model(store.get(model_name(i))) for i in archived.state.models}
    return {
        row.path: restore(row, payload, models)
        for shard, rows in current_rows(archived)
        for row, payload in payloads(store, shard.blob.name, rows)
    }


def texts(root: Path, at: int | None = None) -> dict[str, str]:
    """As `held`, by the names of `put_files`."""
    return {path.removesuffix(".txt"): data.decode() for path, data in held(root, at).items()}


def findings(root: Path) -> list[Finding]:
    """Everything a verification of bytes finds."""
    store = Store(str(root))
    records = check_records(store)
    checked = list(records.checked)
    for shard in records.shards:
        checked += check_shard(store, shard).checked
    return [finding for item in checked for finding in item.findings]
