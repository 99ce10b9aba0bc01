"""What Linux says of running processes."""

from pathlib import Path


def status(pid: int | str = "self") -> dict[str, str]:
    """The fields of a process by name, sizes as in "1234 kB". OSError if there is no such one."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def size_bytes(field: str) -> int:
    """The value of a field of `status` that is a size."""
    return int(field.removesuffix(" kB")) << 10
