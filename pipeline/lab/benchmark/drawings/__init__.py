"""Screen content drawn by code: pages, interfaces, charts, maps, pixel art, patterns.

Everything comes from seeded generators and the font that Pillow brings, so that the same
versions draw the same pixels. `seec evaluate --table drawings` measures codecs on them.
"""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from seec.pipeline.lab.benchmark.drawings.charts import (
    bar_chart,
    contours,
    heat_map,
    line_chart,
    pie,
    scatter,
    surface,
)
from seec.pipeline.lab.benchmark.drawings.ink import BLACK, INK, PAPER, WHITE, Pixels
from seec.pipeline.lab.benchmark.drawings.interfaces import (
    dashboard,
    dialog,
    icon,
    icons,
    swatches,
    window,
)
from seec.pipeline.lab.benchmark.drawings.mixed import (
    article,
    few_colours,
    gallery,
    halftone,
    ordered_dither,
)
from seec.pipeline.lab.benchmark.drawings.pages import (
    bilevel_page,
    gray_page,
    linked_page,
    page,
    spreadsheet,
    terminal,
)
from seec.pipeline.lab.benchmark.drawings.patterns import (
    bar_code,
    game,
    hatching,
    matrix_code,
    noise_patches,
    repeats,
    sprites,
)
from seec.pipeline.lab.benchmark.drawings.shapes import (
    fractal,
    gradient,
    line_drawing,
    map_of_land,
    shapes,
)

SHOWN = 6  # photographs


def draw_all(photographs: Sequence[Pixels] = ()) -> dict[str, Pixels]:
    """All drawings by name: [H, W] or [H, W, 3] uint8.

    photographs: RGB, [H, W, 3] uint8. Some drawings show the first six, and are left out where
    there are fewer.
    """
    drawn = {name: np.asarray(draw()) for name, draw in _DRAWN.items()}
    if len(photographs) < SHOWN:
        return drawn
    shown = {name: np.asarray(draw(photographs)) for name, draw in _WITH_PHOTOGRAPHS.items()}
    return drawn | shown


_DRAWN: dict[str, Callable[[], Image.Image | Pixels]] = {
    "page": lambda: page(WHITE, INK, 15, 1, 1),
    "page-two-columns": lambda: page(PAPER, BLACK, 11, 2, 2),
    "page-dark": lambda: page((24, 26, 32), (220, 222, 228), 14, 1, 2),
    "page-links": linked_page,
    "page-gray": gray_page,
    "page-bilevel": bilevel_page,
    "terminal": lambda: terminal(24, 1),
    "terminal-large": lambda: terminal(50, 2),
    "spreadsheet": spreadsheet,
    "dialog": dialog,
    "window": window,
    "dashboard": dashboard,
    "icons": icons,
    "icon-16": lambda: icon(16, 1),
    "icon-32": lambda: icon(32, 2),
    "swatches": swatches,
    "line-chart": lambda: line_chart(640, 480, WHITE),
    "bar-chart": lambda: bar_chart(640, 480, WHITE),
    "scatter": scatter,
    "pie": pie,
    "heat-map": heat_map,
    "surface": surface,
    "contours": contours,
    "map": map_of_land,
    "line-drawing": line_drawing,
    "shapes": shapes,
    "gradient-linear": lambda: gradient("linear"),
    "gradient-radial": lambda: gradient("radial"),
    "gradient-gray": lambda: gradient("gray"),
    "fractal": fractal,
    "sprites": lambda: sprites(1),
    "sprites-scaled": lambda: sprites(4),
    "game": game,
    "matrix-code": lambda: matrix_code(45, 6),
    "bar-code": bar_code,
    "repeats": repeats,
    "hatching": hatching,
    "noise-patches": noise_patches,
}
_WITH_PHOTOGRAPHS: dict[str, Callable[[Sequence[Pixels]], Image.Image | Pixels]] = {
    "article": article,
    "gallery": gallery,
    "ordered-dither": ordered_dither,
    "16-colours": few_colours(16, dither=False),
    "16-colours-dithered": few_colours(16, dither=True),
    "200-colours-dithered": few_colours(200, dither=True),
    "halftone": halftone,
}
