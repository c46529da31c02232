"""From the rounds' numbers to figures, and from these to a table and JSON.

A ratio is the median over the rounds, each divided by nginx's number of the same round. Rounds in
which others used too much of the machine are left out; where too few are left, all are taken and
the figure is marked. A round in which nginx's added delay was not above zero says nothing.
"""

import statistics
from dataclasses import asdict, dataclass

import load

LEAST_ROUNDS = 5
UNMEASURED = "–"


@dataclass
class Figure:
    value: float
    low: float
    high: float
    used: int
    run: int
    disturbed: bool


def round_values(row, rounds, name):
    """(value, disturbance) of each round that says something."""
    for entry in rounds:
        values = entry["values"].get(row.key, {})
        mine, base = values.get(name), values.get("nginx")
        if mine is None:
            continue
        if not row.ratio:
            yield mine, entry["disturbance"]
        elif base is not None and base > 0:
            yield mine / base, entry["disturbance"]


def figure(row, rounds, name, wanted):
    found = list(round_values(row, rounds, name))
    if not found:
        return None
    calm = [v for v, d in found if d < load.QUIET]
    enough = len(calm) >= min(wanted, LEAST_ROUNDS, len(found)) if row.ratio else True
    use = calm if enough and calm else [v for v, _ in found]
    return Figure(statistics.median(use), min(use), max(use), len(use), len(found), not enough)


def raw(row, rounds, name):
    numbers = [e["values"].get(row.key, {}).get(name) for e in rounds]
    numbers = [n for n in numbers if n is not None]
    return statistics.median(numbers) if numbers else None


def mark(row, column, f):
    goal = row.goals.get(column)
    if goal is None or f is None:
        return ""
    return "✓" if (f.value >= goal if row.least else f.value <= goal) else "✗ falls short"


def number(v, digits):
    return UNMEASURED if v is None else f"{v:,.{digits}f}"


def figure_text(row, f):
    if f is None:
        return UNMEASURED
    if row.key == "lock-waits" and f.value < row.goals["bare"]:
        text = "0"
    else:
        text = number(f.value, 2 if row.ratio else row.digits)
    return text + ("*" if f.disturbed else "")


def goal_text(row, column):
    goal = row.goals.get(column)
    if goal is None:
        return ""
    return "0" if row.key == "lock-waits" else f"{'≥' if row.least else '≤'} {goal:g}"


class Table:
    """rows: of the cases that ran; rounds: case key -> entries; peers: all that took part."""

    def __init__(self, cases, rounds, peers, streams, wanted):
        self.rounds, self.peers, self.wanted, self.streams = rounds, peers, wanted, streams
        self.rows = [(c, r) for c in cases if rounds.get(c.key) for r in c.rows]
        self.columns = [p for p in peers if p.ours]
        self.extras = [p for p in peers if p.command and not p.ours and p.name != "nginx"]

    def _figure(self, case, row, peer):
        return figure(row, self.rounds[case.key], peer.name, self.wanted)

    def _title(self, text):
        return text.format(streams=self.streams)

    def _spread(self, f):
        return f"{f.low:.2f}–{f.high:.2f} ({f.used}/{f.run})" if f and f.run > 1 else ""

    def goals_lines(self):
        head = ["case", "measure"]
        for peer in self.columns:
            head += [f"{peer.column}: goal", "figure", "", "min–max (rounds)", "itself"]
        lines = [head + ["nginx itself"]]
        for case, row in self.rows:
            rounds = self.rounds[case.key]
            line = [self._title(row.case), self._title(row.measure)]
            for peer in self.columns:
                f = self._figure(case, row, peer)
                line += [goal_text(row, peer.column), figure_text(row, f),
                         mark(row, peer.column, f), self._spread(f) if row.ratio else "",
                         self._itself(row, raw(row, rounds, peer.name))]
            lines.append(line + [self._itself(row, raw(row, rounds, "nginx"))])
        return lines

    def _itself(self, row, v):
        return UNMEASURED if v is None else f"{number(v, row.digits)} {row.unit}".strip()

    def peer_lines(self):
        lines = [["case", "measure"] + [p.name for p in self.extras]]
        for case, row in self.rows:
            lines.append([self._title(row.case), self._title(row.measure)]
                         + [figure_text(row, self._figure(case, row, p)) for p in self.extras])
        return lines

    def text(self):
        parts = [layout(self.goals_lines())]
        if self.extras:
            parts.append(layout(self.peer_lines()))
        if any("*" in cell for part in parts for cell in part):
            parts.append("* others used the machine in too many rounds (0.3 cores or more); "
                         "do not rely on it")
        return "\n\n".join(parts)

    def json(self):
        rows = []
        for case, row in self.rows:
            figures = {}
            for peer in self.columns + self.extras:
                f = self._figure(case, row, peer)
                figures[peer.name] = f and {**asdict(f), "goal": row.goals.get(peer.column),
                                            "mark": mark(row, peer.column, f)}
            rows.append({"key": row.key, "case": self._title(row.case),
                         "measure": self._title(row.measure), "unit": row.unit,
                         "ratio_to_nginx": row.ratio, "figures": figures,
                         "rounds": [{"disturbance": e["disturbance"],
                                     "values": e["values"].get(row.key, {})}
                                    for e in self.rounds[case.key]]})
        return rows


def layout(lines):
    """Columns of equal width; a case's name stands only in its first row."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    out, previous = [], None
    for n, line in enumerate(lines):
        shown = ["" if line[0] == previous else line[0]] + line[1:]
        previous = line[0]
        out.append("  ".join(c.ljust(w) for c, w in zip(shown, widths)).rstrip())
        if n == 0:
            out.append("─" * (sum(widths) + 2 * len(widths) - 2))
    return "\n".join(out)
