"""What the pages say is true: their examples run, their commands exist, their tables are what the code writes."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, get_args

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import dsp_batch
from dsp_batch.batch.runs.result_parts import SCHEMA
from dsp_batch.batch.runs.result_row import Status
from dsp_batch.cli import batch, series
from dsp_batch.errors import Reason
from dsp_batch.index.content import STATEMENT_TYPE
from dsp_batch.index.series_index import GRID_COLUMNS
from dsp_batch.web.viewer.server.answers import PHRASES, STATUS_OF_REASON
from dsp_batch.web.viewer.server.routes import ROUTES

PROJECT = Path(__file__).parent.parent
DOCS = PROJECT / "docs"
PAGES = [PROJECT / "README.md", *sorted(DOCS.rglob("*.md"))]
JOBS = sorted((PROJECT / "jobs").glob("*.py"))
PROGRAMS: dict[str, click.Group] = {"dicom-series-preview": series.program, "dsp-batch": batch.program}
IDC_SERIES = '"38902e14-b11f-4548-910e-771ee757dc82"'
DEMO = "dsp-batch demo\n"
CT = "fab43f47-d595-57c7-9ed5-b9ecd3d19919"
CINE = "19ce6195-c242-5326-a253-b1f25fbf1582"


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    line: int
    code: str


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(match[1], text.count("\n", 0, match.start()) + 1, match[2])
        for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


def name_of(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the first example of the tutorial was run: what the pages suppose."""
    folder = tmp_path_factory.mktemp("docs")
    run_bash(DEMO, folder)
    return folder


def run_bash(script: str, folder: Path) -> None:
    """Run a script; whatever it started ends with it."""
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=240)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, output.decode()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=name_of)
def test_examples_run(page: Path, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python in one namespace, with a generated CT in the place of the series of IDC; bash as it stands."""
    monkeypatch.chdir(demo)
    namespace: dict[str, Any] = {}
    missing = set()
    for block in blocks_of(page):
        if block.language == "bash" and block.code != DEMO:
            run_bash(block.code, demo)
        elif block.language == "python":
            imports = re.findall(r"^import (\w+)$", block.code, re.MULTILINE)
            absent = {name for name in imports if importlib.util.find_spec(name) is None}
            missing |= absent
            if not absent and not missing & set(re.findall(r"\w+", block.code)):
                code = "\n" * block.line + block.code.replace(IDC_SERIES, f'"demo/series/{CT}"')
                exec(compile(code, page, "exec"), namespace)
    if missing and os.environ.get("CI"):
        pytest.fail(f"not installed: {missing}")
    if missing:
        pytest.skip(f"examples without {missing} ran, those with it did not: not installed")


def test_docstring_examples_of_the_python_interface_run(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo / "demo")

    for name in ("pipeline", "batch.plan.plan", "batch.run", "batch.runs.results", "batch.runs.status"):
        found = doctest.testmod(importlib.import_module(f"dsp_batch.{name}"))
        assert found.attempted >= 2, name
        assert found.failed == 0


def shell_lines() -> Iterator[tuple[str, str]]:
    """Where and what: the commands of the pages, and those in the first lines of the jobs."""
    for page in PAGES:
        for block in blocks_of(page):
            if block.language in ("sh", "bash"):
                script = re.sub(r"<<'END'.*?^END$", "", block.code, flags=re.MULTILINE | re.DOTALL)
                for line in script.replace("\\\n", " ").splitlines():
                    yield f"{name_of(page)}:{block.line}", line
    for job in JOBS:
        head = job.read_text().split('"""')[1]
        for line in re.findall(r"^    (.*)$", re.sub(r"\\\n +", " ", head), re.MULTILINE):
            yield name_of(job), line


def commands_of(line: str) -> Iterator[list[str]]:
    """The simple commands of a line, without assignments in front of them."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("|&;"):
            while words and re.fullmatch(r"\w+=.*", words[0]):
                words.pop(0)
            if words:
                yield words
            words = []
        elif not set(word) <= set("<>"):
            words.append(word)


COMMANDS = [(place, words) for place, line in shell_lines() for words in commands_of(line)]


def check_words(words: list[str]) -> None:
    """Parse a command as its program would, types and required options included; nothing is run."""
    program = PROGRAMS[words[0]]
    command = program.commands[words[1]]
    command.make_context(words[1], words[2:], parent=click.Context(program, info_name=words[0]))


@pytest.mark.parametrize(("place", "words"), COMMANDS, ids=[f"{place} {words[0]}" for place, words in COMMANDS])
def test_commands_of_the_pages_exist(place: str, words: list[str]) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    if words[0] in PROGRAMS:
        check_words(words)
    elif words[0] == "python":
        source = (PROJECT / words[1]).read_text()
        own = words[2 : words.index("--")] if "--" in words else words[2:]
        assert all(f'"{word}"' in source for word in own if word.startswith("--"))
        if "--" in words:
            check_words(["dsp-batch", *words[words.index("--") + 1 :]])
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    elif words[:2] == ["pip", "install"]:
        for extras in re.findall(r"^(?:\.|dsp-batch)\[(.*)\]$", words[2]):
            assert extras in project["optional-dependencies"]
    elif words[0] == "dask":
        module = importlib.import_module(f"distributed.cli.dask_{words[1]}")
        module.main.make_parser(click.Context(module.main)).parse_args(words[2:])
    else:
        assert words[0] in {"cat", "chmod", "export", "find", "kill"}, f"{place} uses {words[0]}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())

    for target in targets:
        if not re.match(r"https?://", target):
            assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_pages_name_are_there(page: Path) -> None:
    named = re.findall(
        r"`((?:dsp_batch|tests|docs|jobs)/[\w./-]+|(?:batch|core|dicom|kinds)/[\w./-]+)`", page.read_text()
    )

    for path in named:
        assert (PROJECT / path).exists() or (PROJECT / "dsp_batch" / path).exists(), path


def test_the_index_has_each_page_in_one_line_files_first() -> None:
    lines = [line for line in (DOCS / "README.md").read_text().splitlines() if line.startswith("- [")]
    linked = [re.findall(r"\]\(([^)]+)\)", line) for line in lines]

    assert [len(targets) for targets in linked] == [1] * len(lines)
    assert sorted(target for (target,) in linked) == sorted(
        str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page != DOCS / "README.md"
    )
    assert lines[0].startswith("- [Files from a hospital or a CD](how-to/files.md)")


def test_every_page_is_reached_from_the_readme() -> None:
    reached = {PAGES[0]}
    waiting = [PAGES[0]]
    while waiting:
        page = waiting.pop()
        for target in re.findall(r"\]\(([^)\s#]+\.md)\)", page.read_text()):
            linked = (page.parent / target).resolve()
            if linked not in reached and linked.exists():
                reached.add(linked)
                waiting.append(linked)

    assert {page.resolve() for page in PAGES} <= {page.resolve() for page in reached}


@pytest.mark.parametrize("path", [*PAGES, *(p for p in (PROJECT / "jobs").iterdir() if p.is_file())], ids=name_of)
def test_nothing_names_a_place_of_this_machine(path: Path) -> None:
    text = path.read_text()

    for place in {PROJECT.parent, Path.home(), Path(tempfile.gettempdir())}:
        if len(place.parts) > 1:
            assert not re.search(rf"{re.escape(str(place))}\b", text), place


def load_make_docs() -> Any:
    spec = importlib.util.spec_from_file_location("make_docs", DOCS / "make_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_docs"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_picture_is_shown_and_drawn() -> None:
    shown = {Path(target).name for page in PAGES for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text())}
    there = {path.name for path in (DOCS / "images").iterdir()}

    make_docs = load_make_docs()
    assert shown == there == {*make_docs.PICTURES, make_docs.GALLERY}


def test_pictures_are_what_the_program_draws(tmp_path: Path) -> None:
    load_make_docs().draw_pictures(tmp_path)

    for drawn in tmp_path.iterdir():
        with Image.open(drawn) as new, Image.open(DOCS / "images" / drawn.name) as committed:
            assert new.size == committed.size, drawn.name
            difference = np.abs(np.asarray(new.convert("RGB"), float) - np.asarray(committed.convert("RGB"), float))
        # Other versions of the encoder may place other bits, not another picture.
        assert difference.mean() < 1, f"{drawn.name}: run `make docs`"


def table_of(page: str, heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, code marks taken off."""
    section = (DOCS / page).read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    assert rows, f"{page} has no table below {heading}"
    return [[cell.strip().replace("`", "") for cell in row] for row in rows[2:]]


def arrow_name(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {arrow_name(kind.value_type)}"
    return {"float": "float32", "double": "float64"}.get(str(kind), str(kind))


def test_the_index_page_lists_the_columns_of_an_index(demo: Path) -> None:
    page = "reference/index-schema.md"
    documented = [
        *table_of(page, "Columns of every index"),
        *table_of(page, "Columns where an instance has several frames"),
    ]
    schema = dsp_batch.load_index(f"{demo}/demo/series/{CINE}").table.schema

    assert [row[:2] for row in documented] == [[field.name, arrow_name(field.type)] for field in schema]


def test_the_index_page_lists_the_columns_of_grid_images() -> None:
    rows = table_of("reference/index-schema.md", "Columns where an instance is a grid image")

    assert [row[:2] for row in rows] == [[name, arrow_name(kind)] for name, _, kind in GRID_COLUMNS]


def test_the_page_lists_the_fields_of_a_statement() -> None:
    rows = table_of("reference/index-schema.md", "Column of what objects say")

    assert [row[:2] for row in rows if row[1] in ("int32", "string", "float64")] == [
        [field.name, arrow_name(field.type)] for field in STATEMENT_TYPE
    ]


def test_every_other_column_of_an_index_tells_its_element(demo: Path) -> None:
    documented = [row[0] for row in table_of("reference/index-schema.md", "Columns of every index")]
    schema = dsp_batch.load_index(f"{demo}/demo/series/{CT}").table.schema

    others = [field for field in schema if field.name not in documented]
    assert others
    assert all({b"tag", b"vr"} <= field.metadata.keys() for field in others)
    assert schema.names[: len(documented)] == documented


def test_the_index_page_lists_the_metadata_of_an_index(demo: Path) -> None:
    rows = table_of("reference/index-schema.md", "What does not vary")
    metadata = pq.read_metadata(demo / f"demo/cache/indices/{CT}_index.parquet").metadata
    description = json.loads(metadata[b"dsp_batch"])

    assert {key for row in rows for key in row[0].split(", ")} == description.keys()
    assert rows[0][1].startswith(f"{description['format']}:")


def test_the_results_page_lists_the_columns_of_a_result_row() -> None:
    rows = table_of("reference/results-schema.md", "Columns of a result row")

    assert [row[:2] for row in rows] == [[field.name, str(field.type)] for field in SCHEMA]


def test_the_results_page_lists_statuses_and_reasons() -> None:
    statuses = [row[0] for row in table_of("reference/results-schema.md", "Status")]
    reasons = [row[0] for row in table_of("reference/results-schema.md", "Reasons")]

    assert statuses == list(get_args(Status))
    assert reasons == list(get_args(Reason))


def test_the_results_page_lists_every_file_of_a_run(demo: Path) -> None:
    section = (DOCS / "reference/results-schema.md").read_text().partition("\n## ")[0]
    keys = re.findall(r"^\| `([^`]+)`", section, re.MULTILINE)
    patterns = [re.sub(r"\\\{.*?\\\}|\\\*", "[^/]+", re.escape(key)) for key in keys]
    cache = demo / "demo" / "cache"
    files = [str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()]

    assert all(any(re.fullmatch(pattern, file) for file in files) for pattern in patterns)
    assert all(any(re.fullmatch(pattern, file) for pattern in patterns) for file in files)


def test_the_top_level_holds_nothing_but_what_is_meant_to_be_there() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60
    ).stdout
    names = listed.split() or [path.name for path in PROJECT.iterdir()]
    visible = {name.partition("/")[0] for name in names if not name.startswith(".")}

    assert visible == {
        "pyproject.toml",
        "README.md",
        "environment.yml",
        "LICENSE",
        "Makefile",
        "dsp_batch",
        "jobs",
        "tests",
        "docs",
    }


def test_the_page_of_the_http_interface_describes_every_route_and_every_code() -> None:
    text = (DOCS / "reference/http-api.md").read_text(encoding="utf-8")
    described = re.findall(r"^### (GET|PUT) /api/(\S+)$", text, re.MULTILINE)
    assert described == [(method, route.path) for route in ROUTES for method in route.methods]
    told = set(re.findall(r"`([a-z_]+)`", text[text.index("## Errors") :]))
    sources = [path.read_text(encoding="utf-8") for path in (PROJECT / "dsp_batch/web/viewer").rglob("*.py")]
    raised = {code for source in sources for code in re.findall(r'ApiError\(\s*\d+,\s*"([a-z_]+)"', source)}
    assert raised | {code for _, code in STATUS_OF_REASON.values()} | set(PHRASES.values()) <= told
