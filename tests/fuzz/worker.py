"""Runs attempts of one target in a process of its own, which they may kill or freeze.

python worker.py TARGET FOLDER FIRST_SEED COUNT SECONDS
python worker.py TARGET FOLDER save SEED FILE
python worker.py TARGET FOLDER replay FILE
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from case import FAILURES, PROGRESS, SECRET, Case, Target, load_case, save_case
from chance import Chance
from watch import Watch


def load_target(name: str) -> Target:
    """Load the target of a name: `TARGET` of `target_{name}.py`."""
    target: Target = import_module(f"target_{name}").TARGET
    return target


def make_case(target: Target, seed: int) -> Case:
    """Make the input of a seed."""
    return target.make(Chance(f"{target.name} {seed}"))


def make_cases(target: Target, folder: Path, seeds: range, seconds: float) -> Iterator[tuple[int, Case]]:
    """Make the inputs of some seeds, one after the other, and note each seed before its input is tried."""
    limit = time.monotonic() + seconds
    with (folder / PROGRESS).open("wb", buffering=0) as progress:
        for seed in seeds:
            os.pwrite(progress.fileno(), b"%20d" % seed, 0)
            if time.monotonic() > limit:
                return
            yield seed, make_case(target, seed)
        os.pwrite(progress.fileno(), b"%20d" % seeds.stop, 0)


def run_cases(target: Target, folder: Path, cases: Iterable[tuple[int, Case]]) -> None:
    """Try inputs, and write down what fails."""
    inside = folder / "inside"
    (inside / "tmp").mkdir(parents=True, exist_ok=True)
    (folder / SECRET).write_bytes(b"nobody may read this")
    os.environ["TMPDIR"] = str(inside / "tmp")
    os.chdir(inside)
    failures = os.open(folder / FAILURES, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    watch = Watch(inside)
    watch.begin()
    for seed, case in cases:
        failure = watch.try_case(target, case)
        if failure:
            line = {"seed": seed, "kind": failure.kind, "message": failure.message[-4000:]}
            os.write(failures, json.dumps(line).encode() + b"\n")


def main(name: str, place: str, *words: str) -> None:
    """Do what the command line asks for."""
    target, folder = load_target(name), Path(place).resolve()
    if words[0] == "save":
        save_case(make_case(target, int(words[1])), Path(words[2]))
    elif words[0] == "replay":
        run_cases(target, folder, [(0, load_case(Path(words[1]).resolve()))])
    else:
        first, count, seconds = int(words[0]), int(words[1]), float(words[2])
        run_cases(target, folder, make_cases(target, folder, range(first, first + count), seconds))


if __name__ == "__main__":
    faulthandler.enable()
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # threads that an attempt has left behind keep nothing waiting
