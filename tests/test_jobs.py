"""The programs of jobs/: those that this machine can run are run, of the others what can be checked is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from servers import run_process, wait_for

from dsp_batch.cli.batch import program
from dsp_batch.phantom.series import build_ct, build_mr, write_collection

JOBS = Path(__file__).parent.parent / "jobs"
PROGRAMS = sorted(JOBS.glob("*.py"))


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A folder with two series."""
    write_collection(tmp_path / "series", [build_ct(count=3, size=32), build_mr(count=3, rows=20, columns=32)])
    return tmp_path / "series"


def run_job(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(JOBS / name), *words], capture_output=True, text=True, timeout=240, check=False
    )


def test_local_draws_a_manifest(collection: Path, tmp_path: Path) -> None:
    ended = run_job("local.py", f"{collection}/", str(tmp_path / "cache"))

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("2 series: 2 done, 0 kept, 0 skipped, 0 failed")
    assert len(list((tmp_path / "cache" / "previews" / "mosaic").rglob("*.webp"))) == 2


def test_local_says_what_is_wrong_in_a_line(tmp_path: Path) -> None:
    ended = run_job("local.py", str(tmp_path / "absent.txt"), str(tmp_path / "cache"))

    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert "absent.txt" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_an_existing_cluster_draws_a_manifest(protocol: str, collection: Path, tmp_path: Path) -> None:
    with run_cluster(protocol, tmp_path) as address:
        assert address.startswith(f"{protocol}://")
        files = ["--ca", "ca.pem", "--certificate", "node.pem", "--key", "node-key.pem"]
        given = [str(tmp_path / word) if word.endswith(".pem") else word for word in files]
        verb = ["mosaic", f"{collection}/", "--cache-dir", str(tmp_path / "cache"), "--wait-for-workers", "60"]
        ended = run_job("existing_cluster.py", address, *(given if protocol == "tls" else []), "--", *verb)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("2 series: 2 done")


def test_a_tls_cluster_refuses_a_client_without_certificate(collection: Path, tmp_path: Path) -> None:
    with run_cluster("tls", tmp_path) as address:
        verb = ["mosaic", f"{collection}/", "--cache-dir", str(tmp_path / "cache"), "--wait-for-workers", "5"]
        ended = run_job("existing_cluster.py", address, "--", *verb)

    assert ended.returncode == 1
    assert re.search(r"^error: no Dask scheduler answers at tls://.*TLS", ended.stderr, re.MULTILINE), ended.stderr


def test_slurm_shows_the_job_script_that_it_would_submit(tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue")
    asked_for = ["--cores", "16", "--memory", "64GB", "--queue", "long", "--walltime", "4:00:00"]
    ended = run_job("slurm.py", "--print", *asked_for, "--shared-folder", str(tmp_path))

    assert ended.returncode == 0, ended.stderr
    asked = ["#SBATCH -p long", "#SBATCH --cpus-per-task=16", "#SBATCH --mem=60G", "#SBATCH -t 4:00:00"]
    assert [line for line in ended.stdout.splitlines() if line in asked] == asked
    assert re.search(r"dask_worker tls://\S+ .*--nthreads 1 .*--nworkers 16", ended.stdout)
    assert all(f"--tls-{part} {tmp_path}/" in ended.stdout for part in ("key", "cert", "ca-file"))
    assert list(tmp_path.iterdir()) == []


def test_slurm_without_sbatch_says_so() -> None:
    pytest.importorskip("dask_jobqueue")
    ended = run_job("slurm.py", "--", "mosaic", "manifest.txt")

    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: there is no sbatch here: ")


def test_slurm_draws_a_manifest_with_its_workers_here(collection: Path, tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue")
    verb = ["mosaic", f"{collection}/", "--cache-dir", str(tmp_path / "cache")]
    where = ["--here", "--cores", "1", "--memory", "2GB", "--shared-folder", str(tmp_path)]
    ended = run_job("slurm.py", *where, "--", *verb)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("2 series: 2 done")


@contextmanager
def run_cluster(protocol: str, folder: Path) -> Iterator[str]:
    """A real scheduler and a real worker."""
    files: list[str] = []
    if protocol == "tls":
        write_certificates(folder)
        named = {"--tls-ca-file": "ca.pem", "--tls-cert": "node.pem", "--tls-key": "node-key.pem"}
        files = [word for option, file in named.items() for word in (option, str(folder / file))]
    dask, log = [sys.executable, "-m", "dask"], folder / "cluster.log"
    where = ["--scheduler-file", str(folder / "scheduler.json")]
    listen = ["--host", "127.0.0.1", "--port", "0", "--protocol", protocol, "--no-dashboard"]
    settings = {"DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD": "spawn"}
    with ExitStack() as stack:
        stack.enter_context(run_process([*dask, "scheduler", *listen, *where, *files], log, **settings))
        wait_for((folder / "scheduler.json").exists, 60, "the scheduler", log)
        worker = ["worker", *where, "--nthreads", "1", "--no-dashboard", "--no-nanny", "--host", "127.0.0.1"]
        stack.enter_context(run_process([*dask, *worker, *files], log, **settings))
        wait_for(lambda: "Starting established connection" in log.read_text(), 60, "the worker", log)
        yield yaml.safe_load((folder / "scheduler.json").read_text())["address"]


def write_certificates(folder: Path) -> None:
    """An authority, and one certificate of it that scheduler, worker and client share."""
    authority, node = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    for name, key in (("ca", authority), ("node", node)):
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
            .sign(authority, hashes.SHA256())
        )
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}-key.pem").write_bytes(pem)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_every_program_explains_itself(path: Path) -> None:
    ended = run_job(path.name, "--help")

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"usage: {path.name}")


@pytest.mark.parametrize("path", [p for p in sorted(JOBS.iterdir()) if p.is_file()], ids=lambda path: path.name)
def test_every_file_says_how_it_is_used_and_what_was_run(path: Path) -> None:
    head = path.read_text()[:2500]

    assert re.search(r"^(# )?(Run|Not run): ", head, re.MULTILINE)
    assert re.search(rf"^(#  )?   .*(jobs/{re.escape(path.name)}|pip install)", head, re.MULTILINE)


def read_kubernetes() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    cluster, policy, job = yaml.safe_load_all((JOBS / "kubernetes.yaml").read_text())
    return cluster, policy, job


def containers_of(document: object) -> list[dict[str, object]]:
    """Every container below a part of a manifest."""
    if isinstance(document, dict):
        own = document.get("containers", [])
        return [*own, *(each for value in document.values() for each in containers_of(value))]
    return []


def test_kubernetes_runs_one_image() -> None:
    cluster, _, job = read_kubernetes()

    containers = [*containers_of(cluster), *containers_of(job)]
    assert [each["name"] for each in containers] == ["worker", "scheduler", "client"]
    assert len({each["image"] for each in containers}) == 1


def test_kubernetes_runs_a_command_that_exists_on_the_service_of_its_cluster() -> None:
    cluster, _, job = read_kubernetes()
    words = containers_of(job)[0]["args"]

    assert isinstance(words, list)
    assert words[0] == "dsp-batch"
    command = program.commands[words[1]]
    command.make_context(words[1], words[2:], parent=click.Context(program))
    name = cluster["metadata"]["name"]
    assert f"tcp://{name}-scheduler:8786" in words


def test_kubernetes_lets_only_the_pods_of_the_run_reach_the_scheduler() -> None:
    cluster, policy, job = read_kubernetes()
    of_cluster = {"dask.org/cluster-name": cluster["metadata"]["name"]}

    assert policy["kind"] == "NetworkPolicy"
    assert policy["spec"]["podSelector"]["matchLabels"] == of_cluster
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    (rule,) = policy["spec"]["ingress"]
    pods = [peer["podSelector"]["matchLabels"] for peer in rule["from"] if "podSelector" in peer]
    assert pods == [of_cluster, job["spec"]["template"]["metadata"]["labels"]]


def test_fargate_asks_for_a_network_that_is_closed() -> None:
    ended = run_job("aws_fargate.py", "image", "--", "mosaic", "manifest.txt")

    assert ended.returncode == 2
    assert "required: --vpc, --subnet, --security-group" in ended.stderr


def test_the_image_holds_what_the_build_needs() -> None:
    lines = (JOBS / "Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]

    assert all((JOBS.parent / word).exists() for word in copied)
    assert os.path.commonpath([JOBS.parent / word for word in copied]) == str(JOBS.parent)
