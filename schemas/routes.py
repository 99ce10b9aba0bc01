"""The routes of files into an archive: their names in manifests, and what rows of each hold."""

from dataclasses import dataclass

SEEC = "seec"
SEEC_PLANES = "seec-planes"
SEEC_DECODED = "seec-decoded"
SEEC_JPEG = "seec-jpeg"
JPEGXL_JPEG = "jpegxl-jpeg"
SPANS = "spans"
PIECES = "pieces"
STORE = "store"
LOST = "lost"
# So begins the reason of a stored file that looks like a container of images.
NOT_OPENED = "not opened: "


@dataclass(frozen=True)
class RouteRules:
    """What a manifest row of a route holds.

    image: facts of an image. samples: facts of its samples. model: that decodes the payload. lossy:
    perhaps a background error. any_kind: perhaps a link or a directory. lost: no payload, since
    there is no file any more. members: rows of images within the file.
    """

    image: bool = False
    samples: bool = False
    model: bool = False
    lossy: bool = False
    any_kind: bool = False
    lost: bool = False
    members: bool = False


# By name, in the order in which users see them.
ROUTES: dict[str, RouteRules] = {
    SEEC: RouteRules(image=True, samples=True, model=True, lossy=True),
    SEEC_PLANES: RouteRules(image=True, samples=True, model=True),
    SEEC_DECODED: RouteRules(image=True, samples=True, model=True),
    SEEC_JPEG: RouteRules(image=True, model=True),
    JPEGXL_JPEG: RouteRules(image=True),
    SPANS: RouteRules(members=True),
    PIECES: RouteRules(),
    STORE: RouteRules(any_kind=True),
    LOST: RouteRules(lost=True),
}


def is_lost(route: str) -> bool:
    """Whether a row of this route says that its file is lost; False for unknown routes."""
    return route in ROUTES and ROUTES[route].lost
