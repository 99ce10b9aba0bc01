import hashlib
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from seec.jobs import archive, encode, explain, info
from seec.pipeline.codec import Background, Model, decode, inspect, packaged_model
from seec.pipeline.codec import encode as encode_pixels
from seec.pipeline.codec.model import packaged
from seec.pipeline.codec.model.packaged import find_packaged, packaged_name, packaged_profiles
from seec.pipeline.codec.model.profile import PROFILES
from seec.pipeline.storage import Store
from seec.schemas.errors import UnknownModel
from tests.pictures import textured

FOLDER = resources.files("seec.pipeline.codec.model") / "models"
FAST = (FOLDER / "fast.safetensors").read_bytes()


@pytest.fixture
def packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden_model: Model
) -> Iterator[Path]:
    """An installation with the weights fast and, as lite, a tiny model."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name, payload in (("fast", FAST), ("lite", golden_model.payload)):
        (folder / f"{name}.safetensors").write_bytes(payload)
        digest = hashlib.sha256(payload).hexdigest()
        (folder / f"{name}.json").write_text(json.dumps({"id": digest}))
    monkeypatch.setattr(packaged, "_FOLDER", folder)
    forget()
    yield folder
    forget()


def forget() -> None:
    for cached in (packaged_profiles, packaged_model, packaged._profiles_by_id):  # pyright: ignore[reportPrivateUsage]
        cached.cache_clear()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(textured(20, 30)).save(path)
    return path


def run(command: object, *arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments], env=environment)  # pyright: ignore[reportArgumentType]


def test_each_profile_on_offer_has_weights_and_a_card_that_tells_the_truth() -> None:
    assert packaged_profiles() == ("fast", "lite", "max")
    for profile in packaged_profiles():
        payload = (FOLDER / f"{profile}.safetensors").read_bytes()
        card = json.loads((FOLDER / f"{profile}.json").read_text("utf-8"))
        model = find_packaged(bytes.fromhex(card["id"])[:8])
        assert model is not None
        assert hashlib.sha256(payload).hexdigest() == card["id"] == model.id
        assert {"id": model.id, **model.card} == card
        assert card["name"] == profile == packaged_name(model.short_id)
        assert model.profile == PROFILES[profile]


def test_weights_are_found_by_id_without_loading_others(packages: Path) -> None:
    (packages / "lite.safetensors").write_bytes(b"no model")
    short_id = hashlib.sha256(FAST).digest()[:8]
    assert packaged_name(short_id) == "fast"
    found = find_packaged(short_id)
    assert found is not None
    assert found.payload == FAST
    assert packaged_name(bytes(8)) is find_packaged(bytes(8)) is None


def test_a_profile_without_weights_is_refused_with_those_there_are(
    packages: Path, picture: Path
) -> None:
    with pytest.raises(UnknownModel, match=r"'huge'.* there are fast, lite"):
        packaged_model("huge")
    for job, target in ((encode, "out.seec"), (archive, "archive")):
        result = run(job.main, picture.parent, picture.parent / target, "--profile", "huge")
        assert result.exit_code == 2
        assert "no weights of huge are packaged; there are fast, lite" in result.stderr


def test_a_profile_comes_from_all_places_that_options_come_from(
    picture: Path, tmp_path: Path, packages: Path, golden_model: Model
) -> None:
    config = tmp_path / "seec.toml"
    config.write_text('profile = "lite"\n')
    places = (["--profile", "lite"], ["--config", config], [])
    for number, options in enumerate(places):
        target = tmp_path / f"{number}.seec"
        environment = {} if options else {"SEEC_ENCODE_PROFILE": "lite"}
        assert run(encode.main, picture, target, *options, **environment).exit_code == 0
        assert golden_model.id.startswith(inspect(target.read_bytes()).model_id)
        assert (decode(target.read_bytes()) == textured(20, 30)).all()
    assert run(encode.main, picture, "x.seec", SEEC_ENCODE_PROFILE="huge").exit_code == 2


def test_profile_and_model_exclude_each_other(picture: Path, tmp_path: Path) -> None:
    weights = Path(__file__).parent.parent / "vectors" / "tiny.safetensors"
    for job, source in ((encode, picture), (archive, tmp_path)):
        options = ("--profile", "lite", "--model", weights)
        result = run(job.main, source, tmp_path.parent / "out", *options)
        assert result.exit_code == 2
        assert "use only one of them" in result.stderr


def test_a_file_that_is_no_model_is_named(picture: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"no model")
    for job in (encode, archive):
        result = run(job.main, picture, tmp_path.parent / "out", "--model", weights)
        assert result.exit_code == 1
        assert f"{weights}: not a SEEC model file" in result.stderr


def test_info_names_packaged_weights_and_only_those(
    picture: Path, tmp_path: Path, packages: Path
) -> None:
    target = tmp_path / "out.seec"
    run(encode.main, picture, target)
    assert "lite (" in run(info.main, target).stdout
    assert json.loads(run(info.main, target, "--json").stdout)["model"] == "lite"
    (packages / "lite.safetensors").unlink()
    forget()
    assert "not packaged (" in run(info.main, target).stdout
    assert json.loads(run(info.main, target, "--json").stdout)["model"] is None


def test_a_lossy_file_of_a_profile_that_is_not_the_default_is_explained(
    packages: Path, tmp_path: Path
) -> None:
    payload = (Path(__file__).parent.parent / "vectors" / "drawn-sic.safetensors").read_bytes()
    (packages / "sic.safetensors").write_bytes(payload)
    (packages / "sic.json").write_text(json.dumps({"id": hashlib.sha256(payload).hexdigest()}))
    forget()
    image = textured(20, 30)
    nowhere = Background(np.zeros(image.shape[:2], bool), 4)
    coded, page = tmp_path / "a.seec", tmp_path / "a.html"
    coded.write_bytes(encode_pixels(image, model=packaged_model("sic"), background=nowhere))
    assert not inspect(coded.read_bytes()).lossless
    assert run(explain.main, coded, page).exit_code == 0
    assert "Not lossless" in page.read_text("utf-8")


def test_an_archive_keeps_the_weights_that_were_asked_for(
    picture: Path, tmp_path: Path, golden_model: Model, ray_cluster: str
) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(golden_model.payload)
    photos = tmp_path / "photos"
    photos.mkdir()
    picture.rename(photos / picture.name)
    settings = archive.Settings(str(photos), str(tmp_path / "archive"), model=weights)
    assert archive.run(settings).exit_code == 0
    (stored,) = Store(settings.archive).names("models/")
    assert golden_model.id in stored
    assert golden_model.id in run(info.main, settings.archive).stdout
