"""Stands in for an agent of Ray that has nothing to do: `python -S -E stand_in.py NAMES ...`.

Ray's raylet starts agents, waits for the files that tell their ports, and ends when they end.
NAMES: of these files, with commas between them. What follows are the arguments of the agent, among
them `--session-dir=` and `--node-id=`. It imports next to nothing: an agent takes 45 to 75 MB.
"""

import os
import sys
import time

_NO_PORT = "-1"  # as Ray's own agent writes where it has no server
_LOOK_S = 1.0


def main(names: str, *arguments: str) -> None:
    """Write the files, and wait for the end of the process that started this one."""
    parent = os.getppid()
    told = dict(one[2:].split("=", 1) for one in arguments if "=" in one)
    for name in names.split(","):
        path = f"{told['session-dir']}/{name}_{told['node-id']}"
        with open(f"{path}.new", "w") as file:  # noqa: PTH123, pathlib takes 2 MB
            file.write(_NO_PORT)
        os.replace(f"{path}.new", path)  # noqa: PTH105, as above
    while os.getppid() == parent:
        time.sleep(_LOOK_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
