"""Check spares: the copies and the parity of small objects, which no commit names."""

from collections.abc import Iterable, Iterator, Mapping

from seec.pipeline.archive.ahead import each_ahead
from seec.pipeline.archive.archive import read_object
from seec.pipeline.storage import Store
from seec.pipeline.verify.faults import fault, mend
from seec.schemas.archive import is_duplicated, spare_name, spared
from seec.schemas.errors import FixityError, FormatError, SectionCorrupt
from seec.schemas.parity import parse
from seec.schemas.report import Checked


def check_spares(
    store: Store, names: Iterable[str], digests: Mapping[str, str], sound: Mapping[str, bool]
) -> Iterator[Checked]:
    """One result for each spare among the names of all objects.

    digests: of the objects that they are of, in hexadecimal, where a commit names these. sound:
    whether objects that carry their own digest are as recorded.
    """

    def check(of: str) -> Checked:
        name = spare_name(of)
        try:
            data = read_object(store, name)
            if is_duplicated(of):
                if sound.get(of) and data != read_object(store, of):
                    raise SectionCorrupt(f"{name}: differs from {of}")
            else:
                _check_parity(name, data, digests.get(of))
        except (FixityError, FormatError) as error:
            return Checked(name, findings=(fault(name, "spare", error, mend(store)),))
        return Checked(name)

    objects = (of for name in names if (of := spared(name)) is not None)
    return each_ahead(check, objects)


def _check_parity(name: str, data: bytes, wanted: str | None) -> None:
    found = parse(name, data)
    if not found.is_whole(data):
        raise SectionCorrupt(f"{name}: parts of this parity object are damaged")
    digest = found.layout.objects[0].sha256.hex()
    if wanted is not None and digest != wanted:
        raise SectionCorrupt(f"{name}: is parity of other bytes")
