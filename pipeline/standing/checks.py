"""How long ago each shard was checked, and what was found and is not mended, by the reports."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from seec.pipeline.storage import Store
from seec.pipeline.verify.reports import readable_report, report_names
from seec.schemas.archive import BLOB, MANIFEST, QUARANTINE, parse_name
from seec.schemas.commit import ShardRecord
from seec.schemas.report import DECODE, MODES, Checked, Finding

# More would take long on a store far away; older ones seldom say anything that counts.
MAX_REPORTS = 400
# What only decoding finds, only decoding clears; bytes that were damaged, any later check.
_CLEARING = {"pixels-differ": {DECODE}, "image-undecodable": {DECODE}}


@dataclass(frozen=True)
class Standing:
    """What the reports of an archive say.

    read, decoded: when the bytes of each shard were compared last, and when its images were
    decoded; None if never. findings: of objects that still count, and that no later check of the
    same kind found sound. left_out: how many older reports were not read.
    """

    read: dict[str, datetime | None]
    decoded: dict[str, datetime | None]
    findings: tuple[Finding, ...]
    last_report: datetime | None
    left_out: int

    @property
    def never_read(self) -> int:
        """How many shards no verification has read yet."""
        return sum(moment is None for moment in self.read.values())

    def oldest_age_s(self, now: datetime) -> float:
        """How long ago the shard was read whose last check is the oldest; 0 if none was."""
        moments = [moment for moment in self.read.values() if moment is not None]
        return (now - min(moments)).total_seconds() if moments else 0.0


def standing(store: Store, shards: Iterable[ShardRecord]) -> Standing:
    """Read reports from the newest on, until each shard was found decoded, or MAX_REPORTS.

    Reports that this release cannot read are left out. Raises StorageError.
    """
    shards = list(shards)
    blobs = {shard.blob.name: shard.shard for shard in shards}
    ours = {record.name for shard in shards for record in shard.objects}
    read: dict[str, datetime | None] = dict.fromkeys(blobs.values())
    decoded: dict[str, datetime | None] = dict.fromkeys(blobs.values())
    sound: dict[str, set[str]] = {}
    found: dict[str, tuple[Finding, ...]] = {}
    names = report_names(store)
    seen = 0
    for name in names[:MAX_REPORTS]:
        for item in readable_report(store, name) or ():
            if item.object in ours:
                _note(item, name.mode, sound, found)
            elif seen == 0 and item.findings and not _is_part(item.object):
                # Each verification checks all records, so the newest report says all of them.
                found[item.object] = item.findings
            shard = blobs.get(item.object)
            if shard is not None:
                read[shard] = read[shard] or name.moment
                decoded[shard] = decoded[shard] or (name.moment if name.mode == DECODE else None)
        seen += 1
        if all(decoded.values()):
            break
    findings = tuple(one for several in found.values() for one in several)
    left_out = 0 if all(decoded.values()) else len(names) - seen
    return Standing(read, decoded, findings, names[0].moment if names else None, left_out)


def _note(
    item: Checked, mode: str, sound: dict[str, set[str]], found: dict[str, tuple[Finding, ...]]
) -> None:
    """Take in what a report says of an object, after all newer reports."""
    if not item.findings:
        sound.setdefault(item.object, set()).add(mode)
        return
    newer = sound.get(item.object, set())
    left = tuple(f for f in item.findings if not newer & _CLEARING.get(f.kind, set(MODES)))
    if left and item.object not in found:
        found[item.object] = left


def _is_part(name: str) -> bool:
    """Whether an object is a part of a shard: one that does not count any more is no matter."""
    kind, _ = parse_name(name) or ("", None)
    return kind in (BLOB, MANIFEST, QUARANTINE)
