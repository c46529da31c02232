"""Fixtures that the Python tests share. See gateway.py and wire.py; for SDKs sdk_fixtures.py,
for Redis and PostgreSQL servers.py."""

import asyncio
import itertools
import socket

import pytest

from gateway import Gateway, providers_at
from wire import RawUpstream

pytest_plugins = ["sdk_fixtures", "servers"]


@pytest.fixture(scope="session")
def run():
    """Runs a coroutine on the session's loop, which the upstreams live on, too."""
    loop = asyncio.new_event_loop()

    def do(coroutine, limit=120):
        return loop.run_until_complete(asyncio.wait_for(coroutine, limit))

    yield do
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


@pytest.fixture(scope="session")
def upstream(run):
    up = run(RawUpstream().start())
    yield up
    run(up.stop())


@pytest.fixture(scope="session")
def gateway(tmp_path_factory, upstream):
    """One gateway before the scripted upstream, for tests that need no settings of their own."""
    g = Gateway(tmp_path_factory.mktemp("gateway"), providers_at(upstream.port))
    yield g
    g.stop()


@pytest.fixture(scope="session")
def hasty(tmp_path_factory, upstream):
    """One with short time-outs and small limits."""
    g = Gateway(tmp_path_factory.mktemp("hasty"), providers_at(upstream.port) | {
        "SMARTFLOW_HEAD_TIMEOUT": "300ms", "SMARTFLOW_BODY_TIMEOUT": "300ms",
        "SMARTFLOW_FIRST_BYTE_TIMEOUT": "400ms", "SMARTFLOW_BETWEEN_BYTES_TIMEOUT": "400ms",
        "SMARTFLOW_MAX_BODY": "64KiB", "SMARTFLOW_MAX_UPLOAD": "128KiB",
        "SMARTFLOW_MAX_HEAD": "8KiB"})
    yield g
    g.stop()


@pytest.fixture
def start(tmp_path):
    """Starts gateways with settings of a test's own; at the end all are ended, and checked."""
    started, number = [], itertools.count()

    def do(env=None, **how):
        started.append(Gateway(tmp_path / f"gateway{next(number)}", env, **how))
        return started[-1]

    yield do
    for g in started:
        g.stop()


@pytest.fixture
def unused_port():
    """A port of the loopback that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield s.getsockname()[1]
