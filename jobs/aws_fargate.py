r"""Run a batch on AWS Fargate: scheduler and workers are containers that start for the run and end with it.

    pip install 'dask-cloudprovider[aws]'
    python jobs/aws_fargate.py ACCOUNT.dkr.ecr.us-east-1.amazonaws.com/dsp-batch:0.1.0 --workers 40 \
        --vpc vpc-0123 --subnet subnet-0123 --security-group sg-0123 \
        -- mosaic manifest.s5cmd --cache-dir s3://my-bucket/cache

The scheduler has no password: whoever reaches its ports may run code with the containers' role. So the containers get
no public address, and are in a security group of your own that lets in nothing but its own members. This program, too,
must run inside of it, on a machine in the same VPC; a NAT gateway or endpoints lead the containers to S3 and ECR.
Without `--security-group` dask-cloudprovider would open the ports to the whole Internet.

The image is that of jobs/Dockerfile, with the same version of dsp-batch, Python and Dask as here. What follows `--` are
words of `dsp-batch`. IDC's buckets on AWS are in us-east-1: run there, and reading them costs no transfer. The cache
bucket is written with the containers' role, which `--policy` must allow: a policy of your own with s3:GetObject,
s3:PutObject, s3:DeleteObject and s3:ListBucket on that bucket. Your own credentials start the containers.
Fargate bills each container while it runs; a run that was interrupted leaves none behind unless this process was
killed (`aws ecs list-clusters` shows them).

Run: nothing of it was run on AWS. Its arguments were checked against dask-cloudprovider 2025.9.0.
"""

from __future__ import annotations

import argparse
import sys

from dsp_batch.cli.batch import program


def main() -> None:
    """Start the containers, run `dsp-batch` on them, and exit with its status."""
    parser = argparse.ArgumentParser(description="Run dsp-batch on AWS Fargate.")
    parser.add_argument("image", help="image that holds dsp-batch")
    parser.add_argument("--workers", type=int, default=4, help="containers, each with one worker of one thread")
    parser.add_argument("--region", default="us-east-1", help="where the data are")
    parser.add_argument("--vpc", required=True, help="VPC of the containers and of this machine")
    parser.add_argument("--subnet", action="append", required=True, help="private subnet of it; repeat it")
    parser.add_argument(
        "--security-group", action="append", required=True, help="group that lets in its own members alone; repeat it"
    )
    parser.add_argument("--policy", action="append", default=[], help="ARN of a policy for the containers; repeat it")
    parser.add_argument("words", nargs="+", help="after --: a command of dsp-batch with its arguments")
    arguments = parser.parse_args()

    try:
        from dask_cloudprovider.aws import FargateCluster  # noqa: PLC0415  # not a dependency of dsp-batch
    except ImportError as error:
        sys.exit(f"error: {error}: pip install 'dask-cloudprovider[aws]'")

    with FargateCluster(
        image=arguments.image,
        region_name=arguments.region,
        n_workers=arguments.workers,
        worker_cpu=1024,  # units: one core
        worker_nthreads=1,
        worker_mem=4096,  # MB
        scheduler_cpu=1024,
        scheduler_mem=4096,
        task_role_policies=arguments.policy,
        vpc=arguments.vpc,
        subnets=arguments.subnet,
        security_groups=arguments.security_group,
        fargate_use_private_ip=True,
    ) as cluster:
        program([*arguments.words, "--scheduler", cluster.scheduler_address], prog_name="dsp-batch")


if __name__ == "__main__":
    main()
