"""Open a run, and add its shards: what a commit names is in the archive before it, and after."""

import hashlib
from collections.abc import Mapping, Sequence

from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.planning import cut_shards
from seec.schemas.archive import model_name, plan_name, removed_name, shard_name
from seec.schemas.commit import (
    ObjectRecord,
    RemovalRecord,
    RunRecord,
    ShardRecord,
    SourceRecord,
    model_record,
)
from seec.schemas.errors import StorageError
from seec.schemas.plan import PlanSettings, SourceFile, parse_plan, run_id, serialise_plan
from seec.schemas.removal import serialise_removed


def open_run(
    archive: Archive,
    source: SourceRecord,
    files: list[SourceFile],
    settings: PlanSettings,
    vanished: Sequence[str] = (),
    cleared: Sequence[str] = (),
) -> RunRecord:
    """Plan these files and commit the plan. Returns the record of the run.

    vanished: paths of earlier runs that do not count from this commit on. cleared: paths of which
    no failure counts from this commit on.
    """
    plan = serialise_plan(cut_shards(files, settings), settings)
    identity = run_id(len(archive.state.runs) + 1, plan)
    objects = {plan_name(identity): plan}
    plan_record = put(archive, plan_name(identity), plan)
    run = RunRecord(
        run_id=identity,
        plan=plan_record,
        source=source,
        shards=parse_plan(plan_record.name, plan).shards,
        files=sum(file.piece is None for file in files),
        model_id=settings.model_id,
        jpeg_model_id=settings.jpeg_model_id,
    )
    removed = _put_removed(archive, vanished, cleared, objects)
    archive.commit(runs=(run,), removed=removed)
    put_back(archive, objects)
    return run


def add_shard(archive: Archive, shard: ShardRecord, models: Mapping[str, bytes]) -> None:
    """Make a shard of the last run count. Raises as `Archive.commit`, and the archive is as it was.

    models: by id, the files of all that rows of the run may need. Those that no shard needed before
    come into the archive now, and no others: an archive holds the models that its rows need.
    """
    archive.check_counting([shard])  # then its models are at hand, or in the archive
    wanted = (model_id for model_id in shard.models if model_id not in archive.state.models)
    objects = {
        # That of a payload of an earlier run lies in the archive, if no shard needs it any more.
        model_name(one): models[one] if one in models else archive.read(model_record(one))
        for one in wanted
    }
    for name, data in objects.items():
        put(archive, name, data)
    archive.commit(shards=(shard,))
    put_back(archive, objects)


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
