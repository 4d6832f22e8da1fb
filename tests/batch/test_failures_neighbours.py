"""Two batches at once, on one cluster and one cache: the same run twice, and another over some of its series."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from complete_runs import ARGUMENTS, check_previews, check_whole, draw_undisturbed, read_run, runs_of
from dask_processes import finish_batch, start_batch
from failing_cluster import FailingCluster
from phantom_bulk import build_many

from dsp_batch.cache import open_cache
from dsp_batch.phantom.series import build_report, write_collection


def test_batches_at_once_do_not_disturb_each_other(failing_cluster: FailingCluster, tmp_path: Path) -> None:
    root, cache = tmp_path / "series", open_cache(str(tmp_path / "cache"))
    write_collection(root, [*build_many(24), build_report()])
    names = sorted(path.name for path in root.iterdir())
    half = tmp_path / "half.txt"
    half.write_text("".join(f"{name}\n" for name in names[:12]))
    failing_cluster.tell("any", "pause 0.02")

    where = ("--root", root, "--cache-dir", cache.url, *failing_cluster.options)
    commands = [
        ("mosaic", f"{root}/", *ARGUMENTS),
        ("mosaic", f"{root}/", *ARGUMENTS),
        ("mosaic", half, *ARGUMENTS),
    ]
    with ExitStack() as stack:
        batches = [stack.enter_context(start_batch(*command, *where)) for command in commands]
        outcomes = [finish_batch(batch) for batch in batches]

    assert [(outcome.status, outcome.errors) for outcome in outcomes] == [(0, [])] * 3
    assert outcomes[0].stdout == outcomes[1].stdout
    assert len(runs_of(cache)) == 2
    wanted = {outcomes[0].stdout: names, outcomes[2].stdout: names[:12]}
    for stdout, series in wanted.items():
        rows = read_run(cache, Path(stdout.split()[-1]).name)
        assert sorted(row["series_uuid"] for row in rows) == series
        assert {row["status"] for row in rows} <= {"done", "kept", "skipped"}
    check_previews(cache, draw_undisturbed(root, set(names) - {build_report().series_uuid}))
    check_whole(cache)
