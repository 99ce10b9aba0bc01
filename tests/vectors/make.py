"""Write the golden files of the current format version: `python -m tests.vectors.make`.

Run it to add vectors, never to change old ones: a decoder must read those for ever.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec import (
    Background,
    Encoder,
    Model,
    decode,
    load_model,
    packaged_model,
    packaged_profiles,
)
from seec.pipeline.codec.colours.chroma import Chroma
from seec.pipeline.codec.colours.presets import PHOTO_CD
from seec.pipeline.images.digest import pixel_digest
from tests.pictures import Cut, gray, made_of_planes, screenshot, textured
from tests.vectors.drawn import STORED, UNSTORED, draw_model, unstored_model

FOLDER = Path(__file__).parent
TINY = FOLDER / "tiny.safetensors"

Image = NDArray[np.uint8]
Case = tuple[Image, Image | None, Cut]
PROFILE_CASE: Case = (textured(20, 33), None, {"tile_size": 64})
# Of packaged weights; those of `lite-1` have more.
PACKAGED_CASES = ("rgb", "gray", "column", "tiles", "roi-error-8", "roi-skip")
PACKAGED_CASES += ("colours-triangles", "colours-midpoints", "turned")


def cases() -> dict[str, Case]:
    """Image, label map and encoder options of every lossless golden file."""
    halves = np.zeros((40, 50), np.uint8)
    halves[:, 25:] = 2
    noise = np.random.default_rng(7).integers(0, 256, (9, 11, 3), np.uint8)
    return {
        "rgb": (textured(61, 47), None, {}),
        "gray": (gray(40, 70), None, {}),
        "pixel": (textured(1, 1), None, {}),
        "column": (textured(90, 1), None, {}),
        "raw-noise": (noise, None, {}),
        "flat": (np.full((64, 64, 3), 17, np.uint8), None, {}),
        "tiles": (textured(70, 100), None, {"tile_size": 32}),
        "groups": (textured(70, 100), None, {"tile_size": 16, "tiles_per_group": 4}),
        "small-blocks": (textured(48, 48), None, {"block_shift": 3}),
        "given-labels": (textured(40, 50), halves, {}),
        "small": (textured(9, 20), halves[:9, 15:35], {"block_shift": 3}),
    }


def turned() -> dict[str, Case]:
    """Image, label map and encoder options of every golden file that is coded turned."""
    cut: Cut = {"tile_size": 16, "tiles_per_group": 4}
    return {
        "turned": (textured(21, 34), None, cut | {"turned": True}),
        "turned-gray": (gray(17, 40), None, {"turned": True}),
    }


def backgrounds() -> dict[str, tuple[Image, Background]]:
    """Image and background of every golden file with a region of interest."""
    image = textured(30, 52)
    region = np.zeros((30, 52), bool)
    region[10:20, 5:30] = True
    modes = {"error-1": 1, "error-8": 8, "error-127": 127, "skip": None}
    colour = {f"roi-{n}": (image, Background(region, error)) for n, error in modes.items()}
    nowhere = np.zeros((18, 17), bool)
    return colour | {
        "roi-gray": (gray(30, 52), Background(region, 3)),
        "roi-nothing": (textured(18, 17), Background(nowhere, None)),
    }


def colour_sets() -> dict[str, Case]:
    """Image, label map and encoder options of every golden file with a colour set."""
    halved = made_of_planes(40, 37, Chroma.TRIANGLE_BOTH)
    halved[5, 7:11] = halved[-1, -1] = (1, 250, 3)
    stretched = [
        (i.astype(np.int32) * 3 // 2 - 60).clip(0, 255) for i in (textured(30, 34), gray(40, 36))
    ]
    rgb_levels, gray_levels = (i.astype(np.uint8) for i in stretched)
    cut: Cut = {"tile_size": 16, "tiles_per_group": 4}
    return {
        "colours-triangles": (halved, None, cut),
        "colours-columns": (made_of_planes(18, 40, Chroma.TRIANGLE_COLUMNS), None, {}),
        "colours-repeated": (made_of_planes(21, 33, Chroma.REPEAT_BOTH), None, cut),
        "colours-midpoints": (made_of_planes(35, 52, Chroma.MIDPOINT_BOTH_ODD_ROWS), None, cut),
        "colours-midpoint-columns": (made_of_planes(20, 33, Chroma.MIDPOINT_COLUMNS), None, {}),
        "colours-photo-cd": (made_of_planes(24, 24, Chroma.FULL, PHOTO_CD), None, {}),
        "colours-levels": (rgb_levels, None, {}),
        "colours-gray-levels": (gray_levels, None, {}),
    }


def screens() -> dict[str, Case]:
    """Image, label map and encoder options of every screen coded golden file."""
    cut: Cut = {"tile_size": 16, "tiles_per_group": 4}
    dots = 255 * np.random.default_rng(8).integers(0, 2, (21, 40), np.uint8)
    return {
        "screen": (screenshot(60, 70), None, {}),
        "screen-gray": (screenshot(37, 52)[..., 1].copy(), None, {}),
        "screen-groups": (screenshot(40, 37), None, cut),
        "screen-dots": (dots, None, {}),
    }


def of_predictors() -> dict[str, tuple[Image, Background | None]]:
    """Image and background of the golden files of a network with predictors.

    Of several strips, cut by both edges of tiles, and of tiles as narrow as they can be.
    """
    image = textured(24, 40, 3)
    region = np.zeros((24, 40), bool)
    region[8:14, 5:21] = True
    return {
        "predictors-tiles": (image, None),
        "predictors-gray": (gray(19, 36, 4), None),
        "predictors-column": (textured(37, 1, 5), None),
        "predictors-two-columns": (textured(37, 2, 6), None),
        "predictors-roi": (image, Background(region, 4)),
        "predictors-roi-skip": (image[:, :20], Background(region[:, :20], None)),
    }


def of_drawn_models() -> dict[str, Case]:
    """Image, label map and encoder options of the golden file of each drawn model."""
    image = textured(40, 37)
    stripes = (np.mgrid[:40, :37][1] // 8).astype(np.uint8)
    classes = {name: p.experts for name, p in STORED.items()}
    return {
        name: (image, stripes % experts, {"tile_size": 32, "block_shift": 3})
        for name, experts in classes.items()
    }


def encoded(name: str, model: Model) -> bytes:
    """The golden file of a case, as the encoder writes it now."""
    if name in backgrounds():
        image, background = backgrounds()[name]
        return Encoder(model, screen=False).encode_batch([image], [None], [background])[0]
    if name in of_predictors():
        image, background = of_predictors()[name]
        encoder = Encoder(model, tile_size=32, block_shift=3, screen=False)
        return encoder.encode_batch([image], [None], [background])[0]
    of_profiles = dict.fromkeys(UNSTORED, PROFILE_CASE)
    image, labels, options = (
        cases() | turned() | colour_sets() | screens() | of_drawn_models() | of_profiles
    )[name]
    drawn = {*screens(), "colours-triangles"}  # the latter in some of its groups
    return Encoder(model, screen=name in drawn, **options).encode_batch([image], [labels])[0]


def write(prefix: str, model: Model, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Encode cases with a model; returns what the files must decode to."""
    facts: dict[str, dict[str, str]] = {}
    for name in names:
        blob = encoded(name, model)
        path = FOLDER / f"{prefix}-{name}.seec"
        if path.exists() and path.read_bytes() != blob:
            raise SystemExit(f"{path.name} exists with other bytes: old vectors never change")
        path.write_bytes(blob)
        facts[path.name] = {
            "case": name,
            "pixel_digest": pixel_digest(decode(blob, models={model.id: model})).hex(),
            "blob_digest": hashlib.sha256(blob).hexdigest(),
            "model_id": model.id,
        }
    return facts


def main() -> None:
    """Write all vectors and the list of what they decode to."""
    listing = FOLDER / "vectors.json"
    facts = json.loads(listing.read_text()) if listing.exists() else {}
    usual = (*cases(), *turned(), *colour_sets(), *backgrounds())
    facts |= write("v1-tiny", load_model(TINY.read_bytes()), (*usual, *screens()))
    for profile in packaged_profiles():
        model = packaged_model(profile)
        facts |= write(f"v1-{model.card['name']}", model, PACKAGED_CASES)
    for name, profile in STORED.items():
        path = FOLDER / f"{name}.safetensors"
        if not path.exists():
            path.write_bytes(draw_model(profile))
        facts |= write("v1", load_model(path.read_bytes()), [name])
    adaptive = load_model((FOLDER / "drawn-predictors.safetensors").read_bytes())
    facts |= write("v1-drawn", adaptive, of_predictors())
    tuning = load_model((FOLDER / "drawn-tuning.safetensors").read_bytes())
    facts |= write("v1-drawn-tuning", tuning, of_predictors())
    for name in UNSTORED:
        known = facts.get(f"v1-{name}.seec", {}).get("model_id")
        facts |= write("v1", unstored_model(name, known), [name])
    listing.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
