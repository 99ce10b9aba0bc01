"""Tile groups beside each other: the kernels let go of the interpreter while they work."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVarTuple

Arguments = TypeVarTuple("Arguments")


def run_all(
    function: Callable[[*Arguments], None], calls: list[tuple[*Arguments]], threads: int
) -> None:
    """Call `function` with each tuple of arguments, on `threads` threads."""
    if threads <= 1 or len(calls) <= 1:
        for arguments in calls:
            function(*arguments)
        return
    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(function, *arguments) for arguments in calls]:
            future.result()
