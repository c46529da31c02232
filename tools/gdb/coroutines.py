"""gdb commands that show the coroutines of a Smartflow process or core file.

    (gdb) source tools/gdb/coroutines.py
    (gdb) smartflow coroutines      all coroutines, by loop: number, name, state, wait, time, stack
    (gdb) smartflow bt 3            the backtrace of coroutine 3 of that list
    (gdb) smartflow bt all          of every one

A coroutine that does not run is a stack whose registers ctx_switch() saved (the layouts are drawn
in src/runtime/switch_x86_64.S and switch_aarch64.S; with ucontext they are in a ucontext_t). In a
live process gdb's registers are set to the saved ones for the time of the backtrace, so frames have
their arguments. A core file's registers cannot be set; there the chain of frame pointers is
followed, which shows functions and lines alone. (Use a core that the kernel wrote: gcore cannot read
past the guard pages of the stacks.) src/runtime/gdb_check.sh tests both ways.
"""

import gdb

STATES = ("ready", "running", "parked", "dead")
NEVER_NS = 2**63 - 1

# Offsets from the saved stack pointer; "sp" is how far it moves when the frame is popped.
LAYOUTS = {
    "x86_64": {
        "registers": {"rip": 56, "rbp": 48, "rbx": 40, "r12": 32, "r13": 24, "r14": 16, "r15": 8},
        "sp": ("rsp", 64),
        "pc": "rip",
        "frame": "rbp",
    },
    "aarch64": {
        "registers": {
            "x29": 0, "pc": 8, "x19": 16, "x20": 24, "x21": 32, "x22": 40, "x23": 48, "x24": 56,
            "x25": 64, "x26": 72, "x27": 80, "x28": 88,
        },
        "sp": ("sp", 160),
        "pc": "pc",
        "frame": "x29",
    },
}


def architecture():
    name = gdb.selected_inferior().architecture().name()
    return "aarch64" if name.startswith("aarch64") else "x86_64"


def word(address):
    return int(gdb.parse_and_eval("*(unsigned long *)%#x" % address))


def each_in(head, type_name, member):
    """The structs on an intrusive ring list (base/list.h)."""
    struct = gdb.lookup_type(type_name)
    offset = next(f.bitpos // 8 for f in struct.fields() if f.name == member)
    node = head["next"]
    while int(node) != int(head.address):
        yield gdb.Value(int(node) - offset).cast(struct.pointer()).dereference()
        node = node["next"]


def loops():
    """Every thread's loop, found by its thread-local pointer."""
    selected = gdb.selected_thread()
    found = []
    try:
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda t: t.num):
            thread.switch()
            loop = gdb.parse_and_eval("loop_current")
            if int(loop) != 0:
                found.append((thread, loop.dereference()))
    finally:
        selected.switch()
    return found


def coroutines():
    """(thread, loop, co) for each, in the order of the numbers that the commands use."""
    for thread, loop in loops():
        for name in ("active", "resting"):
            for co in each_in(loop[name], "struct co", "all"):
                yield thread, loop, co


def seconds(ns):
    return "-" if ns == NEVER_NS else "%.3f s" % (ns / 1e9)


def describe(number, loop, co):
    state = STATES[int(co["state"])]
    now = int(loop["now"])
    parts = ["%4d  %-20s %-8s" % (number, co["name"].string(), state)]
    if state == "parked":
        parts.append("%-16s for %s" % (co["why"].string(), seconds(now - int(co["parked_at"]))))
        due = int(co["timer"]["due"])
        parts.append("due %s" % ("never" if due == NEVER_NS else "in " + seconds(due - now)))
    parts.append("age %s" % seconds(now - int(co["born_at"])))
    if state != "running":
        parts.append("stack %d" % (int(co["stack_top"]) - int(co["ctx"])))
    if co["cancelled"]:
        parts.append("cancelled")
    return "  ".join(parts)


def saved_registers(co):
    """{register: value} of a coroutine that does not run, the stack pointer among them."""
    sp = int(co["ctx"])
    if not assembly_switch():
        return registers_of_ucontext(sp)
    layout = LAYOUTS[architecture()]
    registers = {name: word(sp + at) for name, at in layout["registers"].items()}
    name, moved = layout["sp"]
    registers[name] = sp + moved
    return registers


def assembly_switch():
    try:
        gdb.parse_and_eval("&ctx_entry")
        return True
    except gdb.error:
        return False


def registers_of_ucontext(address):
    context = gdb.parse_and_eval("((ucontext_t *)%#x)->uc_mcontext" % address)
    if architecture() == "aarch64":
        registers = {"x%d" % n: int(context["regs"][n]) for n in range(19, 30)}
        registers.update(pc=int(context["pc"]), sp=int(context["sp"]))
        return registers
    index = {"r12": 4, "r13": 5, "r14": 6, "r15": 7, "rbp": 10, "rbx": 11, "rsp": 15, "rip": 16}
    return {name: int(context["gregs"][at]) for name, at in index.items()}


def set_registers(values):
    for name, value in values.items():
        gdb.execute("set $%s = %#x" % (name, value))


def backtrace_live(registers):
    gdb.newest_frame().select()
    before = {name: int(gdb.parse_and_eval("(unsigned long)$%s" % name)) for name in registers}
    try:
        set_registers(registers)
        gdb.execute("bt")
    finally:
        gdb.newest_frame().select()
        set_registers(before)


def place(number, pc):
    call = pc - 1  # pc is a return address, which may lie in the next line or function
    line = gdb.find_pc_line(call)
    block, names = gdb.block_for_pc(call), []
    while block is not None:
        if block.function is not None:
            names.append(block.function.name)
        block = block.superblock
    name = names.pop() if names else "??"  # the outermost; the others were inlined into it
    inlined = " (inlined: %s)" % ", ".join(names) if names else ""
    where = " at %s:%d" % (line.symtab.filename, line.line) if line.symtab else ""
    print("#%-2d %#x in %s%s%s" % (number, pc, name, inlined, where))


def backtrace_by_frame_pointers(registers):
    layout = LAYOUTS[architecture()]
    pc, frame = registers[layout["pc"]], registers[layout["frame"]]
    for number in range(64):
        place(number, pc)
        if frame == 0:
            return
        frame, pc = word(frame), word(frame + 8)
        if pc == 0:
            return


def backtrace(thread, loop, co):
    if int(loop["current"]) == int(co.address):
        thread.switch()
        gdb.execute("bt")
        return
    registers = saved_registers(co)
    try:
        backtrace_live(registers)
    except gdb.error:
        backtrace_by_frame_pointers(registers)


class Smartflow(gdb.Command):
    """Commands for a Smartflow process: smartflow coroutines, smartflow bt N."""

    def __init__(self):
        super().__init__("smartflow", gdb.COMMAND_STACK, prefix=True)


class Coroutines(gdb.Command):
    """smartflow coroutines: list the coroutines of all loops."""

    def __init__(self):
        super().__init__("smartflow coroutines", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        last = None
        for number, (thread, loop, co) in enumerate(coroutines()):
            if thread.num != last:
                print("loop %d (thread %d), %d coroutines" % (
                    int(loop["index"]), thread.num, int(loop["n_cos"])))
                last = thread.num
            print(describe(number, loop, co))


class Backtrace(gdb.Command):
    """smartflow bt N: the backtrace of coroutine N of `smartflow coroutines`, or of all."""

    def __init__(self):
        super().__init__("smartflow bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        selected = gdb.selected_thread()
        wanted = argument.strip()
        if wanted != "all" and not wanted.isdigit():
            raise gdb.GdbError("usage: smartflow bt N, or smartflow bt all")
        found = [(n, it) for n, it in enumerate(coroutines()) if wanted in ("all", str(n))]
        if not found:
            raise gdb.GdbError("no such coroutine")
        try:
            for number, (thread, loop, co) in found:
                print(describe(number, loop, co))
                backtrace(thread, loop, co)
        finally:
            selected.switch()


Smartflow()
Coroutines()
Backtrace()
