from __future__ import annotations

import pytest

from benchmarks.cluster import Cluster, Stages, demands, machines_for, other_cpus, report

STAGES = Stages(
    read=0.02, label=0.5, write=0.01, driver=0.001, file=1e5, loaded=1e6, labelled=2e6, results=1e4
)
CLUSTER = Cluster(rate=2.0, storage=2e9, network=1e9, store=1e9, per_machine=4)


def test_demands_by_hand() -> None:
    assert demands(STAGES, CLUSTER, 100) == pytest.approx(
        {
            "driver": 100 * 2 * 0.001,
            "storage": 100 * 2 * 1.1e5 / 2e9,
            "network": 4 * 2 * 3e6 / 1e9,
            "object store": 4 * 4 * 8 * 3e6 / 1e9,
        }
    )
    assert demands(STAGES, CLUSTER, 1)["network"] == pytest.approx(2 * 3e6 / 1e9)
    assert other_cpus(STAGES, CLUSTER, 100) == pytest.approx(6.0)
    assert machines_for(1e6, 2.0) == pytest.approx(1e6 / 86400 / 2)
    assert "| 1000 | 2000 | 60.0 | 200 % |" in report(STAGES, CLUSTER)
