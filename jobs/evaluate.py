"""Measure what the codec and its parts bring: `python -m seec.jobs.evaluate PHOTOGRAPHS FOLDER`."""

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import torch

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.options import plot_target
from seec.jobs.progress import progress
from seec.pipeline.codec import default_model
from seec.pipeline.images.split import is_validation
from seec.pipeline.lab.benchmark import colour_tests, crops, drawings, label_maps, regions, saliency
from seec.pipeline.lab.benchmark.ablation import ablation_lines, codings, make_codec
from seec.pipeline.lab.benchmark.codecs import CODEC_NAMES, Codec, make_codecs, our_codec
from seec.pipeline.lab.benchmark.colour_tests import Pixels
from seec.pipeline.lab.benchmark.markdown import evaluation_lines
from seec.pipeline.lab.benchmark.measure import (
    image_paths,
    measure_folder,
    measure_image,
    read_pixels,
    warm_up,
)
from seec.pipeline.lab.benchmark.plot import plot_ablation
from seec.pipeline.lab.benchmark.results import FolderResult, Sample
from seec.pipeline.lab.training.ablation import BUDGET_S, ROWS, train_rows
from seec.pipeline.lab.training.salient_data import load_pairs, split
from seec.pipeline.segmentation import make_segmenter
from seec.pipeline.segmentation.saliency import SaliencySegmenter

TABLES = ("codecs", "ablation", "segmentation", "labels", "roi", "crops", "colours", "drawings")
_NEED_MASKS = ("segmentation", "roi")
_REGION_IMAGES = 20
_COLOUR_STRIDE = 4  # every fourth image
_LARGE = (4000, 6000)  # 24 megapixels
_NETWORKS = ("salient",)
_LABEL_SOURCES = ("salient+rate", "rate")


@dataclass(frozen=True)
class Settings:
    """What to measure.

    photographs: a folder of images; seven in eight of them train the models of the ablation,
    the others are the image set `validation`. folders: more image sets, named like the folders.
    rows: models of the ablation; budget_s: CPU time to train each. masked: a folder with images/
    and the masks/ of their salient objects. resume: a folder that keeps checkpoints, models and
    figures; what it holds is not done again. plot: a picture of the ablation.
    """

    photographs: Path
    folders: tuple[Path, ...] = ()
    tables: tuple[str, ...] = TABLES
    rows: tuple[str, ...] = tuple(ROWS)
    budget_s: float = BUDGET_S
    masked: Path | None = None
    resume: Path | None = None
    plot: Path | None = None


@dataclass(frozen=True)
class Summary:
    """All figures, as JSON values: the commit that made them, then the tables."""

    figures: Mapping[str, Any]
    exit_code: int = ExitCode.OK

    def as_dict(self) -> Mapping[str, Any]:
        """The figures."""
        return self.figures

    def lines(self) -> Iterator[str]:
        """Markdown."""
        yield from evaluation_lines(self.figures)


def run(settings: Settings) -> Summary:
    """Measure every table, going on from what `resume` holds. Raises DigestMismatch, OSError."""
    torch.set_num_threads(1)
    with _kept_folder(settings.resume) as folder:
        evaluation = _Evaluation(settings, folder)
        made = {name: getattr(evaluation, name)() for name in settings.tables}
    if settings.plot and "ablation" in made:
        plot_ablation(made["ablation"]["lines"], settings.plot)
    return Summary({"commit": _commit(), **made})


class _Evaluation:
    """One method for each table; every figure is kept in the folder as soon as it is known."""

    def __init__(self, settings: Settings, folder: Path):
        self._settings, self._folder = settings, folder
        _refuse_another(folder / "settings.json", settings)
        named = [(f.resolve().name, image_paths(f)) for f in settings.folders]
        self._sets = {"validation": image_paths(settings.photographs, is_validation), **dict(named)}
        if not self._sets["validation"]:
            raise click.UsageError("no photograph that the split by name sets aside")
        if len(self._sets) <= len(named):
            raise click.UsageError("two image sets of the same name")

    def codecs(self) -> list[dict[str, Any]]:
        """SEEC and its peers: rate and speed on each image set."""
        codecs = make_codecs(CODEC_NAMES, [our_codec(default_model())])
        measured = [self._measure(codec) for codec in codecs]
        return [rows[name] for name in self._sets for rows in measured]

    def ablation(self) -> dict[str, Any]:
        """Models that differ in one part: what each brings on each image set."""
        s = self._settings
        with progress("train", 100, "%") as shown:
            rows = [ROWS[name] for name in s.rows]
            models = train_rows(
                rows,
                s.photographs,
                self._folder,
                s.budget_s,
                lambda share: shown.update(round(100 * share)),
            )
        lines = codings(models)
        measured = {coding.name: self._measure(make_codec(coding)) for coding in lines}
        bpsp = {
            name: {image_set: row["bpsp"] for image_set, row in rows.items()}
            for name, rows in measured.items()
        }
        return {"budget_s": s.budget_s, "lines": ablation_lines(lines, bpsp)}

    def segmentation(self) -> list[dict[str, Any]]:
        """Saliency networks against the masks of the test split."""
        folder = self._masked("segmentation")

        def measured(source: str) -> dict[str, Any]:
            pairs = load_pairs(folder, split(folder).test)
            return {"source": source} | asdict(saliency.measure(_network(source), *pairs))

        return [
            _kept(self._folder / f"{source} on masks.json", partial(measured, source))
            for source in _NETWORKS
        ]

    def roi(self) -> list[dict[str, Any]]:
        """Lossy backgrounds on the first images of the test split, with their masks as regions."""
        folder = self._masked("roi")

        def measured() -> list[dict[str, Any]]:
            images, masks = load_pairs(folder, split(folder).test[:_REGION_IMAGES])
            return [asdict(row) for row in regions.measure(images, masks)]

        return _kept(self._folder / "regions of interest.json", measured)

    def labels(self) -> list[dict[str, Any]]:
        """What label maps cost on each image set, with the packaged model."""
        return [
            _kept(
                self._folder / f"labels by {source} on {name}.json",
                partial(_label_costs, source, name, paths),
            )
            for name, paths in self._sets.items()
            for source in _LABEL_SOURCES
        ]

    def crops(self) -> dict[str, Any]:
        """A crop of a large image, put together from the validation images."""

        def measured() -> dict[str, Any]:
            images = [read_pixels(path) for path in self._sets["validation"]]
            colour = [image for image in images if image.ndim == 3]
            return asdict(crops.measure(crops.mosaic(colour, *_LARGE)))

        return _kept(self._folder / "crops.json", measured)

    def colours(self) -> list[dict[str, Any]]:
        """Colour sets: the image sets as they are, and photographs through JPEG and video."""
        made = [("validation", name, make) for name, make in colour_tests.SETS.items()]
        others = [
            (name, name, colour_tests.SETS["as they are"])
            for name in self._sets
            if name != "validation"
        ]
        return [
            _kept(
                self._folder / f"colours of {image_set}, {name}.json",
                partial(_colour_figures, name, self._sets[image_set], make),
            )
            for image_set, name, make in made + others
        ]

    def drawings(self) -> list[dict[str, Any]]:
        """SEEC and its peers on text, interfaces, charts, patterns; some show photographs."""
        images = (read_pixels(path) for path in self._sets["validation"])
        photographs = list(islice((i for i in images if i.ndim == 3), drawings.SHOWN))
        drawn = drawings.draw_all(photographs)
        return [
            _kept(self._folder / f"{codec.name} on drawings.json", partial(_drawn, codec, drawn))
            for codec in make_codecs(CODEC_NAMES, [our_codec(default_model())])
        ]

    def _masked(self, table: str) -> Path:
        if self._settings.masked is None:
            raise click.UsageError(f"the table {table} needs --masked FOLDER")
        return self._settings.masked

    def _measure(self, codec: Codec) -> dict[str, dict[str, Any]]:
        """The codec's row for each image set."""
        return {name: self._measure_set(name, codec) for name in self._sets}

    def _measure_set(self, name: str, codec: Codec) -> dict[str, Any]:
        def measure() -> dict[str, Any]:
            paths = self._sets[name]
            with progress(f"{codec.name} on {name}", len(paths), "images") as shown:
                result = measure_folder(name, paths, [codec], shown.advance)
            (row,) = result.rows()
            return row.as_dict()

        return _kept(self._folder / f"{codec.name} on {name}.json", measure)


def _network(source: str) -> SaliencySegmenter:
    segmenter = make_segmenter(source)
    assert isinstance(segmenter, SaliencySegmenter)
    return segmenter


def _label_costs(source: str, image_set: str, paths: Sequence[Path]) -> dict[str, Any]:
    segmenter, total = make_segmenter(source), Counter[str]()
    with progress(f"labels by {source} on {image_set}", len(paths), "images") as shown:
        for path in paths:
            total.update(asdict(label_maps.measure(segmenter, [read_pixels(path)])))
            shown.advance()
    return {"source": source, "folder": image_set, **total}


def _colour_figures(
    name: str, paths: Sequence[Path], make: Callable[[Pixels], Pixels]
) -> dict[str, Any]:
    images = [read_pixels(path) for path in paths[::_COLOUR_STRIDE]]
    return asdict(colour_tests.measure(name, [make(i) for i in images if i.ndim == 3]))


def _drawn(codec: Codec, images: Mapping[str, Pixels]) -> dict[str, Any]:
    warm_up(codec)
    with progress(f"{codec.name} on drawings", len(images), "images") as shown:
        samples: list[Sample] = []
        for name, image in images.items():
            samples.append(measure_image(codec, name, image))
            shown.advance()
    (row,) = FolderResult("drawings", tuple(samples), ()).rows()
    return row.as_dict()


def _refuse_another(file: Path, settings: Settings) -> None:
    """Figures of other images, budgets or weights must not be taken for these."""
    asked = {
        "images": [str(f.resolve()) for f in (settings.photographs, *settings.folders)],
        "budget_s": settings.budget_s,
        "model": default_model().id,
    }
    if (known := _kept(file, lambda: asked)) != asked:
        raise click.UsageError(f"{file.parent} belongs to another evaluation: {known}")


def _kept(file: Path, compute: Callable[[], Any]) -> Any:
    """What the file holds, computed and written first if it is not there."""
    if not file.exists():
        unfinished = file.with_suffix(".partial")
        unfinished.write_text(json.dumps(compute()), encoding="utf-8")
        unfinished.replace(file)
    return json.loads(file.read_text(encoding="utf-8"))


@contextmanager
def _kept_folder(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with TemporaryDirectory() as temporary:
            yield Path(temporary)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder


def _commit() -> str | None:
    """The commit of the checkout that runs, marked if it has changes; None outside of one."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists() or shutil.which("git") is None:
        return None
    asked = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    said = subprocess.run(asked, cwd=root, capture_output=True, text=True, check=False)
    return said.stdout.strip() or None


def _tables(table: str, masked: Path | None) -> tuple[str, ...]:
    """The tables to make; `all` leaves out what needs masks where there are none."""
    if table != "all":
        return (table,)
    return tuple(name for name in TABLES if masked or name not in _NEED_MASKS)


def _rows(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(","))
    if unknown := [name for name in names if name not in ROWS]:
        raise click.BadParameter(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return names


@command(
    "evaluate",
    examples=[
        "seec evaluate photographs kodak --masked ecssd --resume evaluation --json > figures.json",
        "seec evaluate photographs --table ablation --rows one,rate4 --budget-s 600",
    ],
)
@click.argument("photographs", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument(
    "folders",
    nargs=-1,
    metavar="[FOLDER]...",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--table",
    type=click.Choice([*TABLES, "all"]),
    default="all",
    help="all: every table; the tables segmentation and roi only with --masked.",
)
@click.option(
    "--rows",
    default=",".join(ROWS),
    callback=_rows,
    show_default="all",
    metavar="NAME,...",
    help=f"Models of the ablation: {', '.join(ROWS)}.",
)
@click.option(
    "--budget-s",
    type=click.FloatRange(min=0, min_open=True),
    default=BUDGET_S,
    help="CPU seconds of training for each model of the ablation.",
)
@click.option(
    "--masked",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with images/ and masks/ of salient objects, for the tables segmentation and roi.",
)
@click.option(
    "--resume",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for checkpoints, models and figures. A later run continues from them.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=plot_target,
    metavar="PICTURE.svg",
    help="Draw the ablation into this file.",
)
def main(table: str, **options: Any) -> Summary:
    """Measure what the codec and each of its parts contribute.

    evaluate trains the models of the ablation on seven in eight of PHOTOGRAPHS, then encodes the
    other photographs and each FOLDER, and compares every decoded image with its pixels. The default
    budget takes hours. Use --resume to continue after an interruption.
    """
    return run(Settings(tables=_tables(table, options["masked"]), **options))


if __name__ == "__main__":
    main()
