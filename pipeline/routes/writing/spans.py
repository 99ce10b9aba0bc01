"""Route `spans`: a file that holds images, each of which goes its own way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from seec.pipeline.containers import Span
from seec.pipeline.images import jpeg
from seec.pipeline.routes.reading.spans import assemble, gaps_of
from seec.pipeline.routes.reading.store import unpack
from seec.pipeline.routes.writing.draft import Candidate, Coded, Draft, compressed, entry, framed
from seec.pipeline.routes.writing.stacks import Stack, member_stacks, settle_stack
from seec.pipeline.routes.writing.writer import RunModels, Work, Writer
from seec.schemas.errors import UnreadableImage
from seec.schemas.kinds import FILE
from seec.schemas.names import is_safe, unescape
from seec.schemas.plan import SourceFile
from seec.schemas.routes import NOT_OPENED, SPANS, STORE
from seec.schemas.rows import Entry, Row
from seec.schemas.spans import serialise_gaps
from seec.schemas.trees import with_payloads

# Of all images of a file, or of a piece of one: they are in memory together.
_MAX_PIXELS = 64_000_000
# Behind a JPEG picture there may be another one; less than this is no picture.
_LEAST_BEHIND_BYTES = 1024
_SUFFIXES = ((b"\xff\xd8", ".jpg"), (b"\x89PNG", ".png"), (b"GIF8", ".gif"), (b"RIFF", ".webp"))

Choose = Callable[[Candidate], Draft]
WorkOf = Callable[[Candidate], Work]
Settle = Callable[[Draft, Sequence[bytes], RunModels], Entry]
StackOf = Callable[[Sequence[Draft]], Stack]


class SpansWriter(Writer):
    """Looks for images within files that are none, and behind JPEG pictures."""

    name = SPANS
    reason = "smaller than what its images and the bytes between them take"

    def __init__(self, work_of: WorkOf, choose: Choose, settle: Settle, stack_of: StackOf) -> None:
        """work_of, choose, settle: what is done with any file, here with each image.

        stack_of: makes a stack of small images of one kind.
        """
        self._work_of, self._choose, self._settle = work_of, choose, settle
        self._stack_of = stack_of

    def work(self, candidate: Candidate) -> Work:
        """As `Writer.work`."""
        spans = _spans(candidate)
        if not spans:
            raise UnreadableImage("no images are found in it")
        images = _images(candidate, candidate.data, spans)
        works = [self._work_of(one) for one in images]
        return Work(sum(one.pixels for one in works), max(one.passing_bytes for one in works))

    def draft(self, candidate: Candidate) -> Coded | None:
        """As `Writer.draft`."""
        spans = _spans(candidate)
        if not spans:
            _check_looked_into(candidate)
            return None
        names = _Names(candidate.file.path, candidate.start)
        opened = _Opened(candidate, self._work_of, self._choose, self._stack_of)
        coded = opened.coded(candidate.row(SPANS), candidate.data, spans, names)
        if coded is None:
            raise UnreadableImage(f"{NOT_OPENED}{opened.refusal}")
        return coded

    def pack(self, coded: Coded, codes: Sequence[bytes], models: RunModels) -> tuple[Row, bytes]:
        """As `Writer.pack`."""
        todo = iter(codes)
        alone = [self._settled(one, todo, models) for one in coded.alone]
        stacked: dict[int, Entry] = {}
        for stack in coded.stacks:
            assert isinstance(stack, Stack)
            made = settle_stack(stack, list(islice(todo, len(stack.pictures))), models)
            stacked |= zip(stack.members, made, strict=True)
        waiting = iter(alone)
        entries = [
            stacked[at] if at in stacked else next(waiting) for at in range(len(coded.members))
        ]
        own = entry(coded.row, coded.payload or b"")
        members = tuple(
            replace(one.row, start=member.row.start)
            for one, member in zip(entries, coded.members, strict=True)
        )
        payloads: dict[tuple[int, bytes], bytes | memoryview] = {}  # each once
        for one in (own, *entries):
            for row, payload in with_payloads(one.row, one.payload):
                payloads.setdefault((row.length, row.blob_digest), payload)
        return replace(own.row, members=members), b"".join(payloads.values())

    def _settled(self, member: Draft, codes: Iterator[bytes], models: RunModels) -> Entry:
        own = list(islice(codes, len(member.pictures)))
        if member.coded is not None and member.coded.members:
            row, payload = self.pack(member.coded, own, models)
            return Entry(row, payload)
        return self._settle(member, own, models)


def gives_content(draft: Draft) -> bool:
    """Whether a draft, without its payload, has what its payload is made of."""
    if draft.coded is None or not draft.coded.members:
        return draft.row.route == STORE
    return draft.row.packing is None and all(map(gives_content, draft.coded.members))


def stored_payload(draft: Draft) -> bytes:
    """The payload of a draft by route `store`: that which it has, or has left out."""
    return draft.payload if draft.left_out is None else compressed(_content(draft))


def _content(draft: Draft) -> bytes:
    """The bytes of which `gives_content` says that a draft has them."""
    coded, row = draft.coded, draft.row
    if coded is None or not coded.members:
        return unpack(draft.payload, row.source_size_bytes)
    _, gaps = gaps_of(row, coded.payload or b"")
    return assemble(row, gaps, ((one.row, _content(one)) for one in coded.members))


class _Opened:
    """A file whose images are drafted, as long as all of them together are within the limit."""

    def __init__(
        self, candidate: Candidate, work_of: WorkOf, choose: Choose, stack_of: StackOf
    ) -> None:
        self._candidate, self._work_of, self._choose = candidate, work_of, choose
        self._stack_of = stack_of
        self._pixels_left = _MAX_PIXELS
        self.refusal = "none of its images gets smaller"

    def coded(
        self,
        row: Row,
        content: bytes,
        spans: Sequence[Span],
        names: "_Names",
        recipe: bytes = b"",
    ) -> Coded | None:
        """How a row of this content and these spans is kept; None if no image is worth it."""
        members: list[Draft] = []
        gaps: list[memoryview] = []
        whole, end = memoryview(content), 0
        for span in spans:
            made = self._member(content, span, names)
            if made is None:
                continue
            gaps.append(whole[end : span.start])
            end = span.start + span.length
            members.append(replace(made, row=replace(made.row, start=span.start)))
        if not members:
            return None
        gaps.append(whole[end:])
        frame = framed(serialise_gaps(recipe, *gaps))
        stacks = member_stacks(members, self._stack_of)
        return Coded(row, frame, members=tuple(members), stacks=stacks)

    def _member(self, content: bytes, span: Span, names: "_Names") -> Draft | None:
        """The draft of what is in a span; None if the bytes are to stay as they are."""
        data = content[span.start : span.start + span.length]
        if not span.members:
            return self._picture(_image(self._candidate, data, names.path(span, data)))
        inner = data if span.content is None else span.content
        part = _image(self._candidate, inner, names.path(span, inner))
        row = replace(part.row(SPANS), packing=span.packing)
        within = names if span.name is None else _Names(part.file.path, 0)
        coded = self.coded(row, inner, span.members, within, span.recipe)
        # Never kept as it is: what it is packed from tells nobody the bytes of the file.
        return coded and Draft(row, b"", coded)

    def _picture(self, image: Candidate) -> Draft | None:
        pixels = self._work_of(image).pixels
        if pixels > self._pixels_left:
            self.refusal = f"its images have more than {_MAX_PIXELS} pixels together"
            return None
        made = self._choose(image)
        if made.coded is None and made.row.route == STORE:
            return None
        self._pixels_left -= pixels
        return made


class _Names:
    """Paths for the members of a file, no two the same."""

    def __init__(self, path: str, start: int) -> None:
        self._path, self._start = path, start
        self._taken: set[str] = set()

    def path(self, span: Span, data: bytes) -> str:
        """The path of what is in a span: by its name if it has one that a file can have."""
        name = None if span.name is None else span.name.removeprefix("./")  # as `tar c .` writes
        if name is None or name in self._taken or not is_safe(unescape(name)):
            name = self._by_place(span.start, data)
        self._taken.add(name)
        return f"{self._path}/{name}"

    def _by_place(self, start: int, data: bytes) -> str:
        suffix = next((ext for magic, ext in _SUFFIXES if data.startswith(magic)), "")
        name = f"@{self._start + start}{suffix}"
        while name in self._taken:
            name = f"@{name}"
        return name


def _spans(candidate: Candidate) -> tuple[Span, ...]:
    """The images within a file that is none, or is a JPEG picture with more behind it."""
    if not candidate.opened:
        return ()
    if jpeg.matches(candidate.data):
        spans = candidate.found.spans
        behind = len(candidate.data) - (spans[0].start + spans[0].length if spans else 0)
        return spans if len(spans) > 1 and behind >= _LEAST_BEHIND_BYTES else ()
    try:
        _ = candidate.header
    except UnreadableImage:
        whole = (0, len(candidate.data))
        spans = (
            one
            for one in candidate.found.spans
            if (one.start, one.length) != whole or one.packing is not None
        )
        return tuple(map(_with_image, spans))
    return ()


def _check_looked_into(candidate: Candidate) -> None:
    """UnreadableImage, with the reason, for a container in which nothing was found."""
    if not candidate.opened or jpeg.matches(candidate.data):
        return
    with suppress(UnreadableImage):
        _ = candidate.header
        return
    if candidate.found.reason is not None:
        raise UnreadableImage(candidate.found.reason)


def _with_image(span: Span) -> Span:
    """The span; if what is packed in it is an image, that is a member of it."""
    if span.content is None:
        return replace(span, members=tuple(map(_with_image, span.members)))
    members = tuple(map(_with_image, span.members))
    if not members:
        members = (Span(0, len(span.content), span.name),)
    return replace(span, name=None, members=members)


def _images(candidate: Candidate, content: bytes, spans: Sequence[Span]) -> Iterator[Candidate]:
    """All images in spans of a content."""
    for span in spans:
        data = content[span.start : span.start + span.length]
        if span.members:
            inner = data if span.content is None else span.content
            yield from _images(candidate, inner, span.members)
        else:
            yield _image(candidate, data, candidate.file.path)


def _image(candidate: Candidate, data: bytes, path: str) -> Candidate:
    """What is within a file, on its way; it has to come back byte for byte."""
    return replace(
        candidate,
        file=SourceFile(path, len(data), None, kind=FILE),
        data=data,
        keep_file=True,
        opened=False,
        start=0,
    )
