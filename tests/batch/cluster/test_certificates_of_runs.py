"""Nobody but the run itself can connect to the scheduler and the workers of its local cluster."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

import pytest
from distributed import Client, Security

from dsp_batch.batch.cluster.connect import connect
from dsp_batch.options import ClusterOptions


def test_another_process_cannot_run_code_in_a_local_cluster() -> None:
    with connect(ClusterOptions(workers=1), 1) as client:
        (worker,) = client.run(os.getpid)
        address = client.scheduler.address
        for each in (address, worker):
            assert each.startswith("tls://127.0.0.1:")
            with socket.create_connection(("127.0.0.1", urlsplit(each).port), timeout=5):
                pass
        with pytest.raises(OSError, match=r"(?i)ssl|tls|certificate"):
            Client(address, security=Security.temporary(), timeout=5)
        assert client.submit(sum, [1, 2]).result(timeout=30) == 3
