r"""Run a batch on a Dask cluster that is already there, with or without TLS.

    python jobs/existing_cluster.py tls://scheduler:8786 --ca ca.pem --certificate me.pem --key me-key.pem \
        -- mosaic manifest.s5cmd --cache-dir s3://my-bucket/cache

What follows `--` are words of `dsp-batch`. Without TLS the command alone does the same: `dsp-batch mosaic … --scheduler
tcp://scheduler:8786`. Scheduler and workers need the same version of dsp-batch in their environment; the run says so
before it starts when they have not. The scheduler and each worker are started with the same three files:

    dask scheduler --protocol tls --tls-ca-file ca.pem --tls-cert scheduler.pem --tls-key scheduler-key.pem
    dask worker tls://scheduler:8786 --nthreads 1 --nworkers 8 --tls-ca-file … --tls-cert … --tls-key …

Dask checks that certificates are signed by the CA, not whose they are: a CA of the cluster's own is what protects it.

Run: on Linux, over the phantom collection, with a `dask scheduler` and a `dask worker` on the same machine, once plain
and once with certificates made for it; the tests do both. Not run: across machines.
"""

from __future__ import annotations

import argparse

import dask

from dsp_batch.cli.batch import program


def main() -> None:
    """Run `dsp-batch` on the scheduler that was named, and exit with its status."""
    parser = argparse.ArgumentParser(description="Run dsp-batch on an existing Dask cluster.")
    parser.add_argument("scheduler", help="address: tcp://… or tls://…")
    parser.add_argument("--ca", help="certificate of the authority that signed all the others")
    parser.add_argument("--certificate", help="certificate of this client")
    parser.add_argument("--key", help="its private key")
    parser.add_argument("words", nargs="+", help="after --: a command of dsp-batch with its arguments")
    arguments = parser.parse_args()

    tls = {"ca-file": arguments.ca, "client": {"cert": arguments.certificate, "key": arguments.key}}
    with dask.config.set({"distributed.comm.tls": tls}):
        program([*arguments.words, "--scheduler", arguments.scheduler], prog_name="dsp-batch")


if __name__ == "__main__":
    main()
