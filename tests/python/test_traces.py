"""Traces: what an OpenTelemetry collector gets, and traceparent in and out."""

import json
import re

import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp

from dialects import CHAT, CHAT_REPLY, CHAT_STREAM_USAGE
from fakes_telemetry import Receiver
from gateway import KEY, providers_at
from wire import call, http_reply

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
STREAM = CHAT | {"stream": True}
SERVER, CLIENT = 2, 3


@pytest.fixture
def collector():
    r = Receiver()
    yield r
    r.stop()


def decode(request):
    message = otlp.ExportTraceServiceRequest()
    message.ParseFromString(request.body)
    assert len(message.SerializeToString()) == len(request.body)  # shortest form, nothing else
    return message


def value(v):
    return getattr(v, v.WhichOneof("value"))


def attributes(span):
    return {a.key: value(a.value) for a in span.attributes}


def spans_of(collector, n):
    """The first n spans, once they are there."""
    requests = 1
    while True:
        found = [s for r in collector.wait(requests) for rs in decode(r).resource_spans
                 for ss in rs.scope_spans for s in ss.spans]
        if len(found) >= n:
            return found
        requests += 1


def settings(collector, upstream, **more):
    return providers_at(upstream.port) | {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                                          "SMARTFLOW_NODE": "n1"} | more


def parent_sent(upstream, script):
    return upstream.seen[script][0].get("traceparent")


def test_a_call_and_its_attempt(collector, run, upstream, start):
    g = start(settings(collector, upstream, OTEL_SERVICE_NAME="gate", OTEL_EXPORTER_OTLP_HEADERS=
                       "x-tenant=a%20b,authorization=Basic%20abc"))
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    m = run(call(g.port, "/v1/chat/completions", CHAT, script,
                 [("traceparent", PARENT), ("tracestate", "v=1,w=2")]))
    server, client = spans_of(collector, 2)
    request = collector.wait()[0]
    assert request.path == "/v1/traces" and request.method == "POST"
    assert request.headers["content-type"] == "application/x-protobuf"
    assert request.headers["x-tenant"] == "a b"
    assert request.headers["authorization"] == "Basic abc"
    resource = decode(request).resource_spans[0].resource
    named = {a.key: value(a.value) for a in resource.attributes}
    assert named["service.name"] == "gate" and named["service.instance.id"] == "n1"

    assert (server.kind, client.kind) == (SERVER, CLIENT)
    assert server.trace_id.hex() == client.trace_id.hex() == TRACE
    assert server.parent_span_id.hex() == "00f067aa0ba902b7"
    assert client.parent_span_id == server.span_id
    assert parent_sent(upstream, script) == f"00-{TRACE}-{client.span_id.hex()}-01"
    assert upstream.seen[script][0].get("tracestate") == "v=1,w=2"
    start_ns, end_ns = server.start_time_unix_nano, server.end_time_unix_nano
    assert start_ns <= client.start_time_unix_nano <= client.end_time_unix_nano <= end_ns
    assert [e.name for e in client.events] == ["first_byte"]

    got = attributes(client)
    assert client.name == f"chat {CHAT['model']}"
    assert got["gen_ai.operation.name"] == "chat" and got["gen_ai.provider.name"] == "openai"
    assert got["gen_ai.request.model"] == CHAT["model"]
    assert got["gen_ai.response.model"] == json.loads(CHAT_REPLY)["model"]
    assert got["gen_ai.usage.input_tokens"] > 0 and got["gen_ai.usage.output_tokens"] > 0
    assert got["server.address"] == "127.0.0.1" and got["server.port"] == upstream.port
    assert got["http.response.status_code"] == 200
    got = attributes(server)
    assert got["smartflow.request_id"] == m.get("x-smartflow-request-id")
    assert got["http.response.status_code"] == 200 and got["smartflow.outcome"] == "ok"
    assert got["smartflow.stage.call.us"] > 0 and "smartflow.stage.authenticate.us" in got
    assert KEY.encode() not in request.body


def test_a_trace_of_its_own(collector, run, upstream, start):
    g = start(settings(collector, upstream))
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    m = run(call(g.port, "/v1/chat/completions", CHAT, script,
                 [("traceparent", "00-" + "0" * 32 + "-00f067aa0ba902b7-01"), ("tracestate", "v=1")]))
    server, client = spans_of(collector, 2)
    assert not server.parent_span_id and server.trace_id.hex() != "0" * 32
    assert parent_sent(upstream, script) == (
        f"00-{server.trace_id.hex()}-{client.span_id.hex()}-01")
    assert upstream.seen[script][0].get("tracestate") is None
    g.err.wait_for(m.get("x-smartflow-request-id"))
    line, = [x for x in g.log() if x.get("request_id") == m.get("x-smartflow-request-id")]
    assert line["trace_id"] == server.trace_id.hex()


def test_failures_and_refusals(collector, run, upstream, start):
    g = start(settings(collector, upstream))
    run(call(g.port, "/v1/chat/completions", CHAT,
             upstream.answer(http_reply(503, b'{"error":{"message":"no"}}'))))
    server, client = spans_of(collector, 2)
    assert server.status.code == client.status.code == 2
    assert attributes(client)["error.type"] == "503"
    run(call(g.port, "/v1/chat/completions", {"model": "nobody/has-this", "messages": []}))
    refused = spans_of(collector, 3)[2]
    assert refused.kind == SERVER and refused.status.code == 0  # the caller's fault
    assert attributes(refused)["smartflow.outcome"] == "refused"


def test_streams_tell_their_first_chunk(collector, run, upstream, start):
    g = start(settings(collector, upstream))
    run(call(g.port, "/v1/chat/completions", STREAM, upstream.answer(
        http_reply(200, CHAT_STREAM_USAGE, type_="text/event-stream", framing="chunked"))))
    client = spans_of(collector, 2)[1]
    got = attributes(client)
    assert got["gen_ai.request.stream"] is True
    assert 0 <= got["gen_ai.response.time_to_first_chunk"] < 10


@pytest.mark.parametrize("sampler,parent,flag", [
    ("parentbased_traceidratio", PARENT, "01"), ("parentbased_traceidratio", None, "00"),
    ("parentbased_always_on", PARENT[:-2] + "00", "00"), ("always_on", PARENT[:-2] + "00", "01"),
    ("always_off", PARENT, "00"), ("traceidratio", PARENT, "00")])
def test_sampling(collector, run, upstream, start, sampler, parent, flag):
    g = start(settings(collector, upstream, OTEL_TRACES_SAMPLER=sampler,
                       OTEL_TRACES_SAMPLER_ARG="0"))
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    run(call(g.port, "/v1/chat/completions", CHAT, script,
             [("traceparent", parent)] if parent else []))
    sent = parent_sent(upstream, script)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-" + flag, sent) and sent != parent
    g.stop()  # what there is goes out before the end
    assert collector.count() == (1 if flag == "01" else 0)


def test_without_a_collector_it_passes_as_it_came(run, upstream, start):
    g = start(providers_at(upstream.port))
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    run(call(g.port, "/v1/chat/completions", CHAT, script,
             [("traceparent", PARENT), ("tracestate", "v=1")]))
    assert parent_sent(upstream, script) == PARENT
    assert upstream.seen[script][0].get("tracestate") == "v=1"


def test_a_collector_that_is_away_costs_no_call(collector, run, upstream, start):
    collector.answers = [(503, {"retry-after": "1"}), (429, {"retry-after": "1"})]
    g = start(settings(collector, upstream))
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    for _ in range(3):
        assert run(call(g.port, "/v1/chat/completions", CHAT, script)).status == 200
    spans = []
    for r in collector.wait(3):
        spans.append([s.span_id for s in decode(r).resource_spans[0].scope_spans[0].spans])
    assert spans[0] == spans[1] == spans[2]  # the same again, until it was taken
    assert g.err.wait_for("traces cannot be sent") and g.err.wait_for("traces are sent again")


def test_bad_settings_are_said(run, upstream, start):
    g = start(providers_at(upstream.port) | {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"})
    assert g.err.wait_for("OTEL_EXPORTER_OTLP_ENDPOINT is of no use")
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    m = run(call(g.port, "/v1/chat/completions", CHAT, script, [("traceparent", PARENT)]))
    assert m.status == 200 and parent_sent(upstream, script) == PARENT
    assert json.loads(m.body)
