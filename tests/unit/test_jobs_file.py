"""Jobs files: what is wrong is named with its line and what was meant; the schema agrees."""

import tomllib
from pathlib import Path

import jsonschema
import pytest

from seec.jobs.scheduled import reading
from seec.schemas.jobs_file import CopyPart, json_schema, read_jobs_file
from seec.schemas.toml_lines import lines_of

WHOLE = """
timezone = "Europe/Berlin"
state = "/var/lib/seec"

[jobs.photos]
source = "/srv/photos"
archive = "s3://vault/archive"
schedule = "15 2 * * *"
profile = "lite"
keep = "file"
segmentation = "rate"
as = "photos"
prune-missing = true
time-limit = "6h"
retries = 0
bandwidth = "50MB/s"

[jobs.photos.verify]
mode = "sample"
max-duration = "2h"

[jobs.photos.compact]
schedule = "0 4 1 * *"

[jobs.photos.copy]
target = "/mnt/second/photos.archive"
schedule = "0 6 * * *"
bandwidth = "8MiB/s"

[jobs.photos.gc]
keep-commits = 100
keep-for = "365d"

[jobs.scrub]
archive = "/srv/old.archive"
verify = {}
"""
BEGIN = '[jobs.photos]\nsource = "a"\narchive = "b"\n'


def problems(text: str) -> list[tuple[int, str]]:
    file, found = read_jobs_file(text)
    assert (file is None) == bool(found)
    return [(problem.line, problem.message) for problem in found]


def test_a_whole_file_is_read() -> None:
    file, found = read_jobs_file(WHOLE)
    assert found == []
    assert file is not None
    photos = file.jobs["photos"]
    assert photos.name == "photos"
    assert photos.time_limit == 6 * 3600
    assert photos.parts == {
        "archive": None,
        "verify": None,
        "compact": "0 4 1 * *",
        "copy": "0 6 * * *",
        "gc": None,
    }
    assert list(photos.parts) == ["archive", "compact", "verify", "copy", "gc"]
    assert photos.gc is not None
    assert (photos.gc.keep_for, photos.gc.older_than) == (365 * 86_400, 86_400)
    assert list(file.jobs["scrub"].parts) == ["verify"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (BEGIN + 'schedul = "15 2 * * *"', 4, ["'schedul'", "[jobs.photos]", "'schedule'"]),
        (BEGIN + 'keep = "pixel"', 4, ["'pixel'", "pixels, file", "did you mean 'pixels'"]),
        (BEGIN + 'keep = "FILE"', 4, ["did you mean 'file'"]),
        (BEGIN + 'cpus = "4"', 4, ["cpus is '4'", "whole number"]),
        (BEGIN + "cpus = true", 4, ["cpus is true"]),
        (BEGIN + "cpus = 0", 4, ["cpus is 0", "1 or more"]),
        (BEGIN + "retries = 21", 4, ["0 to 20"]),
        (BEGIN + "prune-missing = 1", 4, ["true or false"]),
        (BEGIN + "time-limit = 6", 4, ["time-limit is 6", '"2h"']),
        (BEGIN + 'time-limit = "6 hours"', 4, ["'6 hours'", '"2h"']),
        (BEGIN + 'bandwidth = "50Mb"', 4, ["'50Mb'", "MB/s"]),
        (BEGIN + 'schedule = "15 26 * * *"', 4, ["Bad hour", "15 2 * * *"]),
        (BEGIN + 'schedule = "@daily"', 4, ["'@daily'", "five fields"]),
        (BEGIN + 'schedule = "0 15 2 * * *"', 4, ["seconds", "five fields"]),
        (BEGIN + 'schedule = "0 0 31 2 *"', 4, ["Bad day-of-month"]),
        (BEGIN + 'timezone = "Berlin"', 4, ["did you mean 'Europe/Berlin'"]),
        (BEGIN + 'timezone = "Europe/Berln"', 4, ["did you mean 'Europe/Berlin'"]),
        (BEGIN + 'timezone = "Mars"', 4, ["Europe/Berlin"]),
        (BEGIN + "source = 3", 4, ["not TOML"]),
        (BEGIN + "verify = true", 4, ["a table, [jobs.photos.verify]"]),
        (BEGIN + "[jobs.photos.verify]\n\nmod = 'x'", 6, ["[jobs.photos.verify]", "'mode'"]),
        (BEGIN + "[jobs.photos.gc]\nkeep-commits = -1", 5, ["keep-commits is -1"]),
        (BEGIN + "copy = {}", 4, ["target is missing"]),
        (BEGIN + 'copy = "c"', 4, ["a table, [jobs.photos.copy]"]),
        (BEGIN + '[jobs.photos.copy]\ntarget = "c"\nbandwidth = "9"', 6, ["'9'", "MB/s"]),
        (BEGIN + 'copy = {target = "b"}', 1, ["target of copy is the archive itself"]),
        ('\n[jobs.photos]\nsource = "a"', 2, ["archive is missing"]),
        ('[jobs.photos]\narchive = "b"', 1, ["does nothing", "source"]),
        ('[jobs.photos]\narchive = "b"\nverify = {}\nas = "x"', 1, ["as is about a source"]),
        (BEGIN + 'profile = "lite"\nmodel = "x"', 1, ["exclude each other"]),
        ('[jobs."My photos"]\nsource = "a"\narchive = "b"', 1, ["'My photos'", "a-z"]),
        ('[job.photos]\nsource = "a"', 1, ["'job'", "did you mean 'jobs'"]),
        ("", 1, ["jobs is missing"]),
        ("jobs = {}", 1, ["[jobs.NAME]"]),
        ("jobs = 3", 1, ["[jobs.NAME]"]),
        (BEGIN + "x = [1,\n2\n", 5, ["not TOML"]),
        (BEGIN + "x = \n", 4, ["not TOML"]),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_was_meant(
    text: str, line: int, words: list[str]
) -> None:
    found = problems(text)
    assert len([one for one in found if all(word in one[1] for word in words)]) == 1, found
    assert (line, True) in [(one[0], all(word in one[1] for word in words)) for one in found]


def test_all_mistakes_are_named_in_the_order_of_lines() -> None:
    text = BEGIN + 'cpus = "x"\nkeep = "x"\n[jobs.films]\nsource = 3\narchive = ""\n'
    assert [line for line, _ in problems(text)] == [4, 5, 7, 8]


def test_lines_of_values_that_take_several() -> None:
    text = '# a comment\nx = """\n[y]\n"""\n\ny = [\n  1, # one\n  {z = 2},\n]\n[t]\nu = 1\n'
    assert tomllib.loads(text)["y"][1] == {"z": 2}
    places = [("x",), ("y",), ("y", 1, "z"), ("t",), ("t", "u"), ("t", "none")]
    assert list(lines_of(text, places).values()) == [2, 6, 6, 10, 11, 10]


C = '[jobs.c]\narchive="s3://c"\nverify={}\n'
SAME = [
    WHOLE,
    BEGIN,
    BEGIN + 'keep = "pixel"',
    BEGIN + "cpus = 0",
    BEGIN + "cpus = 1.5",
    BEGIN + "retries = 21",
    BEGIN + 'retries = "1"',
    BEGIN + "prune-missing = 1",
    BEGIN + 'time-limit = "6 hours"',
    BEGIN + 'time-limit = ".5h"',
    BEGIN + 'time-limit = "0"',
    BEGIN + 'schedule = "daily"',
    BEGIN + "unknown = 1",
    BEGIN + "verify = 1",
    BEGIN + "copy = {}",
    BEGIN + 'copy = {target = "c", bandwidth = "1MB/s"}',
    BEGIN + "[jobs.photos.verify]\nmode = 'x'",
    '[jobs.photos]\nsource = "a"',
    '[jobs.Photos]\nsource = "a"\narchive = "b"',
    '[jobs.photos]\nsource = ""\narchive = "b"',
    "",
    "jobs = {}",
]


@pytest.mark.parametrize("text", SAME)
def test_the_json_schema_says_the_same(text: str) -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    assert validator.is_valid(tomllib.loads(text)) == (not problems(text))


def test_the_json_schema_is_one_and_describes_every_setting() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)

    def tables(part: dict) -> list[dict]:
        inner = [*part.get("properties", {}).values(), *part.get("patternProperties", {}).values()]
        return [part, *(one for below in inner for one in tables(below))]

    settings = [one for table in tables(schema) for one in table.get("properties", {}).values()]
    assert len(settings) > 30
    assert all(one["description"] for one in settings)


def test_what_only_the_program_knows_is_checked_with_lines_too(tmp_path: Path) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text(
        BEGIN
        + 'profile = "light"\nsegmentation = "mask"\nas = "a/b"\n'
        + '[jobs.b]\narchive = "sftp://u:geheim@h/x"\nverify = {}\n'
        + '[jobs.b.copy]\ntarget = "sftp://u:geheim@h/y"\n'
    )
    file, found = reading.check(path)
    assert file is None
    assert [problem.line for problem in found] == [4, 5, 6, 8, 11]
    assert "did you mean 'lite'" in found[0].message
    assert "geheim" not in "".join(problem.message for problem in found)


def test_paths_begin_at_the_folder_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text('stores = "stores.toml"\n' + BEGIN + 'copy={target="d"}\n' + C)
    file, _ = reading.check(path)
    assert file is not None
    assert file.jobs["photos"].source == str(tmp_path / "a")
    assert file.jobs["photos"].copy == CopyPart(str(tmp_path / "d"))
    assert file.stores == str(tmp_path / "stores.toml")
    assert file.jobs["c"].archive == "s3://c"
    assert reading.state_of(file, path).url == f"{path}.state"


def test_what_is_no_text_and_what_is_too_long_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.toml"
    path.write_bytes(b"# fine\nx = '\xff'\n")
    assert [(one.line, one.message) for one in reading.check(path)[1]] == [
        (2, "not TOML: not UTF-8")
    ]
    path.write_bytes(b"#" * (300 << 10))
    assert "no jobs file" in reading.check(path)[1][0].message
