"""From findings to damaged shards."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from seec.schemas.commit import ShardRecord
from seec.schemas.report import Checked, Finding

_UNDECODABLE = ("pixels-differ", "image-undecodable")


@dataclass(frozen=True)
class Damaged:
    """A shard, its findings, and the files with intact payloads that do not decode.

    findings: empty if the shard is sound except for files that an earlier repair gave up.
    """

    record: ShardRecord
    findings: tuple[Finding, ...]
    undecodable: frozenset[str]


def damaged_shards(
    shards: Iterable[ShardRecord], checked: Iterable[Checked], *, also_lost: bool
) -> list[Damaged]:
    """The shards with findings; with `also_lost`, the shards with lost files, too."""
    found: dict[str, list[Finding]] = defaultdict(list)
    lost: set[str] = set()
    for item in checked:
        for finding in item.findings:
            found[finding.object].append(finding)
        if item.lost and also_lost:
            lost.add(item.object)
    damaged: list[Damaged] = []
    for shard in shards:
        names = [record.name for record in shard.objects]
        findings = tuple(finding for name in names for finding in found.get(name, ()))
        if findings or not lost.isdisjoint(names):
            paths = (path for f in findings if f.kind in _UNDECODABLE for path in f.paths)
            damaged.append(Damaged(shard, findings, frozenset(paths)))
    return damaged
