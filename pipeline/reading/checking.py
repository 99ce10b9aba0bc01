"""The check of an archive in this process, which `OpenedArchive.verify` gives."""

from collections.abc import Iterator, Sequence

from seec.pipeline.archive.models import archived_models
from seec.pipeline.archive.pieces import holders
from seec.pipeline.archive.shard import models_of
from seec.pipeline.storage import Store
from seec.pipeline.verify.records import Records, check_records
from seec.pipeline.verify.shards import check_images, check_shard, without_model
from seec.schemas.commit import ShardRecord
from seec.schemas.report import Finding
from seec.schemas.routes import PIECES
from seec.schemas.rows import Row


def findings(store: Store, *, decode: bool) -> Iterator[Finding]:
    """Each finding as it is found; decode: of every image, too, otherwise of bytes only."""
    records = check_records(store)
    for checked in records.checked:
        yield from checked.findings
    own = {shard.blob for shard in records.shards}
    for shard in records.shards:
        check = check_shard(store, shard, [blob for blob in shard.referenced if blob not in own])
        found = [finding for checked in check.checked for finding in checked.findings]
        if decode:
            found += _decoded(records, shard, check.sound)
        # What a commit since has dropped may be gone, and is no damage.
        if found and shard in check_records(store).shards:
            yield from found


def _decoded(records: Records, shard: ShardRecord, rows: Sequence[Row]) -> Iterator[Finding]:
    store, blob, models = records.archive.store, shard.blob.name, records.models
    yield from without_model(store, blob, rows, models)
    for row in rows:
        if models.issuperset(models_of([row])):
            own = archived_models(store, [row])
            others = holders(records.shards, row.path) if row.route == PIECES else ()
            yield from check_images(store, row.blob or blob, [row], own, others).findings
