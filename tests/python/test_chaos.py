"""Redis or PostgreSQL stopped, paused, killed and started empty, under load: nobody's call fails for
it, the log does not flood, all is well again within seconds, and the sums are exact afterwards.

The bounds on time are those of a sanitized program on a busy machine; tools/campaign_chaos shows
the real figures.
"""

import time

import pytest

from chaos import (DISASTERS, UNKNOWN_KEY, Cluster, quantile, status, until,
                   until_unknown_key_gets)
from test_crash import metric

SLOWER = 0.6  # seconds that the 99th percentile of a phase may be beyond that before
BACK = 5      # seconds to full recovery


def well(cluster, server, disaster, words):
    """Under load: before, while it happens, after. The durations of the three phases' calls."""
    cluster.begin()
    cluster.phase(1)
    before = cluster.phase(2)
    began = time.monotonic()
    disaster(server)
    back = time.monotonic()
    until(lambda: not any(cluster.away(g) for g in cluster.gateways), BACK, "not back in time")
    until(lambda: cluster.phase(0.2), BACK, "no calls")
    ended = time.monotonic()
    after = cluster.phase(1)
    cluster.end()
    during = [a.took for a in cluster.answers(began, ended)]
    assert cluster.failures() == []
    assert len(before) > 20 and len(during) > 20 and len(after) > 20
    assert quantile(during, 0.99) <= quantile(before, 0.99) + SLOWER
    assert quantile(after, 0.99) <= quantile(before, 0.99) + SLOWER
    lines = cluster.log_lines(words)
    assert max(lines.values(), default=0) <= 1, lines
    return ended - back


@pytest.fixture
def cluster(request, tmp_path, redis, postgres):
    c = Cluster(tmp_path, redis, postgres, request.param)
    yield c
    redis.resume()
    postgres.resume()
    for server in (redis, postgres):
        if not server.child:
            server.start()
    c.stop()


@pytest.mark.parametrize("disaster", DISASTERS)
@pytest.mark.parametrize("cluster", [3], indirect=True)
def test_redis_goes_away(cluster, redis, disaster):
    well(cluster, redis, DISASTERS[disaster], ["redis"])
    assert cluster.wrong_sums(BACK) == []
    for g in cluster.gateways:
        assert metric(g, "smartflow_shared_store_up") == 1
        assert metric(g, "smartflow_shared_store_losses_total") >= 1


@pytest.mark.parametrize("disaster", DISASTERS)
@pytest.mark.parametrize("cluster", [1], indirect=True)
def test_postgres_goes_away(cluster, postgres, disaster):
    g = cluster.gateways[0]
    assert status(g, UNKNOWN_KEY) == 401
    well(cluster, postgres, DISASTERS[disaster], ["database", "postgres", "store"])
    assert cluster.wrong_sums(BACK) == []
    until_unknown_key_gets(g, 401, BACK)


@pytest.mark.parametrize("how", ["stop", "pause"])
@pytest.mark.parametrize("server", ["redis", "postgres"])
@pytest.mark.parametrize("cluster", [1], indirect=True)
def test_readiness_names_what_is_away(cluster, server, how, request):
    g, server = cluster.gateways[0], request.getfixturevalue(server)
    name = {"Redis": "redis", "Postgres": "postgresql"}[type(server).__name__]
    assert cluster.away(g) == []
    getattr(server, how)()
    until(lambda: cluster.away(g) == [name], BACK, f"readiness does not name {name}")
    if name == "postgresql":
        until_unknown_key_gets(g, 503, BACK)
    assert status(g, cluster.keys[0]) == 400  # a known one, of an empty call
    server.resume() if how == "pause" else server.start()
    until(lambda: cluster.away(g) == [], BACK, f"{name} is named still")
    until_unknown_key_gets(g, 401, BACK)
