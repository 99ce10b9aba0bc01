"""Do a little ahead of time, side by side, what comes one after the other."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from math import inf
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_THREADS = 16  # that mostly wait for a store


def each_ahead(
    function: Callable[[_Item], _Result],
    items: Iterable[_Item],
    threads: int = _THREADS,
    ahead: int | None = None,
    *,
    size_bytes: Callable[[_Item], int] = lambda item: 0,
    most_bytes: float = inf,
) -> Generator[_Result, None, None]:
    """function(item) of each item, in order; what it raises is raised in its turn.

    ahead: how many items are in work at a time, so memory is bounded; None is two for each thread.
    most_bytes: that those in work take together, by size_bytes; one that takes more is alone.
    The function runs in threads. What computes more than it waits for is fastest in two of them.
    """
    # Who reads one file does without, and the import takes long.
    from concurrent.futures import ThreadPoolExecutor

    most = 2 * threads if ahead is None else ahead
    pool = ThreadPoolExecutor(threads)
    waiting: deque[tuple[Future[_Result], int]] = deque()
    try:
        for item in items:
            size = size_bytes(item)
            while waiting and size + sum(bytes_ for _, bytes_ in waiting) > most_bytes:
                yield waiting.popleft()[0].result()
            waiting.append((pool.submit(function, item), size))
            if len(waiting) > most:
                yield waiting.popleft()[0].result()
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        # Not waited for: the thread that collects an abandoned generator may be one of these.
        pool.shutdown(wait=False, cancel_futures=True)
