"""Damage to bytes."""

import random


def mutated(data: bytes, random_: random.Random) -> bytes:
    """A few bytes of it altered, taken out, doubled or put in."""
    changed = bytearray(data)
    for _ in range(random_.choice((1, 1, 2, 4, 12))):
        at = random_.randrange(len(changed) + 1)
        size = random_.choice((1, 1, 2, 5, 40))
        match random_.randrange(7):
            case 0 if at < len(changed):
                changed[at] ^= 1 << random_.randrange(8)
            case 1 if at < len(changed):
                changed[at] = random_.choice((0, 255, 0xD0, 0xD9, random_.randrange(256)))
            case 2:
                del changed[at : at + size]
            case 3:
                changed[at:at] = changed[at : at + size]
            case 4:
                changed[at:at] = random_.randbytes(size)
            case 5:
                start = random_.randrange(len(changed) + 1)
                changed[at:at] = changed[start : start + 10 * size]
            case _ if random_.random() < 0.3:
                del changed[at:]
            case _:
                continue
        if not changed:
            break
    return bytes(changed)
