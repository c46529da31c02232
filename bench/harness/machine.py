"""What the kernel says about processes and the machine: CPU time, memory, who else is at work."""

import os
import resource
import time

TICK = os.sysconf("SC_CLK_TCK")


def process_tree(pid):
    """The process and all that descend from it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            parent = _parent(entry)
            if parent is not None:
                children.setdefault(parent, []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        found.append(p)
        todo += children.get(p, [])
    return found


def _stat_fields(pid):
    with open(f"/proc/{pid}/stat") as f:
        text = f.read()
    return text[text.rindex(")") + 2:].split()


def _parent(pid):
    try:
        return int(_stat_fields(pid)[1])
    except OSError:
        return None


def _thread_seconds(pid):
    """Run time of a process to the nanosecond. utime and stime are this too, but cut to ticks."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/schedstat") as f:
                total += int(f.read().split()[0])
        except OSError:
            pass
    return total / 1e9


def cpu_seconds(pids):
    total = 0.0
    for pid in pids:
        try:
            exact = _thread_seconds(pid)
            fields = _stat_fields(pid)
            total += exact or (int(fields[11]) + int(fields[12])) / TICK
        except OSError:
            pass
    return total


def memory_kib(pids):
    """(resident, proportional) KiB of all the processes together."""
    sums = {"Rss:": 0, "Pss:": 0}
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                for line in f:
                    word = line.split(None, 2)
                    if word[0] in sums:
                        sums[word[0]] += int(word[1])
        except OSError:
            pass
    return sums["Rss:"], sums["Pss:"]


def busy_seconds():
    """CPU seconds in which the machine worked for anybody, and those that were stolen from it."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq, steal = map(int, f.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICK


def raise_file_limit(wanted):
    """As many open files as are allowed, up to `wanted`; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
        except (OSError, ValueError):
            pass
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
    return max(soft, limit)


def ended_children_seconds():
    """CPU seconds of our children, and theirs, that have ended."""
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime


class Disturbance:
    """Cores that others used between start() and cores(): all that was busy, minus what is ours."""

    def __init__(self, own_pids):
        self.own_pids = own_pids

    def _now(self):
        own = cpu_seconds(self.own_pids) + time.process_time()
        return busy_seconds(), own, time.monotonic()

    def start(self):
        self.began = self._now()
        return self

    def cores(self, ended_children=0.0):
        """ended_children: CPU seconds of ours in processes that are gone by now."""
        busy, own, now = (b - a for a, b in zip(self.began, self._now()))
        return max(0.0, (busy - own - ended_children) / max(now, 0.001))
