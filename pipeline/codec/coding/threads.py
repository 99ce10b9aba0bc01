"""Tile groups beside each other: the kernels release the interpreter while they work."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


def run_all(
    function: Callable[[*Arguments], Result], calls: Sequence[tuple[*Arguments]], threads: int
) -> list[Result]:
    """The results of `function` for each tuple of arguments, in order, from `threads` threads."""
    if threads <= 1 or len(calls) <= 1:
        return [function(*arguments) for arguments in calls]
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(function, *arguments) for arguments in calls]
        return [future.result() for future in futures]


def run_all_nested(
    function: Callable[[*Arguments], Result],
    calls: Sequence[Sequence[tuple[*Arguments]]],
    threads: int,
) -> list[list[Result]]:
    """The same for lists of calls: all run beside each other, and results come list by list."""
    results = iter(run_all(function, [c for some in calls for c in some], threads))
    return [[next(results) for _ in some] for some in calls]
