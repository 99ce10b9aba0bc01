"""Stacks of a shard: which there are once all files were read, and how one is encoded."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from seec.pipeline.routes.writing import Small, cut_stacks
from seec.pipeline.stages.executor import Executor, Ticket
from seec.pipeline.stages.pool import Pool
from seec.pipeline.stages.tasks import STORE_SMALL
from seec.pipeline.stages.window import Steps


@dataclass(frozen=True)
class StackPart:
    """Small images that are coded as one. drafts: tickets of the lists among which theirs are.

    encode: False to store the files as they are.
    """

    paths: list[str]
    drafts: tuple[Ticket, ...]
    encode: bool = True

    def parts(self) -> "list[StackPart]":
        """Each image alone."""
        return [replace(self, paths=[path]) for path in self.paths]


@dataclass(frozen=True)
class Stacked:
    """What comes of a stack. entries: a ticket."""

    entries: Ticket
    encode_s: float = 0.0


def stack_parts(images: Iterable[tuple[Small, Ticket]]) -> list[StackPart]:
    """The stacks of all small images of a shard, each with the ticket of its draft.

    They follow from the images, whatever batches these came in.
    """
    drafts: dict[str, Ticket] = {}
    found: list[Small] = []
    for one, ticket in images:
        drafts[one.path] = ticket
        found.append(one)
    return [
        StackPart(paths, tuple(dict.fromkeys(drafts[path] for path in paths)))
        for paths in cut_stacks(found)
    ]


def encode_stack(
    executor: Executor, encoders: Pool, queued: int, stack: StackPart
) -> Steps[Stacked]:
    """Carry out a stack. queued: as `most` of `Pool.place`."""
    if not stack.encode:
        stored = executor.submit(STORE_SMALL, stack.paths, *stack.drafts)
        yield stored
        return Stacked(stored)
    encoder = yield encoders.place(queued)
    done = False
    try:
        entries, seconds = executor.call(encoder, "stack", stack.paths, *stack.drafts, returns=2)
        encode_s: float = yield seconds
        done = True
    finally:
        encoders.give_back(encoder, failed=not done)
    return Stacked(entries, encode_s)
