"""Open a run: its model and plan are in the archive before its commit says so, and after."""

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
    plan = serialise_plan(cut_shards(files, settings), settings)
    identity = run_id(len(archive.state.runs) + 1, plan)
    objects = {plan_name(identity): plan, model_name(settings.model_id): model}
    plan_record, model_record = (_put(archive, name, data) for name, data in objects.items())
    run = RunRecord(
        run_id=identity,
        plan=plan_record,
        source=source_url,
        shards=parse_plan(plan_record.name, plan).shards,
        files=len(files),
        model=model_record,
    )
    archive.commit(runs=(run,))
    # Both may have lain there as leftovers, and gc may have removed them before it could see the
    # commit. From now on it sees it: what is there now stays. See `pipeline.archive.gc`.
    for name, data in objects.items():
        if not archive.store.exists(name):
            _put(archive, name, data)
    return run


def missing_shards(archive: Archive, run: RunRecord) -> list[int]:
    """Indices of the planned shards that do not count yet."""
    done = {shard.shard for shard in archive.state.shards_of(run.run_id)}
    return [i for i in range(run.shards) if shard_name(run.run_id, i) not in done]


def _put(archive: Archive, name: str, data: bytes) -> ObjectRecord:
    if not archive.store.put_same(name, data):
        raise StorageError(f"{name}: taken by other bytes; remove it and run again")
    return ObjectRecord(name, len(data), hashlib.sha256(data).hexdigest())
