"""Buckets with versions and object lock: archives live in them, and what was written stays."""

import uuid
from pathlib import Path
from typing import Any

import fsspec
import pytest

from seec.jobs import copy, repair, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive
from seec.pipeline.storage import Store
from tests.archives.life import archive, put_files
from tests.faults.fault_sweep import restore_in_process
from tests.faults.points import repair_in_process, verify_in_process


@pytest.fixture
def bucket(s3_url: str) -> str:
    """The URL of a bucket whose objects stay for a day, whoever asks."""
    name = f"locked-{uuid.uuid4()}"
    filesystem().call_s3("create_bucket", Bucket=name, ObjectLockEnabledForBucket=True)
    kept = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    filesystem().call_s3(
        "put_object_lock_configuration",
        Bucket=name,
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": kept},
    )
    return f"s3://{name}"


def filesystem() -> Any:
    return fsspec.filesystem("s3", skip_instance_cache=True)


def versions(bucket: str, name: str) -> list[str]:
    found = filesystem().call_s3(
        "list_object_versions", Bucket=bucket.removeprefix("s3://"), Prefix=name
    )
    return [one["VersionId"] for one in found.get("Versions", ())]


def test_an_archive_lives_in_a_bucket_with_object_lock(bucket: str, tmp_path: Path) -> None:
    source, root = tmp_path / "source", f"{bucket}/archive"
    put_files(source, a="one", b="two", c="three")
    summary = archive(source, root)
    assert summary.exit_code == ExitCode.OK
    put_files(source, d="four")
    assert archive(source, root).files_added == 1
    assert verify_in_process(verify.Settings(root)).exit_code == ExitCode.OK
    copy.run(copy.Settings(root, str(tmp_path / "copy")))

    # Nobody takes a version away; a deletion only hides it, and a repair brings the bytes back.
    blob = next(Archive.open(Store(root)).state.in_order()).blob.name
    (version,) = versions(bucket, f"archive/{blob}")
    place = {"Bucket": bucket.removeprefix("s3://"), "Key": f"archive/{blob}"}
    with pytest.raises(PermissionError):
        filesystem().call_s3("delete_object", **place, VersionId=version)
    filesystem().call_s3("delete_object", **place)
    found = verify_in_process(verify.Settings(root))
    assert [one.kind for one in found.findings] == ["blob-missing"]
    mended = repair_in_process(repair.Settings(root, (str(tmp_path / "copy"),), "/nowhere"))
    assert mended.objects == (blob,)
    assert verify_in_process(verify.Settings(root)).exit_code == ExitCode.OK
    assert version in versions(bucket, f"archive/{blob}")
    restore_in_process(restore.Settings(root, str(tmp_path / "out")))
    back = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert back == {path.name: path.read_bytes() for path in source.iterdir()}
