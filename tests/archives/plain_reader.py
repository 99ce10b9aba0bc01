"""An archive read by its format description alone: none of the code that wrote it.

Only the image payloads go through the SEEC decoder, which has a description of its own, and JPEG XL
through libjxl.
"""

import gzip
import hashlib
import io
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pyarrow.parquet as pq
import zstandard
from numpy.typing import NDArray

from tests.archives.plain_spliced import gzip_member, gzipped, packed, spliced, zlib_stream
from tests.plain_packings import PLAIN, chunks, gzip_part
from tests.vectors import plain_decoded, plain_deep, plain_deflate, plain_jpeg_file

LOST = b"lost"
Decode = Callable[[bytes, bytes], NDArray[np.uint8]]  # a .seec file and its model file


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def unsealed(data: bytes, kind: str) -> dict[str, Any]:
    value = json.loads(data)
    assert canonical(value) == data
    seal = value.pop("sha256")
    assert seal == sha256(canonical(value))
    assert value["format"] == kind
    assert value["version"] == 1
    return value


class State:
    """What counts after a commit: run ids in order, shards by name, removals."""

    def __init__(self, root: Path, at: int | None = None) -> None:
        first = (root / "archive.json").read_bytes()
        header = unsealed(first, "seec-archive")
        assert header["format_sha256"] == sha256((root / "FORMAT.md.gz").read_bytes())
        last = max(int(path.stem) for path in (root / "commits").iterdir())
        at = last if at is None else at
        self.runs: list[str] = []
        self.shards: dict[str, dict[str, Any]] = {}
        self.removed: list[dict[str, Any]] = []
        way: list[tuple[dict[str, Any], str]] = []
        base = at
        while base:
            commit, digest = self._read(root, base)
            way.append((commit, digest))
            base = commit["recap"]["since"] if commit["recap"] else base - 1
        before = sha256(first)
        for commit, digest in reversed(way):
            recap = commit["recap"]
            assert before == (recap["sha256"] if recap else commit["previous"])
            for changes in (recap, commit) if recap else (commit,):
                self._apply(changes)
            before = digest
        for sequence in range(at + 1, last + 1):
            self._repair(self._read(root, sequence)[0])

    def _read(self, root: Path, sequence: int) -> tuple[dict[str, Any], str]:
        data = (root / f"commits/{sequence:010d}.json").read_bytes()
        commit = unsealed(data, "seec-commit")
        assert commit["sequence"] == sequence
        return commit, sha256(data)

    def _apply(self, changes: dict[str, Any]) -> None:
        for name in changes["dropped"]:
            del self.shards[name]
        for run in changes["runs"]:
            assert int(run["run_id"].partition("-")[0]) == len(self.runs) + 1
            self.runs.append(run["run_id"])
        self.shards |= {shard["shard"]: shard for shard in changes["shards"]}
        self.removed += changes["removed"]
        self._repair(changes)

    def _repair(self, changes: dict[str, Any]) -> None:
        for shard in changes["repaired"]:
            if shard["shard"] in self.shards:
                self.shards[shard["shard"]] = shard

    def vanished(self, root: Path, run: str) -> set[str]:
        """Paths whose rows in this run do not count."""
        paths: set[str] = set()
        for removal in self.removed:
            if removal["quarantine_only"]:
                continue
            if self.runs.index(run) <= self.runs.index(removal["up_to"]):
                data = (root / removal["paths"]["name"]).read_bytes()
                assert sha256(data) == removal["paths"]["sha256"]
                paths |= set(pq.read_table(io.BytesIO(data))["path"].to_pylist())
        return paths


def shards(root: Path, at: int | None = None) -> list[dict[str, Any]]:
    """All shards that count, by name."""
    found = State(root, at).shards
    return [found[name] for name in sorted(found)]


def digest(root: Path) -> str:
    """The archive digest."""
    commits = sorted((root / "commits").iterdir()) if (root / "commits").exists() else []
    return (
        head(commits[-1].read_bytes()) if commits else sha256((root / "archive.json").read_bytes())
    )


def head(commit: bytes) -> str:
    """The archive digest after a commit."""
    said = json.loads(commit)
    numbers = struct.pack("<Q", said["sequence"])
    root = folded([bytes.fromhex(peak) for peak in said["tree"]["peaks"]])
    return hashlib.sha256(b"\3" + numbers + hashlib.sha256(commit).digest() + root).hexdigest()


def folded(peaks: list[bytes]) -> bytes:
    """The root that the peaks of a tree lead to."""
    if len(peaks) < 2:
        return peaks[0] if peaks else hashlib.sha256(b"").digest()
    return hashlib.sha256(b"\1" + peaks[0] + folded(peaks[1:])).digest()


def tree(leaves: list[bytes]) -> bytes:
    """The root over leaves, by the definition of RFC 6962."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    half = 1
    while 2 * half < len(leaves):
        half *= 2
    left, right = tree(leaves[:half]), tree(leaves[half:])
    return hashlib.sha256(b"\1" + left + right).digest()


def row_leaf(row: dict[str, Any]) -> bytes:
    kind = {"file": 0, "link": 1, "directory": 2}[row["kind"]]
    facts = struct.pack("<BQ", kind, row["source_size_bytes"])
    return hashlib.sha256(b"\0" + facts + row["source_digest"] + row["path"].encode()).digest()


def shard_leaf(shard: dict[str, Any]) -> bytes:
    rows = struct.pack("<Q", shard["files"])
    root = bytes.fromhex(shard["rows_root"])
    return hashlib.sha256(b"\2" + rows + root + shard["shard"].encode()).digest()


def check_trees(root: Path) -> None:
    """Compare the trees of all commits with those that the commits and manifest parts lead to."""
    leaves: list[bytes] = []
    for path in sorted((root / "commits").iterdir()):
        commit = json.loads(path.read_bytes())
        leaves += map(shard_leaf, [*commit["shards"], *commit["repaired"]])
        assert commit["tree"]["size"] == len(leaves)
        assert folded([bytes.fromhex(peak) for peak in commit["tree"]["peaks"]]) == tree(leaves)
    for shard in shards(root):
        rows = pq.read_table(root / shard["manifest"]["name"]).to_pylist()
        files = [row for row in rows if row["depth"] == 0 and row["piece"] is None]
        assert tree(list(map(row_leaf, files))).hex() == shard["rows_root"]


def proven(proof: bytes) -> str | None:
    """The archive digest that a proof leads to, by RFC 9162, section 2.1.3.2."""
    said = json.loads(proof)
    row = {**said, "source_size_bytes": said["size_bytes"]}
    row["source_digest"] = bytes.fromhex(said["source_digest"])
    rows_root = climbed(row_leaf(row), said["row"])
    shard = {"shard": said["shard"]["name"], "files": said["row"]["size"]}
    root = climbed(shard_leaf({**shard, "rows_root": rows_root.hex()}), said["shard"])
    numbers = struct.pack("<Q", said["commit"]["sequence"])
    commit = bytes.fromhex(said["commit"]["sha256"])
    return hashlib.sha256(b"\3" + numbers + commit + root).hexdigest()


def climbed(leaf: bytes, way: dict[str, Any]) -> bytes:
    at, last, found = way["index"], way["size"] - 1, leaf
    for text in way["siblings"]:
        sibling = bytes.fromhex(text)
        assert last
        if at % 2 or at == last:
            found = hashlib.sha256(b"\1" + sibling + found).digest()
            while at and not at % 2:
                at, last = at // 2, last // 2
        else:
            found = hashlib.sha256(b"\1" + found + sibling).digest()
        at, last = at // 2, last // 2
    assert last == 0
    return found


def run_of(shard: dict[str, Any]) -> str:
    return shard["shard"].rpartition("/")[0]


def path_bytes(text: str) -> bytes:
    pieces = re.split(r"(\\\\|\\x[0-9a-f]{2})", text)
    undo = {"\\\\": b"\\"}
    return b"".join(
        undo.get(p) or (bytes([int(p[2:], 16)]) if p.startswith("\\x") else p.encode())
        for p in pieces
    )


def restored(root: Path, decode: Decode, at: int | None = None) -> Iterator[tuple[bytes, bytes]]:
    """Name and bytes of every file; a later run's comes after an earlier one's."""
    for row, data in rows(root, decode, at):
        if row["kind"] == "file":
            yield path_bytes(row["path"]), data


def rows(
    root: Path, decode: Decode, at: int | None = None
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Every row with its content: of a file, or where a link points to; a directory has none."""
    state = State(root, at)
    for shard in sorted(state.shards.values(), key=lambda s: state.runs.index(run_of(s))):
        vanished = state.vanished(root, run_of(shard))
        manifest = root / shard["manifest"]["name"]
        assert sha256(manifest.read_bytes()) == shard["manifest"]["sha256"]
        blob = (root / shard["blob"]["name"]).read_bytes()
        assert sha256(blob) == shard["blob"]["sha256"]
        blobs = {None: blob}
        for other in shard.get("referenced", []):
            blobs[other["name"]] = (root / other["name"]).read_bytes()
            assert sha256(blobs[other["name"]]) == other["sha256"]
        needed, end = {None}, 0
        table = pq.read_table(manifest)
        assert table.schema.metadata[b"seec.table"] == b"manifest 1"
        records = table.to_pylist()
        while records:
            row, tree = records[0], 1
            while tree < len(records) and records[tree]["depth"] > 0:
                tree += 1
            members, records = records[1:tree], records[tree:]
            name = row.get("blob")
            needed.add(name)
            if name is None:
                end = max(end, *(one["offset"] + one["length"] for one in (row, *members)))
            if row["path"] in vanished or row["piece"] is not None:
                continue
            yield row, content(root, row, members, blobs[name], decode)
        assert end == len(blob)
        assert needed == set(blobs)


def content(
    root: Path, row: dict[str, Any], members: list[dict[str, Any]], blob: bytes, decode: Decode
) -> bytes:
    """What a row restores to. members: the rows behind it that are deeper."""
    payload = blob[row["offset"] : row["offset"] + row["length"]]
    assert hashlib.sha256(payload).digest() == row["blob_digest"]
    if row["route"] == "spans":
        return put_together(root, row, members, payload, blob, decode)
    assert members == []
    if row["envelope_length"] is not None:
        assert row["envelope"] is None
        end_of_payload = row["length"] - row["envelope_length"]
        frame = payload[end_of_payload:]
        row["envelope"] = zstandard.ZstdDecompressor().decompress(frame)
        assert 4096 < len(row["envelope"]) <= row["source_size_bytes"]
        payload = payload[:end_of_payload]
    return RESTORE[row["route"]](root, row, payload, decode)


def put_together(
    root: Path,
    row: dict[str, Any],
    members: list[dict[str, Any]],
    payload: bytes,
    blob: bytes,
    decode: Decode,
) -> bytes:
    frame = zstandard.ZstdDecompressor().decompress(payload)
    length = int.from_bytes(frame[:4], "little")
    recipe, between = frame[4 : 4 + length], frame[4 + length :]
    data = b""
    while members:
        one, tree = members[0], 1
        while tree < len(members) and members[tree]["depth"] > one["depth"]:
            tree += 1
        gap = one["start"] - len(data)
        assert 0 <= gap <= len(between)
        data, between = data + between[:gap], between[gap:]
        there = content(root, one, members[1:tree], blob, decode)
        data += there
        members = members[tree:]
    data += between
    assert len(data) == row["source_size_bytes"]
    assert hashlib.sha256(data).digest() == row["source_digest"]
    return data if row["packing"] is None else PACK[row["packing"]](data, recipe)


def restore_pieces(root: Path, row: dict[str, Any], payload: bytes, decode: Decode) -> bytes:
    state, data = State(root), b""
    for number, piece in enumerate(pq.read_table(io.BytesIO(payload)).to_pylist()):
        shard = state.shards[piece["shard"]]
        records = pq.read_table(root / shard["manifest"]["name"]).to_pylist()
        place = next(
            place
            for place, one in enumerate(records)
            if (one["path"], one["piece"]) == (row["path"], number)
        )
        end = place + 1
        while end < len(records) and records[end]["depth"] > 0:
            end += 1
        assert records[place]["start"] == len(data)
        blob = (root / (records[place].get("blob") or shard["blob"]["name"])).read_bytes()
        part = content(root, records[place], records[place + 1 : end], blob, decode)
        assert (len(part), hashlib.sha256(part).digest()) == (piece["size_bytes"], piece["digest"])
        data += part
    assert len(data) == row["source_size_bytes"]
    assert hashlib.sha256(data).digest() == row["source_digest"]
    return data


def restore_lost(_: Path, row: dict[str, Any], payload: bytes, __: Decode) -> bytes:
    assert payload == b""
    assert row["reason"]
    return LOST


def restore_store(_: Path, row: dict[str, Any], payload: bytes, __: Decode) -> bytes:
    data = payload
    if row["length"] != row["source_size_bytes"]:
        data = zstandard.ZstdDecompressor().decompress(payload)
    assert hashlib.sha256(data).digest() == row["source_digest"]
    return data


def restore_jpeg(_: Path, row: dict[str, Any], payload: bytes, __: Decode) -> bytes:
    assert row["width"] > 0
    assert row["height"] > 0
    at, tail = 0, b""
    while at < len(payload) and (size := int.from_bytes(payload[at : at + 4], "big")) > 1:
        at += size
    if payload[at : at + 8] == b"\0\0\0\0tail":
        payload, tail = payload[:at], payload[at + 8 :]
    cut, segments = 0, b""
    if (box := payload.rfind(b"cuts")) >= 4:
        size = int.from_bytes(payload[box - 4 : box], "big")
        if box - 4 + size == len(payload):
            cut, segments = int.from_bytes(payload[box + 4 : box + 8], "big"), payload[box + 8 :]
            payload = payload[: box - 4]
    data = bytes(imagecodecs.jpegxl_decode_jpeg(payload, numthreads=1))
    data = data[:cut] + segments + data[cut:] + tail
    assert len(data) == row["source_size_bytes"]
    assert hashlib.sha256(data).digest() == row["source_digest"]
    return data


def restore_coded_jpeg(root: Path, row: dict[str, Any], payload: bytes, _: Decode) -> bytes:
    specification = gzip.decompress((root / "FORMAT.md.gz").read_bytes()).decode()
    data = plain_jpeg_file.read_file(payload, model_of(root, row), specification)
    assert len(data) == row["source_size_bytes"]
    assert hashlib.sha256(data).digest() == row["source_digest"]
    return data


def model_of(root: Path, row: dict[str, Any]) -> bytes:
    model = (root / f"models/{row['model_id']}.model").read_bytes()
    assert sha256(model) == row["model_id"]
    return model


def restore_seec(root: Path, row: dict[str, Any], payload: bytes, decode: Decode) -> bytes:
    pixels = decode(payload, model_of(root, row))
    channels = {"L": 1, "RGB": 3}[row["mode"]]
    shape = struct.pack("<III", *pixels.shape[:2], channels)
    assert hashlib.sha256(shape + pixels.tobytes()).digest() == row["pixel_digest"]
    return written(row, own(row, [pixels.reshape(*pixels.shape[:2], channels)]), [8])


def restore_decoded(root: Path, row: dict[str, Any], payload: bytes, _: Decode) -> bytes:
    specification = gzip.decompress((root / "FORMAT.md.gz").read_bytes()).decode()
    size = row["height"], row["width"], {"L": 1, "RGB": 3}[row["mode"]]
    samples = plain_decoded.decode(payload, *size, model_of(root, row), specification)
    assert hashlib.sha256(struct.pack("<III", *size) + samples).digest() == row["pixel_digest"]
    assert len(samples) == row["sample_bytes"]
    return written(row, own(row, [np.frombuffer(samples, np.uint8).reshape(size)]), [8])


def restore_planes(root: Path, row: dict[str, Any], payload: bytes, decode: Decode) -> bytes:
    model = model_of(root, row)
    rasters, depths = planes(payload, lambda code: decode(code, model))
    digest = hashlib.sha256()
    for samples, depth in zip(rasters, depths, strict=True):
        height, width, count = samples.shape
        digest.update(struct.pack("<4I", width, height, count, depth))
        digest.update(samples.astype(f"<u{samples.itemsize}").tobytes())
    assert digest.digest() == row["pixel_digest"]
    assert sum(samples.nbytes for samples in rasters) == row["sample_bytes"]
    return written(row, own(row, rasters), depths)


def own(row: dict[str, Any], rasters: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """The rasters of a row, of those in its payload."""
    if row["top"] is None:
        return rasters
    (stack,) = rasters
    assert stack.shape[0] * stack.shape[1] <= 1 << 16
    image = stack[row["top"] : row["top"] + row["height"]]
    assert image.shape[:2] == (row["height"], row["width"])
    return [image]


def written(row: dict[str, Any], rasters: list[NDArray[Any]], depths: list[int]) -> bytes:
    """The file of a row, from its samples and its envelope."""
    exact, envelope = row["envelope"][0], row["envelope"][1:]
    if row["format"] == "WEBP":
        return b""  # needs a VP8L encoder; the samples have been compared
    if row["format"] == "PNG":
        first, second = parts(envelope[13:])
        rows = packed(rasters[0], depths[0], 0, 1)
        image_data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + line for line in rows)))
        if exact:
            recipe, second = parts(second)
            pixel_bytes = max(1, rasters[0].shape[2] * depths[0] // 8)
            passes = adam7(rows, pixel_bytes) if envelope[12] else [rows]
            image_data = compressed_again(passes, pixel_bytes, recipe)
        header = chunk(b"IHDR", envelope[:13])
        data = b"\x89PNG\r\n\x1a\n" + header + first + image_data + second
    elif row["format"] == "GIF":
        data = gif(rasters, envelope)
    elif row["format"] == "QOI":
        data = bytes(imagecodecs.qoi_encode(rasters[0]))
        data = data[:13] + envelope + data[14:]
    elif row["format"] == "GZIP":
        data = gzipped(rasters, depths, envelope)
    else:
        data = spliced(rasters, depths, envelope, exact)
    if exact and row.get("background_error") is None:
        assert hashlib.sha256(data).digest() == row["source_digest"]
    return data


def adam7(rows: list[bytes], pixel_bytes: int) -> list[list[bytes]]:
    """The rows of each pass of an interlaced PNG."""
    starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    passes = []
    for top, left, down, right in (*starts, (1, 0, 2, 1)):
        pixels = [
            [row[i : i + pixel_bytes] for i in range(0, len(row), pixel_bytes)][left::right]
            for row in rows[top::down]
        ]
        passes.append([b"".join(row) for row in pixels if row])
    return passes


def compressed_again(passes: list[list[bytes]], pixel_bytes: int, recipe: bytes) -> bytes:
    """The IDAT chunks that a recipe is for."""
    head, count = struct.unpack_from("<2sI", recipe)
    sizes = struct.unpack_from(f"<{count}I", recipe, 6)
    rest = recipe[6 + 4 * count :]
    filtered = b""
    for rows in passes:
        above = bytes(len(rows[0])) if rows else b""
        for row in rows:
            kind, rest = rest[0], rest[1:]
            filtered += bytes([kind]) + filtered_row(row, above, pixel_bytes, kind)
            above = row
    stream = head + plain_deflate.rebuild(filtered, rest)
    stream += zlib.adler32(filtered).to_bytes(4, "big")
    chunks = b""
    for size in sizes:
        chunks += chunk(b"IDAT", stream[:size])
        stream = stream[size:]
    return chunks + chunk(b"IDAT", stream)


def filtered_row(row: bytes, above: bytes, pixel_bytes: int, kind: int) -> bytes:
    out = bytearray()
    for i, value in enumerate(row):
        left = row[i - pixel_bytes] if i >= pixel_bytes else 0
        corner = above[i - pixel_bytes] if i >= pixel_bytes else 0
        up, guess = above[i], left + above[i] - corner
        nearest = min((left, up, corner), key=lambda near: abs(guess - near))
        out.append((value - (0, left, up, (left + up) // 2, nearest)[kind]) % 256)
    return bytes(out)


def planes(
    payload: bytes, decode: Callable[[bytes], NDArray[np.uint8]]
) -> tuple[list[NDArray[Any]], list[int]]:
    """Samples [H, W, samples] and bits of each raster of a payload of route seec-planes."""
    magic, version, count, plane_count, run_count = struct.unpack_from("<4sBIII", payload)
    assert (magic, version) == (b"\x8aSEP", 1)
    position = 17
    rasters, depths = [], []
    for _ in range(count):
        width, height, samples, depth = struct.unpack_from("<IIBB", payload, position)
        dtype = {16: np.uint16, 32: np.uint32}.get(depth, np.uint8)
        rasters.append(np.zeros((height, width, samples), dtype))
        depths.append(depth)
        position += 10
    code = position + 14 * plane_count + 12 * run_count + 4
    found = []
    for _ in range(plane_count):
        raster, *numbers, byte, flags, value, size = struct.unpack_from("<I6BI", payload, position)
        numbers = [number for number in numbers if number != 255]
        pixels = np.full((*rasters[raster].shape[:2], len(numbers)), value, np.uint8)
        if not flags & 1:
            pixels = decode(payload[code : code + size]).reshape(pixels.shape)
        found.append((byte, raster, numbers, flags, pixels))
        position, code = position + 14, code + size
    for _ in range(run_count):
        first, length, size = struct.unpack_from("<III", payload, position)
        height, width, samples = rasters[first].shape
        run = plain_deep.decode_run(
            payload[code : code + size], width, height, samples, depths[first], length
        )
        for number, rows in enumerate(run, first):
            rasters[number][:] = np.array(rows)
        position, code = position + 12, code + size
    assert code == len(payload)
    for byte, raster, numbers, flags, pixels in sorted(found, key=lambda plane: -plane[0]):
        samples = rasters[raster]
        if flags & 2:
            pixels = pixels + (samples[..., numbers] >> (8 * (byte + 1))).astype(np.uint8)
        samples[..., numbers] |= pixels.astype(samples.dtype) << (8 * byte)
    return rasters, depths


def gif(rasters: list[NDArray[Any]], envelope: bytes) -> bytes:
    (count,) = struct.unpack_from("<I", envelope)
    frames = [struct.unpack_from("<IB", envelope, 4 + 5 * i) for i in range(count)]
    recipe, rest = parts(envelope[4 + 5 * count :])
    recipe = zlib.decompress(recipe) if recipe else b""
    data = b""
    for samples, (before, interlaced) in zip(rasters, frames, strict=True):
        data, rest = data + rest[:before], rest[before:]
        rows = range(len(samples))
        order = [*rows[::8], *rows[4::8], *rows[2::4], *rows[1::2]] if interlaced else rows
        indices = b"".join(samples[row].tobytes() for row in order)
        clears: tuple[int, ...] = tuple(range(0, len(indices), 100))
        tail: bytes | None = None
        sizes = b""
        if recipe:
            (count,) = struct.unpack_from("<I", recipe)
            clears, recipe = struct.unpack_from(f"<{count}I", recipe, 4), recipe[4 + 4 * count :]
            tail, recipe = parts(recipe)
            sizes, recipe = parts(recipe)
        stream = lzw(indices, data[-1], clears, tail)
        sizes = sizes or bytes(len(stream[i : i + 255]) for i in range(0, len(stream), 255))
        for size in sizes:
            data, stream = data + bytes([size]) + stream[:size], stream[size:]
        assert stream == b""
        data += b"\0"
    assert recipe == b""
    return data + rest


def lzw(indices: bytes, n: int, clears: tuple[int, ...], tail: bytes | None) -> bytes:
    starts, stops = [0, *clears], [*clears, len(indices)]
    pieces = [lzw_codes(indices[a:b], n) for a, b in zip(starts, stops, strict=True)]
    for piece in pieces[:-1]:
        piece.append(1 << n)
    if tail is None:
        pieces[-1].append((1 << n) + 1)
    bits = ""
    for piece in pieces:
        for i, code in enumerate(piece):
            size = min(12, ((1 << n) + 2 + max(0, i - 1)).bit_length())
            bits = f"{code:0{size}b}" + bits
    free, tail = -len(bits) % 8, tail or b""
    if free and tail:
        bits, tail = f"{tail[0]:08b}"[:free] + bits, tail[1:]
    return int(bits, 2).to_bytes(-(-len(bits) // 8), "little") + tail


def lzw_codes(indices: bytes, n: int) -> list[int]:
    strings = {bytes([index]): index for index in range(1 << n)}
    codes, at = [], 0
    while at < len(indices):
        end = at + 1
        while end < len(indices) and indices[at : end + 1] in strings:
            end += 1
        codes.append(strings[indices[at:end]])
        if len(strings) + 2 < 4096:
            strings[indices[at : end + 1]] = len(strings) + 2
        at = end
    return codes


BASIS = "0001 ACCA 3C0E 163E C582 ED2E 914C 4012 6C98 10D8 6A72 B900 FDB8 FB34 FF38 991E"


def product(a: int, b: int) -> int:
    """Of two words of the field of FORMAT.md, "Parity", bit by bit."""
    basis = [int(word, 16) for word in BASIS.split()]
    one, other = (
        sum_of(element for bit, element in enumerate(basis) if word >> bit & 1) for word in (a, b)
    )
    result = 0
    while other:
        result ^= one if other & 1 else 0
        one, other = one << 1, other >> 1
        one ^= 0x1002D if one >> 16 else 0
    rows = [(element, 1 << bit) for bit, element in enumerate(basis)]
    word = 0
    for place in reversed(range(16)):  # the coordinates, by elimination
        at = next(i for i, (element, _) in enumerate(rows) if element.bit_length() == place + 1)
        pivot, name = rows.pop(at)
        rows = [(e ^ pivot, n ^ name) if e >> place & 1 else (e, n) for e, n in rows]
        if result >> place & 1:
            result, word = result ^ pivot, word ^ name
    return word


def sum_of(values: Iterable[int]) -> int:
    total = 0
    for value in values:
        total ^= value
    return total


def inverse(word: int) -> int:
    result = 1
    for _ in range(15):  # word^(2^16 - 2)
        word = product(word, word)
        result = product(result, word)
    return result


def mended(parity: bytes, found: list[bytes]) -> list[bytes]:
    """The objects of a parity object, from what is left of them."""
    head = next(h for h in (parity[:140], parity[-140:]) if is_sound(h))
    magic, version, shift, count, zero, data_blocks, parity_blocks = struct.unpack(
        "<4sBBBBII", head[:16]
    )
    assert (magic, version, zero) == (b"\x8aSER", 1, 0)
    objects = [struct.unpack_from("<Q32s", head, 16 + 40 * i) for i in range(count)]
    wanted, body = checksums(parity, data_blocks + parity_blocks)
    blocks: list[bytes] = []
    for data, (length, _) in zip(found, objects, strict=True):
        for start in range(0, length, 1 << shift):
            end = min(start + (1 << shift), length)
            blocks.append(data[start:end].ljust(1 << shift, b"\0"))
    blocks += [
        parity[body + (i << shift) : body + ((i + 1) << shift)] for i in range(parity_blocks)
    ]
    sound = [crc32c(block) == check for block, check in zip(blocks, wanted, strict=True)]
    words = [list(struct.unpack(f"<{len(block) // 2}H", block)) for block in blocks]
    compute_lost(words, sound, data_blocks, parity_blocks)
    whole, at = [], 0
    for length, digest in objects:
        count = -(-length >> shift)
        data = b"".join(struct.pack(f"<{len(w)}H", *w) for w in words[at : at + count])[:length]
        assert hashlib.sha256(data).digest() == digest
        whole.append(data)
        at += count
    return whole


def is_sound(part: bytes) -> bool:
    """Whether the last four bytes are the checksum of those before."""
    return crc32c(part[:-4]) == struct.unpack("<I", part[-4:])[0]


def checksums(parity: bytes, entries: int) -> tuple[list[int], int]:
    """Those of all blocks, and where the parity blocks begin."""
    pages = -(-entries // 256)
    second = len(parity) - 140 - 4 * (entries + pages)
    found: list[int] = []
    for page in range(pages):
        length = 4 * min(256, entries - 256 * page)
        places = (start + 1028 * page for start in (140, second))
        parts = (parity[start : start + length + 4] for start in places)
        found += struct.unpack(f"<{length // 4}I", next(p for p in parts if is_sound(p))[:-4])
    return found, 140 + 4 * (entries + pages)


def compute_lost(
    words: list[list[int]], sound: list[bool], data_blocks: int, parity_blocks: int
) -> None:
    """Put the right words in place of those of lost data blocks."""
    lost = [j for j in range(data_blocks) if not sound[j]]
    rows = [i for i in range(parity_blocks) if sound[data_blocks + i]][: len(lost)]
    assert len(rows) == len(lost)
    r = (parity_blocks - 1).bit_length()

    def factor(i: int, j: int) -> int:
        j += 1 << r
        return product(j >> r, inverse(i ^ j))

    equations = []
    for i in rows:
        right = words[data_blocks + i]
        for j in range(data_blocks):
            if sound[j]:
                right = added(right, multiplied(words[j], factor(i, j)))
        equations.append(([factor(i, j) for j in lost], right))
    for at in range(len(lost)):
        by = inverse(equations[at][0][at])
        left, right = (multiplied(side, by) for side in equations[at])
        for other, (its_left, its_right) in enumerate(equations):
            by = its_left[at]
            if other != at:
                its_left = added(its_left, multiplied(left, by))
                equations[other] = (its_left, added(its_right, multiplied(right, by)))
        equations[at] = (left, right)
    for j, (_, right) in zip(lost, equations, strict=True):
        words[j] = right


def multiplied(words: list[int], by: int) -> list[int]:
    known = {word: product(by, word) for word in set(words)}
    return [known[word] for word in words]


def added(one: list[int], other: list[int]) -> list[int]:
    return [a ^ b for a, b in zip(one, other, strict=True)]


def crc32c(data: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


RESTORE = {
    "lost": restore_lost,
    "seec": restore_seec,
    "seec-planes": restore_planes,
    "seec-decoded": restore_decoded,
    "seec-jpeg": restore_coded_jpeg,
    "jpegxl-jpeg": restore_jpeg,
    "store": restore_store,
    "pieces": restore_pieces,
}
# By packing: the bytes of a member from its content and the recipe.
PACK: dict[str, Callable[[bytes, bytes], bytes]] = {
    **PLAIN,
    "chunks": partial(chunks, zlib_stream=zlib_stream),
    "deflate": plain_deflate.rebuild,
    "gzip": gzip_member,
    "gzip-part": partial(gzip_part, rebuild=plain_deflate.rebuild),
    "zlib": zlib_stream,
}


def parts(envelope: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack("<I", envelope[:4])
    return envelope[4 : 4 + length], envelope[4 + length :]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
