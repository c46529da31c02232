"""What is told of a call besides its answer: trailers, trace ids, the log line, quantiles."""

import time

from dialects import CHAT, CHAT_REPLY, CHAT_STREAM_USAGE
from gateway import providers_at
from wire import call, http_reply

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
STREAM = CHAT | {"stream": True}


def stream_reply():
    return http_reply(200, CHAT_STREAM_USAGE, type_="text/event-stream", framing="chunked")


def line_of(g, message):
    """The call's log line, once it is written."""
    wanted, deadline = message.get("x-smartflow-request-id"), time.monotonic() + 10
    while time.monotonic() < deadline:
        for line in g.log():
            if line.get("request_id") == wanted:
                return line
        g.err.wait_for(wanted)
    raise AssertionError("no log line")


def test_a_stream_tells_its_cost_in_a_trailer_when_asked(run, upstream, start):
    g = start(providers_at(upstream.port))
    m = run(call(g.port, "/v1/chat/completions", STREAM, upstream.answer(stream_reply()),
                 [("TE", "trailers")]))
    trailers = {n.lower(): v for n, v in m.trailers}
    assert m.complete and "x-smartflow-cost-usd" in m.get("trailer")
    line = line_of(g, m)
    assert float(trailers["x-smartflow-cost-usd"]) == line["cost_nano_usd"] / 1e9 > 0
    assert trailers["x-smartflow-response-cost"] == trailers["x-smartflow-cost-usd"]


def test_no_trailer_unless_asked(run, upstream, start):
    g = start(providers_at(upstream.port))
    m = run(call(g.port, "/v1/chat/completions", STREAM, upstream.answer(stream_reply())))
    assert m.complete and not m.trailers and m.get("trailer") is None


def test_the_trace_id_is_passed_on_and_logged(run, upstream, start):
    g = start(providers_at(upstream.port))
    script = upstream.answer(http_reply(200, CHAT_REPLY))
    m = run(call(g.port, "/v1/chat/completions", CHAT, script, [("traceparent", PARENT)]))
    assert line_of(g, m)["trace_id"] == TRACE
    assert upstream.seen[script][0].get("traceparent") == PARENT
    m = run(call(g.port, "/v1/chat/completions", STREAM, upstream.answer(stream_reply()),
                 [("traceparent", PARENT), ("x-smartflow-trace-id", "mine-1")]))
    assert line_of(g, m)["trace_id"] == "mine-1"


def test_quantiles_stand_beside_the_histogram(run, upstream, start):
    g = start(providers_at(upstream.port))
    m = run(call(g.port, "/v1/chat/completions", CHAT,
                 upstream.answer(http_reply(200, CHAT_REPLY))))
    line_of(g, m)  # a call is counted behind its reply, and logged last
    status, body = g.get("/metrics")
    rows = dict(x.rsplit(" ", 1) for x in body.decode().splitlines() if x and x[0] != "#")
    values = [float(rows[f"smartflow_latency_p{q}_seconds"]) for q in (50, 90, 99)]
    assert status == 200 and 0 < values[0] <= values[1] <= values[2]
