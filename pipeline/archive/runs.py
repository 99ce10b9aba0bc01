"""Open a run: its model and plan are in the archive before its commit says so, and after."""

import hashlib
from collections.abc import Mapping, Sequence

from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.planning import cut_shards
from seec.schemas.archive import model_name, plan_name, removed_name, shard_name
from seec.schemas.commit import ObjectRecord, RemovalRecord, RunRecord, SourceRecord
from seec.schemas.errors import StorageError
from seec.schemas.plan import PlanSettings, SourceFile, parse_plan, run_id, serialise_plan
from seec.schemas.removal import serialise_removed


def open_run(
    archive: Archive,
    source: SourceRecord,
    files: list[SourceFile],
    settings: PlanSettings,
    model: bytes,
    vanished: Sequence[str] = (),
    cleared: Sequence[str] = (),
    jpeg_model: bytes | None = None,
) -> RunRecord:
    """Plan these files and commit the plan. Returns the record of the run.

    model, jpeg_model: the files that settings.model_id and settings.jpeg_model_id name. vanished:
    paths of earlier runs that do not count from this commit on. cleared: paths of which no failure
    counts from this commit on.
    """
    plan = serialise_plan(cut_shards(files, settings), settings)
    identity = run_id(len(archive.state.runs) + 1, plan)
    objects = {plan_name(identity): plan, model_name(settings.model_id): model}
    if settings.jpeg_model_id is not None and jpeg_model is not None:
        objects[model_name(settings.jpeg_model_id)] = jpeg_model
    plan_record, *models = (put(archive, name, data) for name, data in objects.items())
    run = RunRecord(
        run_id=identity,
        plan=plan_record,
        source=source,
        shards=parse_plan(plan_record.name, plan).shards,
        files=sum(file.piece is None for file in files),
        model=models[0],
        jpeg_model=models[1] if models[1:] else None,
    )
    removed = _put_removed(archive, vanished, cleared, objects)
    archive.commit(runs=(run,), removed=removed)
    put_back(archive, objects)
    return run


def remove_paths(archive: Archive, vanished: Sequence[str], cleared: Sequence[str]) -> None:
    """Commit that these paths vanished, or left quarantine.

    Only while no run is open, which might bring them back.
    """
    objects: dict[str, bytes] = {}
    archive.commit(removed=_put_removed(archive, vanished, cleared, objects))
    put_back(archive, objects)


def put_back(archive: Archive, objects: Mapping[str, bytes]) -> None:
    """After a commit: see that what it names, and may have lain there before, is there.

    Such objects may have been leftovers, and gc may have removed them before it could see the
    commit. From now on it sees it: what is there now stays. See `seec.pipeline.archive.gc`.
    """
    for name, data in objects.items():
        if not archive.store.exists(name):
            put(archive, name, data)


def put(archive: Archive, name: str, data: bytes) -> ObjectRecord:
    """Write an object, or find it there; StorageError if it holds other bytes."""
    if not archive.store.put_same(name, data):
        raise StorageError(f"{name}: taken by other bytes; remove it and run again")
    return ObjectRecord(name, len(data), hashlib.sha256(data).hexdigest())


def _put_removed(
    archive: Archive,
    vanished: Sequence[str],
    cleared: Sequence[str],
    objects: dict[str, bytes],
) -> tuple[RemovalRecord, ...]:
    last, removed = archive.state.last_run, list[RemovalRecord]()
    for paths, quarantine_only in ((vanished, False), (cleared, True)):
        if paths and last is not None:
            data = serialise_removed(paths)
            name = removed_name(hashlib.sha256(data).hexdigest())
            objects[name] = data
            record = put(archive, name, data)
            removed.append(RemovalRecord(last.run_id, len(paths), record, quarantine_only))
    return tuple(removed)


def missing_shards(archive: Archive, run: RunRecord) -> list[int]:
    """Indices of the planned shards that do not count yet."""
    done = {shard.shard for shard in archive.state.shards_of(run.run_id)}
    return [i for i in range(run.shards) if shard_name(run.run_id, i) not in done]
