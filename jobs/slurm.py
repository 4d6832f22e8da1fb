r"""Run a batch on SLURM: workers are jobs of the queue, the scheduler runs where this is started.

    pip install dask-jobqueue cryptography
    python jobs/slurm.py --jobs 20 --cores 16 --memory 64GB --queue normal --walltime 04:00:00 \
        -- mosaic manifest.s5cmd --cache-dir s3://my-bucket/cache

What follows `--` are words of `dsp-batch`. Each job holds as many worker processes as cores, each of one thread. Start
it on a node that the jobs can reach and that outlives them (a login node with tmux, or a small job of its own); when
it is killed, the same command goes on where it stopped. The workers run the Python that runs this, so its environment
must lie on a file system that the nodes share. Nobody else can connect to the workers: a certificate is made for the
run, and lies in `--shared-folder` while it goes on, where you alone can read it. `--print` shows the job script and
submits nothing; `--here` starts the same workers on this machine, without SLURM.

Run: on Linux with dask-jobqueue 0.9.0, over the phantom collection with `--here`; the job script was printed and read.
The tests do both. Not run: on a cluster with SLURM.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

import dask
from distributed import Security

from dsp_batch.cli.batch import program


def main() -> None:
    """Start the workers, run `dsp-batch` on them, and exit with its status."""
    arguments = parse_arguments()
    security = make_certificate()
    with open_cluster(arguments, security) as cluster, dask.config.set(name_certificate(security)):
        if arguments.print:
            print(cluster.job_script())
            return
        cluster.scale(jobs=arguments.jobs)
        program([*arguments.words, "--scheduler", cluster.scheduler_address], prog_name="dsp-batch")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Run dsp-batch on workers that SLURM starts.")
    parser.add_argument("--jobs", type=int, default=1, help="jobs to submit")
    parser.add_argument("--cores", type=int, default=8, help="cores, and worker processes, of a job")
    parser.add_argument("--memory", default="16GB", help="memory of a job")
    parser.add_argument("--queue", help="partition")
    parser.add_argument("--account", help="account to charge")
    parser.add_argument("--walltime", default="01:00:00", help="time limit of a job")
    parser.add_argument("--interface", help="network interface that nodes reach each other by, such as ib0")
    parser.add_argument("--shared-folder", default=".", help="folder that all nodes see; default: the current one")
    parser.add_argument("--print", action="store_true", help="show the job script and stop")
    parser.add_argument("--here", action="store_true", help="start the workers on this machine, without SLURM")
    parser.add_argument("words", nargs="*", help="after --: a command of dsp-batch with its arguments")
    arguments = parser.parse_args()
    if not arguments.words and not arguments.print:
        parser.error("give a command of dsp-batch after --")
    return arguments


def make_certificate() -> Security:
    """A certificate of this run's own: whoever connects to a scheduler without one may run code as its owner."""
    try:
        return Security.temporary()
    except ImportError:
        sys.exit("error: there is no TLS without cryptography: pip install cryptography")


def name_certificate(security: Security) -> dict[str, Any]:
    """The settings by which the client of `dsp-batch` finds the certificate."""
    files = security.get_tls_config_for_role("client")
    client = {"cert": files["cert"], "key": files["key"]}
    return {"distributed.comm.tls.ca-file": files["ca_file"], "distributed.comm.tls.client": client}


def open_cluster(arguments: argparse.Namespace, security: Security) -> Any:
    """A cluster without workers yet."""
    try:
        from dask_jobqueue import SLURMCluster  # noqa: PLC0415  # not a dependency of dsp-batch
        from dask_jobqueue.local import LocalCluster  # noqa: PLC0415  # likewise
    except ImportError as error:
        sys.exit(f"error: {error}: pip install dask-jobqueue")

    settings = {
        "cores": arguments.cores,
        "processes": arguments.cores,  # parsing and windowing hold Python's lock: processes, not threads
        "memory": arguments.memory,
        "interface": arguments.interface,
        "security": security,
        "shared_temp_directory": str(Path(arguments.shared_folder).resolve()),
    }
    if arguments.here:
        return LocalCluster(**settings)
    if not arguments.print and shutil.which("sbatch") is None:
        sys.exit(
            "error: there is no sbatch here: start this on a node of the SLURM cluster, or with --here without SLURM"
        )
    return SLURMCluster(**settings, queue=arguments.queue, account=arguments.account, walltime=arguments.walltime)


if __name__ == "__main__":
    main()
