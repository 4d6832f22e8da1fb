"""The help of the programs: complete, quick, and the same as the reference in docs/."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import click
import pytest
from outcomes import run_here, run_process
from reference import PAGE, PROGRAMS, walk_commands, write_reference

from dsp_batch import __main__ as both
from dsp_batch.model.window import PRESETS
from dsp_batch.options import ContrastMosaicOptions, ImageOptions, IndexOptions, MosaicOptions
from dsp_batch.storage.public_buckets import DEFAULT_ROOT
from dsp_batch.storage.store import Store
from dsp_batch.version import __version__

COMMANDS = dict(walk_commands())

SINGLE_VERBS = ("mosaic", "get-image", "contrast-mosaic", "build-index")

MODULES_OF_HELP = {
    "dsp_batch.model.contrast",
    "dsp_batch",
    "dsp_batch.batch",
    "dsp_batch.batch.garbage",
    "dsp_batch.version",
    "dsp_batch.errors",
    "dsp_batch.model",
    "dsp_batch.model.notes",
    "dsp_batch.model.places",
    "dsp_batch.model.window",
    "dsp_batch.options",
    "dsp_batch.storage",
    "dsp_batch.storage.public_buckets",
}
"""What `--help` may import of the package, besides `cli`."""


def options_of(command: click.Command) -> dict[str, click.Option]:
    return {each.name: each for each in command.params if isinstance(each, click.Option) and each.name}


def defaults_of(options: type[Any]) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(options):
        if type(field.default) in (int, float):
            yield field.name, field.default


def test_the_reference_is_what_the_programs_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == write_reference(), "run python tests/cli/reference.py"


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_and_option_has_help(words: str) -> None:
    command = COMMANDS[words]

    assert command.help
    assert command.get_short_help_str(200).endswith(".")
    for option in options_of(command).values():
        assert option.help, option.name


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_prints_its_help(words: str) -> None:
    program, *command = words.split()

    outcome = run_here(PROGRAMS[program], program, *command, "--help")

    assert (outcome.status, outcome.stderr) == (0, "")
    assert outcome.stdout.startswith(f"Usage: {words} ")


@pytest.mark.parametrize("verb", SINGLE_VERBS)
def test_a_verb_has_the_same_options_at_both_scales(verb: str) -> None:
    single, many = (options_of(program.commands[verb]) for program in PROGRAMS.values())
    only_single = set(single) - set(many)

    assert only_single <= {"no_cache", "output", "series_uid"}
    for name in set(single) & set(many) - {"directory"}:
        assert single[name].to_info_dict() == many[name].to_info_dict()


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("mosaic", MosaicOptions),
        ("get-image", ImageOptions),
        ("contrast-mosaic", ContrastMosaicOptions),
        ("build-index", IndexOptions),
    ],
)
def test_the_defaults_of_the_help_are_those_of_the_package(verb: str, options: type[Any]) -> None:
    for program in PROGRAMS.values():
        shown = options_of(program.commands[verb])
        for name, default in defaults_of(options):
            option = shown[name]
            assert option.default == default or f"[default: {default}]" in (option.help or ""), name


def test_the_defaults_of_reading_are_those_of_the_package() -> None:
    for program in PROGRAMS.values():
        shown = options_of(program.commands["mosaic"])
        assert shown["root"].default == DEFAULT_ROOT
        assert shown["max_workers"].default == Store("/").max_workers


def test_the_help_of_contrast_names_every_preset() -> None:
    for program in PROGRAMS.values():
        for verb in SINGLE_VERBS[:3]:
            help_text = options_of(program.commands[verb])["contrast"].help or ""
            assert all(name in help_text for name in (*PRESETS, "auto", "embedded"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_version_is_one_line(name: str) -> None:
    assert run_here(PROGRAMS[name], name, "--version").stdout == f"{name} {__version__}\n"


def test_the_module_holds_both_programs() -> None:
    outcome = run_here(both.program, "python -m dsp_batch", "preview")

    assert outcome.status == 0
    assert outcome.stdout.startswith("Usage: python -m dsp_batch preview ")
    assert run_process("dsp_batch", "batch", "--version").stdout.endswith(f" {__version__}\n")


@pytest.mark.parametrize("module", ["dsp_batch.cli.series", "dsp_batch.cli.batch", "dsp_batch.__main__"])
def test_help_imports_click_and_nothing_heavy(module: str) -> None:
    script = f"import {module}, sys, json; print(json.dumps(list(sys.modules)))"
    loaded = json.loads(
        subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True, timeout=60).stdout
    )

    ours = {name for name in loaded if name.split(".")[0] == "dsp_batch"}
    assert {name for name in ours if not name.startswith(("dsp_batch.cli", "dsp_batch.__main__"))} <= MODULES_OF_HELP
    assert not {"numpy", "pyarrow", "dask", "pydicom", "rich", "asyncio"} & set(loaded)
