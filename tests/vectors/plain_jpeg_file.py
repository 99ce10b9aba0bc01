"""Whole coded JPEG files from FORMAT.md alone: a part of the plain decoder."""

import zstandard

from tests.vectors import plain_dct, plain_jpeg


def read_dictionary(specification):
    out = b""
    _, _, text = specification.partition("### The dictionary\n")
    for line in text.split("\n"):
        if not line.startswith("    "):
            continue
        kind, content = line[4], line[6:]
        if kind == "x":
            out += bytes.fromhex(content)
        elif kind == "t":
            out += content.encode()
        else:
            out += b"".join(level(i).to_bytes(2, "big") for i in range(1024))
    return out


def level(i):
    x = i / 1023
    return round(65535 * (x / 12.92 if i < 42 else ((x + 0.055) / 1.055) ** 2.4))


def read_recipes(code, dictionary):
    if code[0] == 0:
        return code[1:]
    history = zstandard.ZstdCompressionDict(dictionary, zstandard.DICT_TYPE_RAWCONTENT)
    frame = b"\x28\xb5\x2f\xfd" + code[1:]
    return zstandard.ZstdDecompressor(dict_data=history).decompress(frame)


def read_file(coded, payload, specification):
    """The JPEG file. payload: of its model; specification: the text of FORMAT.md."""
    templates = plain_jpeg.read_template_table(specification)
    dictionary = read_dictionary(specification)
    pictures = plain_dct.decode(
        coded,
        payload,
        lambda code: read_recipes(code, dictionary),
        lambda recipe: plain_jpeg.read_layout(recipe, templates),
    )
    data = b""
    for position, recipe, components in pictures:
        layout = plain_jpeg.read_layout(recipe, templates)
        arrays = [
            [blocks[columns * row : columns * (row + 1)] for row in range(rows)]
            for (rows, columns, *_), blocks in zip(layout, components, strict=True)
        ]
        part = plain_jpeg.put_together(recipe, arrays, templates)
        data = data[:position] + part + data[position + len(part) :]
    return data
