"""What reads bytes of strangers in C, given mutated bytes: it gives data back, or refuses.

Each module has a class `Fuzzed`, whose calls try one mutation and tell what became of it.
`Fuzzed.cost`, where there is one, is how many mutations of other kinds take as long as one of it.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable

Attempt = Callable[[random.Random], str]


def tried(attempt: Attempt, count: int, seed: int = 0) -> Counter[str]:
    """What became of so many mutations; writes the number of one that raises to stderr."""
    seen: Counter[str] = Counter()
    for number in range(count):
        try:
            seen[attempt(random.Random((seed << 32) + number))] += 1
        except BaseException:
            sys.stderr.write(f"mutation {number} of seed {seed}\n")
            raise
    return seen
