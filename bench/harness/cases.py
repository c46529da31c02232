"""The rows of the performance table and how each is measured.

A case is a function that takes the bench and the peers in the order of this round, and returns for
each of its rows one number a peer, as measured: {row key: {peer name: number}}. What a number means
and which goal it has stands in the row. A ratio is made in table.py, round by round, against nginx.

A new column of the table (see peers.COLUMNS) needs a goal in the rows here and nothing else; a new
row needs a function and a Case.
"""

import copy
import statistics
import time
from dataclasses import dataclass, field

import hotpath
import load
import machine
import peers as peers_module

EVENTS = 34  # of a stream: 32 with content, the stop event and [DONE]
CLOSED = ("-m", "closed", "-c", 64)
STREAM = ("-s", "-x", "mock:chunks=32")


@dataclass
class Row:
    key: str
    case: str
    measure: str
    goals: dict  # column -> the most that is allowed (or the least); empty: for orientation
    ratio: bool = True  # to nginx's; otherwise the number itself
    unit: str = ""  # of the number itself
    digits: int = 1
    least: bool = False  # its goals are the least that is allowed


@dataclass
class Case:
    key: str
    run: object
    rows: list = field(default_factory=list)
    once: bool = False  # counts that need no rounds; the peers are started for it alone
    seconds: float = 0  # about how long it takes with two peers, for the estimate


def goals(bare, control=None, all_on=None):
    named = {"bare": bare, "control": control, "all on": all_on}
    return {k: v for k, v in named.items() if v is not None}


# -- CPU ---------------------------------------------------------------------------------------------


def cpu_per(bench, peers, args, per_request=1):
    """CPU microseconds of the proxy per request, with as many requests as it can take."""
    values = {}
    for peer in peers:
        if peer.command:
            report = bench.quiet(peer, *CLOSED, *args)
            if report:
                values[peer.name] = report["cpu"] / (report["ok"] * per_request) * 1e6
    return values


def chat_cpu(bench, peers):
    return {"chat-cpu": cpu_per(bench, peers, ("-b", 1024))}


def big_chat_cpu(bench, peers):
    return {"chat-30k-cpu": cpu_per(bench, peers, ("-b", 30 * 1024))}


def stream_cpu(bench, peers):
    return {"stream-cpu": cpu_per(bench, peers, STREAM, EVENTS)}


# What the client speaks, and the provider that speaks something else.
TRANSLATED = {"to-anthropic": (peers_module.CHAT, "anthropic"),
              "from-anthropic": ("/anthropic/v1/messages", "openai")}


def sent(peer, path, provider):
    """The same peer, asked at that path for that provider."""
    other = copy.copy(peer)
    other.url = f"http://127.0.0.1:{peer.port}{path}"
    other.request_headers = [f"x-smartflow-provider: {provider}"]
    return other


def translated_cpu(bench, peers):
    """Times what an untranslated call costs in the same process and round."""
    values = {f"translated-{what}-{way}": {} for what in ("chat", "stream") for way in TRANSLATED}
    for peer in (p for p in peers if p.ours):
        for what, args in (("chat", ("-b", 1024)), ("stream", STREAM)):
            plain = cpu_per(bench, [peer], args).get(peer.name)
            for way, (path, provider) in TRANSLATED.items():
                took = cpu_per(bench, [sent(peer, path, provider)], args).get(peer.name)
                if plain and took:
                    values[f"translated-{what}-{way}"][peer.name] = took / plain
    return values


# -- what the journal and further nodes take ---------------------------------------------------------


def with_limits(peers):
    return [p for p in peers if p.column == "control"]


def journal(bench, peers):
    """Requests a second beside those of the same program without a journal."""
    values = {}
    for peer in with_limits(peers):
        without = peer.sibling("without journal", {"SMARTFLOW_JOURNAL": "off"})
        with bench.stand.having([without]):
            rates = [bench.quiet(p, *CLOSED, "-b", 1024) for p in (peer, without)]
        if all(rates):
            values[peer.name] = rates[0]["rps"] / rates[1]["rps"]
    return {"journal": values}


def cost_of_nodes(bench, peer, n):
    """CPU seconds a request of n nodes over one Redis; whose own are not in it."""
    with bench.stand.redis() as port:
        nodes = [peer.node(f"node {i}", port) for i in range(n)]
        with bench.stand.having(nodes):
            report = bench.quiet_together(nodes, "-m", "closed", "-c", 66 // n, "-b", 1024)
    return report and report["cpu"] / report["ok"]


def three_nodes(bench, peers):
    """What a core of three nodes serves beside a core of one, all over a Redis."""
    values = {}
    for peer in with_limits(peers):
        one, three = cost_of_nodes(bench, peer, 1), cost_of_nodes(bench, peer, 3)
        if one and three:
            values[peer.name] = one / three
    return {"nodes": values}


# -- delay -------------------------------------------------------------------------------------------


def added(bench, peers, args, what, quantile):
    """Microseconds on top of what the same load takes without a proxy, in the same round."""
    reports = {p.name: bench.quiet(p, "-m", "rate", *args) for p in peers}
    direct = reports.pop("direct", None)
    values = {}
    for name, report in reports.items():
        if report and direct and not report["unfinished"]:
            values[name] = {q: report[what][q] - direct[what][q] for q in quantile}
    return values


def split(values, prefix, quantiles):
    return {f"{prefix}-{q}": {n: v[q] for n, v in values.items()} for q in quantiles}


def chat_delay(rate):
    def run(bench, peers):
        values = added(bench, peers, ("-r", rate, "-c", 64), "latency_us", ("p50", "p99"))
        return split(values, f"delay-{rate}", ("p50", "p99"))
    return run


def first_event(bench, peers):
    args = ("-r", 200, "-c", 128, "-s", "-x", "mock:chunks=32,interval=10")
    values = added(bench, peers, args, "first_event_us", ("p50", "p99"))
    return split(values, "first-event", ("p50", "p99"))


# -- memory ------------------------------------------------------------------------------------------


def hold_args(bench, peer, directions, rate):
    many = bench.streams if peer.ours or peer.name == "nginx" else min(bench.streams, 500)
    return ("-m", "hold", "-c", many, "-r", rate, "-d", 600, "-w", 0, "-s", "-x", directions)


def idle_streams(bench, peers):
    """Open streams that bring one small event every five seconds; proportional memory, so that what
    several processes share counts once. Before it: some streams, so that pools are filled."""
    def measure(peer):
        bench.loader.once(peer, "-m", "closed", "-c", 4, "-d", 0.5, "-w", 0, *STREAM)
        _, before = machine.memory_kib(bench.stand.pids(peer))
        args = hold_args(bench, peer, "mock:chunks=1000,interval=5000", 3000)
        with bench.loader.hold(peer, args, 90) as held:
            time.sleep(bench.settle)
            _, after = machine.memory_kib(bench.stand.pids(peer))
            return (after - before) / held.open

    return {"idle-stream": bench.alone(peers, measure)}


def slow_readers(bench, peers):
    """Each stream has a first burst of 1 MiB; half of the clients never read on. The most that is
    resident from then on counts."""
    def measure(peer):
        args = hold_args(bench, peer, "mock:chunks=5000,burst=1024,pad=1024,interval=5000", 2000)
        with bench.loader.hold(peer, args + ("-N", 0.5), 120):
            return most_resident(bench, peer) / 1024

    return {"slow-readers": bench.alone(peers, measure)}


def most_resident(bench, peer):
    """The largest of what is resident at any time while things settle, in KiB."""
    most = 0
    until = time.monotonic() + 2 * bench.settle
    while time.monotonic() < until:
        most = max(most, machine.memory_kib(bench.stand.pids(peer))[0])
        time.sleep(0.5)
    return most


def idle_process(bench, peers):
    def measure(peer):
        time.sleep(1)
        return machine.memory_kib(bench.stand.pids(peer))[0] / 1024

    return {"idle-process": bench.alone(peers, measure)}


# -- start -------------------------------------------------------------------------------------------


def cold_start(bench, peers):
    """From the start of the process to the end of its first answer; the median of five starts, or
    of one for those that take long. Only the program is cold, not the page cache."""
    times = {p.name: [] for p in peers if p.command}
    watch = machine.Disturbance([bench.stand.mock.pid]).start()
    before = machine.ended_children_seconds()
    for peer in peers * 5:
        if peer.command and sum(times[peer.name]) < 1000:
            bench.restart(peer, times[peer.name])
    bench.disturbed(watch.cores(machine.ended_children_seconds() - before))
    return {"cold-start": {n: statistics.median(t) for n, t in times.items() if t}}


# -- hot path ----------------------------------------------------------------------------------------


def hot_path(bench, peers):
    some = [p for p in peers if p.ours or p.name == "nginx"]
    rows = {"allocations": {}, "allocated": {}, "lock-waits": {}, "system-calls": {}}
    for peer in some:
        count, size = hotpath.count_allocations(bench, peer, bench.seconds)
        rows["allocations"][peer.name], rows["allocated"][peer.name] = count, size
    calls = bench.alone(some, lambda p: hotpath.count_calls(bench, p, bench.seconds))
    for name, (count, waits) in calls.items():
        rows["system-calls"][name], rows["lock-waits"][name] = count, waits
    return rows


LOCKS_NONE = 0.001  # below this a count of lock waits is called 0

CHAT = "1 KB chat, not streamed"
DELAY = goals(1.5, 1.8, 2)
STREAM_TITLE = f"stream, {EVENTS} events"

CASES = [
    Case("cold-start", cold_start, [
        Row("cold-start", "cold start", "to first answer ÷ nginx's", goals(2, 3, 10), unit="ms"),
    ], seconds=1),
    Case("chat", chat_cpu, [
        Row("chat-cpu", CHAT, "CPU per request ÷ nginx's", goals(1.2, 1.45, 1.6), unit="µs"),
    ], seconds=2),
    *[Case(f"delay-{rate}", chat_delay(rate), [
        Row(f"delay-{rate}-{q}", CHAT, f"added at {rate:,}/s, {q} ÷ nginx's", DELAY, unit="µs",
            digits=0) for q in ("p50", "p99")
    ], seconds=3) for rate in (1000, 5000)],
    Case("chat-30k", big_chat_cpu, [
        Row("chat-30k-cpu", "30 KB chat", "CPU per request ÷ nginx's", goals(1.3, 1.7, 2),
            unit="µs"),
    ], seconds=2),
    Case("stream", stream_cpu, [
        Row("stream-cpu", STREAM_TITLE, "CPU per event ÷ nginx's", goals(1.5, 1.7, 2), unit="µs",
            digits=2),
    ], seconds=2),
    Case("translated", translated_cpu, [
        Row(f"translated-{what}-{way}", f"translated, {shown}",
            f"CPU per {per} ÷ untranslated", goals(most), False, "", 2)
        for way, shown in (("to-anthropic", "OpenAI to Anthropic"),
                           ("from-anthropic", "Anthropic to OpenAI"))
        for what, per, most in (("chat", "request", 1.5), ("stream", "event", 2))
    ], seconds=6),
    Case("journal", journal, [
        Row("journal", CHAT, "requests/s with ÷ without the journal", goals(None, 0.9), False, "", 2,
            least=True),
    ], seconds=2),
    Case("nodes", three_nodes, [
        Row("nodes", "three nodes over one Redis", "requests per core ÷ one node's",
            goals(None, 0.85), False, "", 2, least=True),
    ], seconds=3),
    Case("first-event", first_event, [
        Row("first-event-p50", STREAM_TITLE, "added to first event, p50 ÷ nginx's", {}, unit="µs",
            digits=0),
        Row("first-event-p99", STREAM_TITLE, "added to first event, p99 ÷ nginx's", DELAY,
            unit="µs", digits=0),
    ], seconds=3),
    Case("idle-process", idle_process, [
        Row("idle-process", "idle process", "resident MiB", goals(16, 20, 24), False, "MiB"),
    ], once=True),
    Case("idle-streams", idle_streams, [
        Row("idle-stream", "idle open stream", "KiB each, {streams:,} open", goals(12, 12, 12),
            False, "KiB"),
    ], once=True),
    Case("slow-readers", slow_readers, [
        Row("slow-readers", "{streams:,} streams, half not read", "resident MiB",
            goals(256, 256, 256), False, "MiB", 0),
    ], once=True),
    Case("hot-path", hot_path, [
        Row("allocations", "hot path, steady state", "heap allocations per request",
            goals(2, 4, 6), False, "", 3),
        Row("lock-waits", "hot path, steady state", "lock waits per request",
            goals(LOCKS_NONE, LOCKS_NONE, LOCKS_NONE), False, "", 4),
        Row("system-calls", "hot path, steady state", "system calls per request", {}, False, "", 2),
        Row("allocated", "hot path, steady state", "bytes allocated per request", {}, False, "", 0),
    ], once=True),
]
