"""Log sinks: what a file, syslog, Splunk and an object store get of each call; and the metrics that
the published documents name."""

import gzip
import json
import re
import signal
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from dialects import CHAT, CHAT_REPLY
from fakes_telemetry import Receiver, Syslog, sigv4_of
from gateway import KEY, TOP, providers_at
from wire import call, http_reply

S3 = {"SMARTFLOW_SINK_S3_ACCESS_KEY_ID": "AKIATEST", "SMARTFLOW_SINK_S3_SECRET_ACCESS_KEY": "s3cr3t/+",
      "SMARTFLOW_SINK_S3_REGION": "eu-central-1", "SMARTFLOW_SINK_S3_INTERVAL": "1s"}


@pytest.fixture
def receiver():
    r = Receiver()
    yield r
    r.stop()


@pytest.fixture
def chat(run, upstream):
    """Makes calls; their request ids."""
    script = upstream.answer(http_reply(200, CHAT_REPLY))

    def do(g, n=1):
        ids = []
        for _ in range(n):
            m = run(call(g.port, "/v1/chat/completions", CHAT, script))
            assert m.status == 200
            ids.append(m.get("x-smartflow-request-id"))
        return ids

    return do


def lines_when(read, n, timeout=20):
    deadline = time.monotonic() + timeout
    while len(read()) < n and time.monotonic() < deadline:
        time.sleep(0.05)
    return read()


def by_id(lines):
    return sorted(lines, key=lambda line: line["request_id"])


def check_lines(lines, ids):
    assert len(lines) == len(ids)
    for line, id_ in zip(by_id(lines), sorted(ids)):
        check_line(line, id_)


def check_line(line, id_):
    assert line["event"] == "call" and line["request_id"] == id_ and line["status"] == 200
    assert line["provider"] == "openai" and KEY not in json.dumps(line)


@pytest.mark.parametrize("how", [{}, {"SMARTFLOW_LOG_FORMAT": "pretty"},
                                 {"SMARTFLOW_LOG_LEVEL": "error"}])
def test_a_file_whatever_the_log_shows(tmp_path, upstream, start, chat, how):
    path = tmp_path / "calls.jsonl"
    g = start(providers_at(upstream.port) | {"SMARTFLOW_SINK_FILE": str(path)} | how)
    ids = chat(g, 3)
    lines = lines_when(lambda: path.read_text().splitlines() if path.exists() else [], 3)
    check_lines([json.loads(line) for line in lines], ids)
    assert path.stat().st_mode & 0o777 == 0o640


def test_files_rotate_by_size(tmp_path, upstream, start, chat):
    path = tmp_path / "calls.jsonl"
    path.write_text("{}\n" * 22000)  # 66 kB: full
    (tmp_path / "calls.jsonl.2").write_text("oldest")
    g = start(providers_at(upstream.port) | {
        "SMARTFLOW_SINK_FILE": str(path), "SMARTFLOW_SINK_FILE_SIZE": "64KiB",
        "SMARTFLOW_SINK_FILE_KEEP": "2"})
    id_, = chat(g)
    full = tmp_path / "calls.jsonl.1"
    lines_when(lambda: [1] * (full.exists() and path.exists() and path.stat().st_size), 1)
    assert full.read_text() == "{}\n" * 22000
    check_line(json.loads(path.read_text()), id_)
    assert not (tmp_path / "calls.jsonl.3").exists()
    path.rename(tmp_path / "moved")  # as logrotate does
    g.signal(signal.SIGHUP)
    assert g.err.wait_for("configuration reloaded")
    id_, = chat(g)
    lines_when(lambda: [1] * (path.exists() and path.stat().st_size), 1)
    check_line(json.loads(path.read_text()), id_)


@pytest.mark.parametrize("kind", ["udp", "tcp", "unix"])
def test_syslog(tmp_path, upstream, start, chat, kind):
    s = Syslog(kind, str(tmp_path / "log") if kind == "unix" else None)
    g = start(providers_at(upstream.port) | {"SMARTFLOW_SINK_SYSLOG": s.address})
    ids = chat(g, 3)
    lines = []
    for frame in s.arrived.wait(3):
        m = re.fullmatch(rb"<134>1 (\S+) (\S+) smartflow (\d+) call - (\{.*\})", frame)
        assert m and int(m[3]) == g.pid, frame
        lines.append(json.loads(m[4]))
        assert lines[-1]["ts"] == m[1].decode()
    check_lines(lines, ids)
    if kind == "tcp":  # a new connection, when the old one was cut
        s.cut()
        id_, = chat(g)
        assert id_.encode() in s.arrived.wait(4)[3]
    s.stop()


def test_splunk(receiver, upstream, start, chat):
    receiver.answers = [(503, {"retry-after": "1"})]
    g = start(providers_at(upstream.port) | {
        "SMARTFLOW_SINK_HEC_URL": receiver.url, "SMARTFLOW_SINK_HEC_TOKEN": "0f3c-token",
        "SMARTFLOW_SINK_HEC_INDEX": "calls", "SMARTFLOW_NODE": "n1"})
    ids = chat(g, 2)
    first, second = receiver.wait(2)
    assert first.body == second.body and second.path == "/services/collector/event"
    assert second.headers["authorization"] == "Splunk 0f3c-token"
    decoder, rest, events = json.JSONDecoder(), second.body.decode(), []
    while rest:
        event, end = decoder.raw_decode(rest)
        events.append(event)
        rest = rest[end:]
    check_lines([e["event"] for e in events], ids)
    for event in events:
        assert event["host"] == "n1" and event["source"] == "smartflow"
        assert event["sourcetype"] == "_json" and event["index"] == "calls"
        when = datetime.fromisoformat(event["event"]["ts"]).timestamp()
        assert abs(event["time"] - when) < 0.0011


def test_objects(receiver, upstream, start, chat):
    receiver.answers = [(500, {})]
    g = start(providers_at(upstream.port) | S3 | {
        "SMARTFLOW_SINK_S3_URL": receiver.url + "/bucket/logs/", "SMARTFLOW_NODE": "n1"})
    ids = chat(g, 2)
    first, second = receiver.wait(2)
    assert first.path == second.path and first.body == second.body
    today = datetime.now(timezone.utc)
    assert re.fullmatch(r"/bucket/logs/\d{4}/\d\d/\d\d/n1/[\dT.-]+-[0-9a-f]{8}\.jsonl\.gz",
                        second.path)
    assert f"/{today:%Y}/" in second.path and second.method == "PUT"
    for r in (first, second):
        given, wanted, parts = sigv4_of(r, S3["SMARTFLOW_SINK_S3_SECRET_ACCESS_KEY"],
                                        "eu-central-1", "s3")
        assert given == wanted and parts["Credential"].startswith("AKIATEST/")
        assert {"host", "x-amz-date", "x-amz-content-sha256"} <= set(
            parts["SignedHeaders"].split(";"))
    assert second.headers["content-encoding"] == "gzip"
    lines = gzip.decompress(second.body).decode().splitlines()
    check_lines([json.loads(line) for line in lines], ids)
    id_, = chat(g)
    g.stop()  # does not wait for its interval
    assert id_ in gzip.decompress(receiver.wait(3)[2].body).decode()


def test_objects_of_temporary_keys(receiver, upstream, start, chat):
    g = start(providers_at(upstream.port) | S3 | {
        "SMARTFLOW_SINK_S3_URL": receiver.url + "/bucket",
        "SMARTFLOW_SINK_S3_SESSION_TOKEN": "t/0ken=="})
    chat(g)
    sent = receiver.wait(1)[0]
    given, wanted, parts = sigv4_of(sent, S3["SMARTFLOW_SINK_S3_SECRET_ACCESS_KEY"],
                                    "eu-central-1", "s3")
    assert given == wanted and sent.headers["x-amz-security-token"] == "t/0ken=="
    assert "x-amz-security-token" in parts["SignedHeaders"].split(";")


def test_a_sink_that_is_away_costs_no_call(unused_port, upstream, start, chat):
    g = start(providers_at(upstream.port) | {
        "SMARTFLOW_SINK_SYSLOG": f"tcp://127.0.0.1:{unused_port}",
        "SMARTFLOW_SINK_FILE": "/nonexistent/calls.jsonl"})
    began = time.monotonic()
    chat(g, 20)
    assert time.monotonic() - began < 10
    assert g.err.wait_for('"sink":"syslog"') and g.err.wait_for('"sink":"file"')


def test_bad_settings_are_said(upstream, start, chat):
    g = start(providers_at(upstream.port) | {
        "SMARTFLOW_SINK_SYSLOG": "localhost:514", "SMARTFLOW_SINK_HEC_URL": "http://127.0.0.1:1",
        "SMARTFLOW_SINK_S3_URL": "http://127.0.0.1:1/b"})
    for name in ("SMARTFLOW_SINK_SYSLOG", "SMARTFLOW_SINK_HEC_URL", "SMARTFLOW_SINK_S3_URL"):
        assert g.err.wait_for(name + " is of no use")
    chat(g)


# --- metrics ---

NAMED = """
smartflow_requests_total smartflow_request_latency_seconds smartflow_cache_hits_total
smartflow_cache_misses_total smartflow_provider_errors_total smartflow_tokens_total
smartflow_cost_usd_total smartflow_mcp_calls_total smartflow_vkey_spend_usd
smartflow_latency_p50_seconds smartflow_latency_p90_seconds smartflow_latency_p99_seconds
smartflow_tokens_input_total smartflow_tokens_output_total smartflow_cache_hit_rate
smartflow_cache_size_bytes
""".split()


def seed_names():
    """What the published documents themselves name, where they lie beside the repository."""
    found = set()
    for path in sorted((Path(TOP).parent / "shared" / "seeds").glob("00[14]_*.txt")):
        for name in re.findall(r"smartflow_\w+", path.read_text(errors="replace")):
            found.add(name)
    return found


def test_every_named_metric_is_there(upstream, start, chat):
    g = start(providers_at(upstream.port))
    chat(g)
    g.err.wait_for('"event":"call"')
    page = g.get("/metrics")[1].decode()
    families = set(re.findall(r"^# TYPE (\w+) ", page, re.M))
    assert not set(NAMED) - families
    for name in seed_names() - {"smartflow_token"}:  # a cookie
        assert any(f.startswith(name) for f in families), name
    rows = dict(x.rsplit(" ", 1) for x in page.splitlines() if x and x[0] != "#")
    assert int(rows["smartflow_tokens_input_total"]) > 0
    spend = {k: v for k, v in rows.items() if k.startswith("smartflow_vkey_spend_usd{")}
    assert len(spend) == 1 and float(*spend.values()) > 0
    assert rows['smartflow_cache_hits_total{tier="L1"}'] == "0"
