"""How single stores are reached: by which options, and that those go nowhere else."""

import pickle
import threading
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from seec.jobs import (
    archive,
    compact,
    copy,
    decode,
    digest,
    encode,
    explain,
    files,
    gc,
    info,
    ls,
    parity,
    prove,
    repair,
    restore,
    segment,
    sign,
    verify,
    verify_proof,
)
from seec.pipeline.stages.repairing import Spares
from seec.pipeline.storage import Source, Store, Target
from seec.pipeline.storage.access import Access, Options, options_of, refuse_password, using
from seec.schemas.commit import ObjectRecord, RunRecord, SourceRecord
from seec.schemas.errors import StorageError, StoreUnavailable

SECRET = "hunter'2\\xyz"
QUOTED = f"'''{SECRET}'''"  # for TOML
NO_OBJECT = ObjectRecord("none", 0, "")
RUN = RunRecord("run", NO_OBJECT, SourceRecord("/nowhere"), 1, 1, "0" * 64)
COMMANDS = {
    "archive": (archive, "run", ("a", "b")),
    "compact": (compact, "run", ("a",)),
    "copy": (copy, "run", ("a", "b")),
    "decode": (decode, "run", ("a", "b")),
    "digest": (digest, "run", ("a",)),
    "encode": (encode, "run", ("a", "b")),
    "explain": (explain, "run", ("a", "b")),
    "gc": (gc, "run", ("a",)),
    "info": (info, "run", ("a",)),
    "ls": (ls, "listing", ("a",)),
    "parity": (parity, "run", ("a",)),
    "prove": (prove, "run", ("a", "b")),
    "repair": (repair, "run", ("a",)),
    "restore": (restore, "run", ("a", "b")),
    "segment": (segment, "run", ("a", "b")),
    "sign": (sign, "run", ("a",)),
    "verify": (verify, "run", ("a",)),
    "verify-proof": (verify_proof, "run", ("a",)),
}


def access(**by_prefix: Any) -> Access:
    """Of options by the last part of a prefix in memory."""
    return Access(
        {
            f"memory://{name}": Options(values, f'["memory://{name}"] in stores.toml')
            for name, values in by_prefix.items()
        }
    )


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("s3://photos", "photos"),
        ("s3://photos/", "photos"),
        ("s3://photos/2024/a.png", "photos"),
        ("s3://photos2", "all"),
        ("s3://photos2/deep", "all"),
        ("s3://vault", "all"),
        ("s3://vault/archive", "archive"),
        ("s3://vault/archive/", "archive"),
        ("s3://vault/archives", "all"),
        ("s3://vault/archive/second", "second"),
        ("s3a://photos", None),
        ("s3", None),
        ("gs://photos", None),
        ("photos", None),
        ("/s3:/photos", None),
    ],
)
def test_the_longest_url_above_holds(url: str, wanted: str | None, tmp_path: Path):
    file = written(
        tmp_path / "stores.toml",
        """
        ["s3://"]
        profile = "all"
        ["s3://vault/archive/second"]
        profile = "second"
        ["s3://photos/"]
        profile = "photos"
        ["s3://vault/archive"]
        profile = "archive"
        """,
    )
    assert Access.read(file).options_of(url).values.get("profile") == wanted


def test_values_are_what_toml_has(tmp_path: Path):
    file = written(
        tmp_path / "stores.toml",
        """
        ["s3://photos"]
        anon = true
        max_concurrency = 3
        ["s3://photos".client_kwargs]
        region_name = "eu-1"
        """,
    )
    assert Access.read(file).options_of("s3://photos/a").values == {
        "anon": True,
        "max_concurrency": 3,
        "client_kwargs": {"region_name": "eu-1"},
    }
    assert Access.read(written(file, "")) == Access()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("key = ", "not TOML"),
        (f'["s3://photos"]\nkey = {QUOTED}x', "not TOML"),
        (f'"s3://photos" = {QUOTED}', r'\["s3://photos"\] in .*: not a table of options'),
        (f"[photos]\nkey = {QUOTED}", r'\["photos"\] in .*: no URL, such as s3://bucket'),
        ('["s3://photos"]\n["s3://photos/"]', "is there twice"),
        ('["s3://photos"]\n["s3://photos"]', "not TOML"),
        ('["s3://photos"]\nprotocol = "gs"\nkey = "k"', "protocol cannot be chosen"),
    ],
)
def test_a_file_with_mistakes_is_wrong_use_and_named(text: str, reason: str, tmp_path: Path):
    file = written(tmp_path / "stores.toml", text)
    with pytest.raises(StorageError, match=reason):
        Access.read(file)
    result = CliRunner().invoke(ls.main, ["a", "--stores", str(file)])
    assert result.exit_code == 2
    assert str(file) in result.stderr
    assert SECRET not in result.stderr


def test_a_file_that_cannot_be_read_is_wrong_use_and_named(tmp_path: Path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(StorageError, match=f"{path.name}: "):
            Access.read(path)
        result = CliRunner().invoke(ls.main, ["a", "--stores", str(path)])
        assert result.exit_code == 2
        assert path.name in result.stderr
    bytes_of_no_text = tmp_path / "stores.toml"
    bytes_of_no_text.write_bytes(b"\xff\xfe")
    with pytest.raises(StorageError, match="not TOML"):
        Access.read(bytes_of_no_text)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ('profil = "studio"', "unexpected keyword argument 'profil'"),
        ('profile = "none-such"', r"profile \(none-such\) could not be found"),
        ('endpoint_url = "minio.studio:9000"', "Invalid endpoint: minio.studio:9000"),
        ('client_kwargs = "text"', "'str' object"),
        ('username = "somebody"', "Supply either key or username"),
        (f'endpoint_url = "me:{"p@ss"}@here"', "ValueError, whose text is left out"),
    ],
)
def test_options_that_a_file_system_refuses_are_an_error_that_names_the_file(
    options: str, reason: str, tmp_path: Path
):
    text = f'["s3://photos"]\nkey = {QUOTED}\nsecret = {QUOTED}\n{options}'
    file = written(tmp_path / "stores.toml", text)
    result = CliRunner().invoke(ls.main, ["s3://photos/archive", "--debug", "--stores", str(file)])
    assert result.exit_code == 1
    message = result.stderr.splitlines()[-1]
    assert message.startswith("seec: error: s3://photos/archive: ")
    assert f'["s3://photos"] in {file}' in message
    with using(Access.read(file)), pytest.raises(StorageError, match=reason):
        Store("s3://photos/archive")
    for shown in (SECRET, repr(SECRET), "p@ss"):
        assert shown not in result.stderr


def test_a_source_whose_options_are_refused_does_not_count_as_gone():
    """A repair would list its files as lost."""
    with using(Access({"s3://photos": Options({"profil": "studio"}, "stores.toml")})):
        for source in ("s3://photos", None):
            with pytest.raises(StoreUnavailable, match=r"'profil'; see stores\.toml"):
                Spares((), source).source_of(SourceRecord("s3://photos"))
    assert Spares((), "/nowhere").source_of(SourceRecord("/nowhere")) is None


def test_buckets_of_one_name_are_told_apart_by_the_protocol():
    ones = {"s3://photos": {"anon": True}, "s3a://photos": {"key": "k", "secret": "s"}}
    with using(Access({url: Options(values) for url, values in ones.items()})):
        here, there = Store("s3://photos/a"), Store("s3a://photos/a")
    assert here.url == there.url
    assert (here._fs.anon, there._fs.anon) == (True, False)
    assert here != there
    assert here._fs is not there._fs


def test_an_error_that_holds_a_value_is_not_shown():
    options = Options({"auth": ["user", {"password": SECRET}], "profile": "studio"}, "stores.toml")
    for text in (f"no such user: user, {SECRET}", repr(("user", SECRET))):
        said = options.refused(ValueError(text))
        assert said.startswith("ValueError, whose text is left out")
        assert said.endswith("; see stores.toml")
    assert options.refused(ValueError("no profile studio")) == "no profile studio; see stores.toml"
    assert options.refused(ValueError()).endswith("see stores.toml")


def test_nothing_but_the_file_system_shows_the_options():
    table = access(place={"token": SECRET, "nested": {"secret": SECRET}})
    with using(table):
        source, target = Source("memory://place/photos"), Target("memory://place/restored")
    store = source.store
    assert store._fs.storage_options["token"] == SECRET
    shown = [repr(item) for item in (table, store, store.__reduce__(), source, target)]
    shown += [store.url, source.url, target.url, str(options_of("memory://place"))]
    with pytest.raises(StorageError) as raised:
        store.get("none")
    shown += [str(raised.value), repr(raised.value)]
    assert not [text for text in shown if "hunter" in text]


def test_options_travel_with_a_store():
    with using(access(place={"region": ["one"]}, other={"region": ["two"]})):
        one, two = Store("memory://place/a"), Store("memory://other/a")
        none, source = Store("memory://third"), Source("memory://place/b")
    assert options_of("memory://place/a") == Options()
    for store, region in ((one, ["one"]), (two, ["two"]), (none, None), (source.store, ["one"])):
        for twin in (store, store.shared_by(2), pickle.loads(pickle.dumps(store))):  # noqa: S301 - our own bytes
            assert twin._fs.storage_options.get("region") == region
    # What was opened without options stays so where others are in use.
    with using(access(third={"region": ["three"]})):
        assert pickle.loads(pickle.dumps(none)) == none != Store("memory://third")  # noqa: S301 - our own bytes


def test_stores_of_one_url_with_different_options_are_different_stores():
    one, two = (Store("memory://place", options=Options({"region": [r]})) for r in ("one", "two"))
    assert one != two
    assert one._fs is not two._fs
    assert one._let.__self__ is not two._let.__self__  # pyright: ignore[reportFunctionMemberAccess]
    again = Store("memory://place", options=Options({"region": ["one"]}))
    assert (again, hash(again)) == (one, hash(one))
    assert again._fs is one._fs
    assert again._let.__self__ is one._let.__self__  # pyright: ignore[reportFunctionMemberAccess]


def test_a_file_system_cannot_change_the_options():
    options = Options({"client_kwargs": {"region_name": "eu-1"}})
    store = Store("s3://photos", options=options)
    store._fs.client_kwargs["region_name"] = "changed"
    assert options.values == {"client_kwargs": {"region_name": "eu-1"}}


def test_own_settings_of_the_client_keep_those_that_single_attempts_need():
    store = Store("s3://photos", options=Options({"config_kwargs": {"max_pool_connections": 3}}))
    assert store._fs.config_kwargs["max_pool_connections"] == 3
    assert store._fs.config_kwargs["retries"]["total_max_attempts"] == 1
    # botocore changes the settings that it is given: those of the next store are as they were.
    again = Store("s3://photos", options=Options({"config_kwargs": {"max_pool_connections": 3}}))
    assert again._fs is store._fs


def test_they_are_in_use_in_all_threads_until_the_block_ends():
    seen: list[Options] = []
    with using(access(place={"region": "one"})):
        with using(Access()):
            assert options_of("memory://place") == Options()
        thread = threading.Thread(target=lambda: seen.append(options_of("memory://place")))
        thread.start()
        thread.join()
    assert [options.values for options in seen] == [{"region": "one"}]


def test_of_a_single_file_the_options_of_its_whole_url_hold():
    """`seec info` asks whether an archive is a file, and must ask the store that it is in."""
    with using(access(vault={"region": "one"}, **{"vault/archive": {"region": "two"}})):
        for url, region in (("vault/archive", "two"), ("vault/a.seec", "one"), ("a.seec", None)):
            store, _ = files._split(f"memory://{url}")
            assert store._fs.storage_options.get("region") == region


@pytest.mark.parametrize("name", COMMANDS)
def test_flag_environment_and_file_name_the_stores(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    module, function, arguments = COMMANDS[name]
    seen: list[str | None] = []

    def run(*_: Any) -> Any:
        seen.append(options_of("s3://photos").values.get("profile"))
        raise click.UsageError("far enough")

    monkeypatch.setattr(module, function, run)
    stores = {
        profile: str(written(tmp_path / profile, f'["s3://photos"]\nprofile = "{profile}"'))
        for profile in ("flag", "own", "shared", "config")
    }
    config = str(written(tmp_path / "seec.toml", f"stores = '{stores['config']}'"))

    def profile(*more: str, **environment: str) -> str | None:
        result = CliRunner().invoke(module.main, [*arguments, *more], env=environment)
        assert "far enough" in result.stderr
        return seen.pop()

    shared = {"SEEC_STORES": stores["shared"]}
    own = {f"SEEC_{name.upper().replace('-', '_')}_STORES": stores["own"]}
    assert profile() is None
    assert profile("--config", config) == "config"
    assert profile("--config", config, **shared) == "shared"
    assert profile("--config", config, **own, **shared) == "own"
    assert profile("--config", config, "--stores", stores["flag"], **own, **shared) == "flag"
    assert options_of("s3://photos") == Options()


WITH_PASSWORDS = (
    "sftp://user:hunter2@host/photos",
    "sftp://user:hunter2@host:22/photos",
    "smb://domain;user:hunter2@host/share",
    "ftp://:hunter2@host",
    "webdav+https://user:hun@ter2@host/a@b",
    "sftp://user:hun/ter2@host/photos",
    "simplecache::sftp://user:hunter2@host/photos",
)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("url", WITH_PASSWORDS)
def test_a_password_in_a_url_is_refused_and_not_shown(url: str, name: str, tmp_path: Path):
    job, _, arguments = COMMANDS[name]
    urls = [url, *(str(tmp_path / other) for other in arguments[1:])]
    result = CliRunner().invoke(job.main, urls)
    assert result.exit_code == 1, result.output
    assert "holds a password" in result.output
    assert "ter2" not in result.output
    assert "***@host" in result.output


def test_a_password_in_the_name_of_a_table_is_not_shown(tmp_path: Path):
    path = tmp_path / "stores.toml"
    path.write_text('["sftp://user:hunter2@host"]\nport = 22\n')
    with pytest.raises(StorageError, match=r"user:\*\*\*@host: holds a password"):
        Access.read(path)


@pytest.mark.parametrize(
    "url",
    [
        "sftp://user@host:22/a:b@c",
        "s3://bucket/a:b@c.png",
        "s3://arn:aws:s3:eu-central-1:123456789012:accesspoint/name/a@b",
        "http://host:8080/a@b",
        "/photos/user:name@host",
    ],
)
def test_colons_elsewhere_are_no_password(url: str):
    refuse_password(url)
