"""Write the golden files, and the examples of FORMAT.md: `python -m tests.vectors.make`.

Formats may change until 1.0.0 is tagged; whoever changes one runs this again. From then on golden
files never change, because a decoder must read them for ever.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
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
from tests.vectors import format_examples
from tests.vectors.drawn import STORED, UNSTORED, draw_model, unstored_model

FOLDER = Path(__file__).parent
LISTING = FOLDER / "vectors.json"

Image = NDArray[np.uint8]
_GROUPS: Cut = {"tile_size": 16, "tiles_per_group": 4}
_STRIPS: Cut = {"tile_size": 32, "block_shift": 3}


@dataclass(frozen=True)
class Golden:
    """What a golden file is made of, and with what.

    holds: what it is there for. background: see `Background`. screen: whether its groups may be
    screen coded.
    """

    holds: str
    image: Image
    labels: Image | None = None
    background: Background | None = None
    cut: Cut | None = None
    screen: bool = False

    def encoded(self, model: Model) -> bytes:
        """The file, as the encoder writes it now."""
        encoder = Encoder(model, screen=self.screen, **(self.cut or Cut()))
        return encoder.encode_batch([self.image], [self.labels], [self.background])[0]


def golden_files() -> dict[str, tuple[str, Golden]]:
    """Model and recipe of each golden file by its name."""
    found: dict[str, tuple[str, Golden]] = {}
    for model, cases in _cases().items():
        found |= {f"{model}-{case}.seec": (model, golden) for case, golden in cases.items()}
    return found


@cache
def golden_model(name: str) -> Model:
    """The model that a golden file names: packaged, stored here, or drawn again."""
    if name in packaged_profiles():
        return packaged_model(name)
    if name in UNSTORED:
        listed = json.loads(LISTING.read_text()) if LISTING.exists() else {}
        ids = {facts["model_id"] for facts in listed.values() if facts["model"] == name}
        return unstored_model(name, ids.pop() if ids else None)
    return load_model((FOLDER / f"{name}.safetensors").read_bytes())


def _cases() -> dict[str, dict[str, Golden]]:
    """By model, then by case."""
    return {
        "tiny": _plain() | _backgrounds() | _colour_sets() | _screens(),
        **_of_profiles(),
        **_of_drawn_models(),
        "paper": {"tile": Golden("the sizes of the paper: SIC with attention", textured(20, 33))},
    }


def _plain() -> dict[str, Golden]:
    halves = np.zeros((40, 50), np.uint8)
    halves[:, 25:] = 2
    noise = np.random.default_rng(7).integers(0, 256, (9, 11, 3), np.uint8)
    turned: Cut = {"turned": True}
    return {
        "rgb": Golden("several blocks, labels chosen", textured(61, 47)),
        "gray": Golden("one channel", gray(40, 70)),
        "pixel": Golden("one pixel", textured(1, 1)),
        "noise": Golden("a raw tile group", noise),
        "groups": Golden("groups of four tiles", textured(40, 52), cut=_GROUPS),
        "blocks": Golden("blocks of 8 x 8 pixels", textured(32, 32), cut={"block_shift": 3}),
        "labels": Golden("a given label map", textured(40, 50), halves),
        "turned": Golden("a turned gray image", gray(17, 40), cut=turned),
        "turned-groups": Golden("a turned image in groups", textured(21, 34), cut=_GROUPS | turned),
    }


def _backgrounds() -> dict[str, Golden]:
    image = textured(30, 52)
    region = np.zeros((30, 52), bool)
    region[10:20, 5:30] = True
    nowhere = np.zeros((18, 17), bool)
    return {
        "roi-1": Golden("bins of 3 values", image, background=Background(region, 1)),
        "roi-127": Golden("one bin for all values", image, background=Background(region, 127)),
        "roi-skip": Golden("a background that is not coded", image, None, Background(region, None)),
        "roi-gray": Golden("bins of 7 values, gray", gray(30, 52), None, Background(region, 3)),
        "roi-nowhere": Golden(
            "nothing but background", textured(18, 17), None, Background(nowhere, None)
        ),
    }


def _colour_sets() -> dict[str, Golden]:
    halved = made_of_planes(40, 37, Chroma.TRIANGLE_BOTH)
    halved[5, 7:11] = halved[-1, -1] = (1, 250, 3)
    stretched = [
        (i.astype(np.int32) * 3 // 2 - 60).clip(0, 255) for i in (textured(30, 34), gray(40, 36))
    ]
    rgb_levels, gray_levels = (i.astype(np.uint8) for i in stretched)
    columns = made_of_planes(18, 40, Chroma.TRIANGLE_COLUMNS)
    repeated = made_of_planes(21, 33, Chroma.REPEAT_BOTH)
    midpoints = made_of_planes(35, 52, Chroma.MIDPOINT_BOTH_ODD_ROWS)
    midpoint_columns = made_of_planes(20, 33, Chroma.MIDPOINT_COLUMNS)
    photo_cd = made_of_planes(24, 24, Chroma.FULL, PHOTO_CD)
    return {
        "triangles": Golden(
            "chroma 2 with exceptions; some groups screen coded", halved, None, None, _GROUPS, True
        ),
        "triangle-columns": Golden("chroma 1", columns),
        "repeated": Golden("chroma 4, in groups", repeated, cut=_GROUPS),
        "midpoints": Golden("chroma 9, in groups", midpoints, cut=_GROUPS),
        "midpoint-columns": Golden("chroma 5", midpoint_columns),
        "photo-cd": Golden("chroma 0 of another family", photo_cd),
        "levels": Golden("values that each channel uses", rgb_levels),
        "gray-levels": Golden("values that gray uses", gray_levels),
    }


def _screens() -> dict[str, Golden]:
    dots = 255 * np.random.default_rng(8).integers(0, 2, (21, 40), np.uint8)
    return {
        "screen": Golden("screen coding", screenshot(60, 70), screen=True),
        "screen-groups": Golden(
            "screen coding in groups", screenshot(40, 37), cut=_GROUPS, screen=True
        ),
        "screen-dots": Golden("screen coding of two grays", dots, screen=True),
    }


def _of_profiles() -> dict[str, dict[str, Golden]]:
    """What the packaged models write."""
    tiles = Golden("four tiles", textured(40, 52), cut={"tile_size": 32})
    rgb, tinted = textured(61, 47), made_of_planes(35, 52, Chroma.TRIANGLE_BOTH)
    region = np.zeros((30, 52), bool)
    region[10:20, 5:30] = True
    return {
        "fast": {
            "rgb": Golden("the profile fast", rgb),
            "gray": Golden("one channel", gray(40, 70)),
            "turned": Golden("a turned image", textured(21, 34), cut={"turned": True}),
        },
        "lite": {
            "rgb": Golden("the profile lite: output layers adapt", rgb),
            "tiles": tiles,
            "roi": Golden("a lossy background", textured(30, 52), background=Background(region, 8)),
        },
        "max": {
            "rgb": Golden("the profile max: hidden layers adapt, too", rgb),
            "tiles": tiles,
            "planes": Golden("chroma 2", tinted, cut=_GROUPS),
            "column": Golden("a column of pixels", textured(90, 1)),
        },
    }


def _of_drawn_models() -> dict[str, dict[str, Golden]]:
    """One file of each drawn model, and more where predictors meet the edges of strips."""
    image = textured(40, 37)
    stripes = (np.mgrid[:40, :37][1] // 8).astype(np.uint8)
    found = {
        name: {"tiles": Golden(what, image, stripes % STORED[name].entropy_models, cut=_STRIPS)}
        for name, what in {
            "drawn-16": "16 entropy models",
            "drawn-one-component": "mixtures of one component",
            "drawn-sic": "SIC without attention",
            "drawn-sic-attention": "SIC with attention",
            "drawn-predictor": "one predictor of few taps",
            "drawn-predictors": "two predictors, one of all taps",
            "drawn-adaptation": "output layers that adapt fast",
        }.items()
    }
    image = textured(24, 40, 3)
    region = np.zeros((24, 40), bool)
    region[8:14, 5:21] = True
    for name in ("drawn-predictors", "drawn-adaptation"):
        found[name] |= {
            "gray": Golden("strips, one channel", gray(19, 36, 4), cut=_STRIPS),
            "two-columns": Golden(
                "strips as narrow as two pixels", textured(37, 2, 6), cut=_STRIPS
            ),
            "roi": Golden("strips with bins", image, None, Background(region, 4), _STRIPS),
            "roi-skip": Golden(
                "strips with pixels that are not coded",
                image[:, :20],
                None,
                Background(region[:, :20], None),
                _STRIPS,
            ),
        }
    return found


def main() -> None:
    """Write models that are drawn, all golden files, and the list of what they decode to."""
    for name, profile in STORED.items():
        (FOLDER / f"{name}.safetensors").write_bytes(draw_model(profile))
    facts: dict[str, dict[str, str]] = {}
    for file, (name, golden) in golden_files().items():
        model = golden_model(name)
        blob = golden.encoded(model)
        (FOLDER / file).write_bytes(blob)
        facts[file] = {
            "holds": golden.holds,
            "model": name,
            "model_id": model.id,
            "blob_digest": hashlib.sha256(blob).hexdigest(),
            "pixel_digest": pixel_digest(decode(blob, models={model.id: model})).hex(),
        }
    for path in FOLDER.glob("*.seec"):
        if path.name not in facts:
            path.unlink()
    LISTING.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    format_examples.main()


if __name__ == "__main__":
    main()
