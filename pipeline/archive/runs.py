"""Open a run: its model and plan are in the archive before its commit says so."""

import hashlib

from pipeline.archive.archive import Archive
from pipeline.archive.planning import cut_shards
from schemas.archive import model_name, plan_name, shard_name
from schemas.commit import ObjectRecord, RunRecord
from schemas.errors import StorageError
from schemas.plan import PlanSettings, SourceFile, parse_plan, run_id, serialise_plan


def open_run(
    archive: Archive, source_url: str, files: list[SourceFile], settings: PlanSettings, model: bytes
) -> RunRecord:
    """Plan these files and commit the plan. Returns the record of the run.

    model: the weights file that settings.model_id names.
    """
    data = serialise_plan(cut_shards(files, settings), settings)
    identity = run_id(len(archive.state.runs) + 1, data)
    run = RunRecord(
        run_id=identity,
        plan=_put(archive, plan_name(identity), data),
        source=source_url,
        shards=parse_plan(plan_name(identity), data).shards,
        files=len(files),
        model=_put(archive, model_name(settings.model_id), model),
    )
    archive.commit(runs=(run,))
    return run


def missing_shards(archive: Archive, run: RunRecord) -> list[int]:
    """Indices of the planned shards that do not count yet."""
    done = {shard.shard for shard in archive.state.shards_of(run.run_id)}
    return [i for i in range(run.shards) if shard_name(run.run_id, i) not in done]


def _put(archive: Archive, name: str, data: bytes) -> ObjectRecord:
    if not archive.store.put_same(name, data):
        raise StorageError(f"{name}: taken by other bytes; remove it and run again")
    return ObjectRecord(name, len(data), hashlib.sha256(data).hexdigest())
