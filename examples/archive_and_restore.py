"""Archive a folder, verify the archive, restore it.

python examples/archive_and_restore.py photos photos.archive restored
"""

import subprocess
import sys

import seec


def archive_and_restore(source: str, archive: str, target: str) -> int:
    """Returns the number of restored files. Raises CalledProcessError if a step fails."""
    # Jobs are commands, so that their workers, retries and exit codes are the same everywhere.
    for step in (["archive", source, archive], ["verify", archive], ["restore", archive, target]):
        subprocess.run([sys.executable, "-m", "seec.jobs.cli", *step], check=True)
    return len(list(seec.open(archive).paths()))


if __name__ == "__main__":
    print(archive_and_restore(*sys.argv[1:]), "files")
