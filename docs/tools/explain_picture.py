"""Draw docs/images/explain.jpg: a photograph, its label map, the code length of its pixels.

    python docs/tools/explain_picture.py

The three pictures of the page that `seec explain` writes. Needs matplotlib and scikit-image.
"""

from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from skimage.data import astronaut

from seec.jobs.explain import colour_heat, colour_labels
from seec.pipeline.codec import encode
from seec.pipeline.codec.insight import explain

TARGET = Path(__file__).parents[1] / "images" / "explain.jpg"


def main() -> None:
    """Write the picture."""
    blob = encode(astronaut())
    insight = explain(blob)
    most = float(np.percentile(insight.code_length, 99.5))
    pictures = {
        f"The image: {8 * len(blob) / insight.pixels.size:.2f} bits per sub-pixel": insight.pixels,
        "The entropy model of each block": colour_labels(insight),
        f"Code length, 0 to {most / 3:.1f} bits per sub-pixel": colour_heat(
            insight.code_length / most
        ),
    }
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.7), layout="constrained")
    for place, (title, picture) in zip(axes, pictures.items(), strict=True):
        place.imshow(picture)
        place.set_title(title, loc="left", fontsize=12)
        place.axis("off")
    figure.savefig(TARGET, dpi=100, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main()
