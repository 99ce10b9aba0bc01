"""`python -m tests.hostile.fuzz [--sanitised] COUNT [NAME ...]`: so many mutations of each kind.

Of kinds that take long there are fewer. A name is that of a module beside this one. With
--sanitised the C extensions are those that `make sanitize` builds. A mutation that breaks a rule
ends the command, and its number is written.
"""

import argparse
import pkgutil
import sys
import time
from importlib import import_module
from pathlib import Path

from tests import sanitised
from tests.hostile.fuzz import tried

_OTHERS = ("__main__", "mutation")
NAMES = tuple(
    module.name
    for module in pkgutil.iter_modules([str(Path(__file__).parent)])
    if module.name not in _OTHERS
)


def main() -> None:
    """Parse the arguments, and try."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sanitised", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("count", type=int)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; all if none")
    arguments = parser.parse_args()
    if arguments.sanitised:
        sanitised.install()
    for name in arguments.names or NAMES:
        start = time.monotonic()
        attempt = import_module(f"tests.hostile.fuzz.{name}").Fuzzed()
        count = -(-arguments.count // getattr(attempt, "cost", 1))
        seen = dict(sorted(tried(attempt, count, arguments.seed).items()))
        sys.stdout.write(f"{name}: {seen} in {time.monotonic() - start:.0f} s\n")
        sys.stdout.flush()
    if arguments.sanitised and (missed := sanitised.not_loaded()) and not arguments.names:
        raise SystemExit(f"not tried with sanitizers: {', '.join(missed)}")


if __name__ == "__main__":
    main()
