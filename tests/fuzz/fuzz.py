"""Fuzz the package: `make fuzz SECONDS=600`; `python tests/fuzz/fuzz.py --replay FILE` tries a kept input again."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from attempts import Attempts

TARGETS = ("headers", "series", "codestreams", "tables", "manifests", "listings", "indices", "runs")
FOLDER = Path(".fuzz")
"""Folder that the runs work in, and that keeps the inputs which failed."""

_SECONDS_OF_TURN = 20.0


def fuzz(targets: list[str], seconds: float, first: int, folder: Path) -> list[Attempts]:
    """Run the targets in turn until the time is over."""
    attempts = [Attempts(target=name, folder=(folder / name).resolve(), next_seed=first) for name in targets]
    limit = time.monotonic() + seconds
    turn = min(_SECONDS_OF_TURN, seconds / len(attempts))
    while True:
        for each in attempts:
            left = limit - time.monotonic()
            if left < 1:
                return attempts
            each.run(10**9, min(turn, left))


def show(attempts: list[Attempts]) -> bool:
    """Print what came of it, a row for each target; whether nothing failed."""
    _say(f"{'target':<12} {'inputs':>9} {'failures':>9} {'kinds':>6}")
    for each in attempts:
        _say(f"{each.target:<12} {each.tried:>9,} {len(each.failures):>9,} {len(each.kinds()):>6}")
    for each in attempts:
        for kind, failures in each.kinds().items():
            _say(f"\n{each.target}: {kind}, {len(failures)} times\n{failures[0].message.strip()[-1500:]}")
            _say(f"replay: {sys.executable} {sys.argv[0]} --replay {each.path_of(failures[0])}")
    return not any(each.failures for each in attempts)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def replay(path: Path) -> bool:
    """Try a kept input again; whether it passes."""
    target, _, _ = path.stem.rpartition("-")
    attempts = Attempts(target=target, folder=(FOLDER / f"replay-{target}").resolve())
    attempts.replay(path.resolve())
    return show([attempts])


def main() -> int:
    """Fuzz, or replay, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="for all targets together")
    parser.add_argument("--target", choices=TARGETS, action="append", help="one of the targets; may be repeated")
    parser.add_argument(
        "--first", type=int, default=int(time.time()) * 1000, help="the first seed; by default another each time"
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="try this kept input again")
    words = parser.parse_args()
    if words.replay:
        return 0 if replay(words.replay) else 1
    shutil.rmtree(FOLDER, ignore_errors=True)
    return 0 if show(fuzz(words.target or list(TARGETS), words.seconds, words.first, FOLDER)) else 1


if __name__ == "__main__":
    sys.exit(main())
