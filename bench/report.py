# SPDX-License-Identifier: GPL-2.0-or-later
"""What bench/run found, as a table and as a page."""

import math

TITLES = {"native": "native", "qemu": "QEMU TCG", "doppel": "doppel"}
# A group's rows are those whose names begin with one of the words; the later ones join the others.
INTERPRETERS = ["prog.python", "prog.perl", "prog.awk", "prog.sed", "prog.bc"]
COMPRESSION = ["prog.zstd", "prog.gzip", "prog.xz"]
TOOLS = ["prog.sort", "prog.diff", "prog.cpp", "prog.sha256sum"]
TREES = ["prog.gcc", "prog.make", "prog.grep", "prog.find", "prog.tar"]
GROUPS = {
    "integer and branchy compute": ["int."],
    "scalar floating point": ["fp."],
    "compute of 32-bit programs": ["int32.", "fp32."],
    "SIMD": ["simd."],
    "memory": ["mem."],
    "interpreters": INTERPRETERS,
    "databases": ["prog.sqlite"],
    "compression": COMPRESSION,
    "text tools, C++": TOOLS,
    "ciphers of TLS": ["prog.tls"],
    "compiler and source trees": TREES,
    "code made at run time": ["code.", "prog.luajit"],
    "system calls": ["sys."],
    "page faults and mappings": ["fault."],
    "processes and shell scripts": ["proc.", "prog.shell"],
    "switches between processes": ["ipc."],
    "disk": ["disk."],
    "network through the NAT": ["net."],
    "integer, interpreters, databases, compiler, compression":
        ["int.", *INTERPRETERS, "prog.sqlite", "prog.gcc", *COMPRESSION, *TOOLS],
    "floating point, SIMD, ciphers": ["fp.", "simd.", "prog.tls"],
    "memory copy and bandwidth": ["mem.copy", "mem.set", "mem.triad", "mem.sum", "mem.rep"],
    "real programs": ["prog."],
    "all measures": [""],
}


def human_time(ns):
    for limit, unit, scale in ((1e3, "ns", 1), (1e6, "µs", 1e3), (1e9, "ms", 1e6)):
        if ns < limit:
            return f"{ns / scale:.3g} {unit}"
    return f"{ns / 1e9:.2f} s"


def human(row, monitor):
    if monitor not in row:
        return "–"
    if row["bytes"]:
        rate = row["bytes"] / row[monitor]
        return f"{rate:.3g} GB/s" if rate >= 1 else f"{rate * 1000:.3g} MB/s"
    return human_time(row[monitor])


def ratio(row, above, below):
    if above not in row or below not in row:
        return None
    return row[above] / row[below]


def show(value):
    return "–" if value is None else f"{value:.2f} ×"


def geometric_mean(values):
    values = [v for v in values if v]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def table(result):
    """The lines of a Markdown table that is readable as it is."""
    lines = [["measure", "native", "QEMU TCG", "doppel", "TCG / doppel"]]
    rows = result["rows"]
    programs = [r for r in rows if not r["name"].startswith("boot.")]
    for row in rows:
        if row["name"].startswith("boot."):
            lines.append([row["name"], "–", human(row, "qemu"), human(row, "doppel"),
                          show(ratio(row, "qemu", "doppel"))])
    for row in programs:
        lines.append([row["name"], human(row, "native"), show(ratio(row, "qemu", "native")),
                      show(ratio(row, "doppel", "native")), show(ratio(row, "qemu", "doppel"))])
    for title, prefixes in GROUPS.items():
        members = [r for r in programs if r["name"].startswith(tuple(prefixes))]
        if members:
            means = [geometric_mean([ratio(r, *pair) for r in members]) for pair in
                     (("qemu", "native"), ("doppel", "native"), ("qemu", "doppel"))]
            lines.append([f"**mean: {title}**", "1.00 ×", *map(show, means)])
    lines.insert(1, ["---", "---:", "---:", "---:", "---:"])
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    out = []
    for n, line in enumerate(lines):
        cells = [cell.ljust(w) if i == 0 else cell.rjust(w)
                 for i, (cell, w) in enumerate(zip(line, widths))]
        if n == 1:
            cells = ["-" * widths[0]] + ["-" * (w - 1) + ":" for w in widths[1:]]
        out.append("| " + " | ".join(cells) + " |")
    return out


def exits_table(result):
    """What leaving a guest's code and a boot cost on each engine; empty if it was not measured."""
    exits = result.get("exits")
    if not exits:
        return []
    engines = sorted({engine for times in exits.values() for engine in times})
    lines = ["| on each engine | " + " | ".join(engines) + " |", "| --- |" + " ---: |" * len(engines)]
    for name, times in exits.items():
        cells = [human_time(times[engine]) if engine in times else "–" for engine in engines]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def tables(result):
    parts = [table(result)] if result["rows"] else []
    parts += [lines] if (lines := exits_table(result)) else []
    return "\n\n".join("\n".join(lines) for lines in parts).split("\n")


def notes(result):
    """What there is to say below the table."""
    close = [row["name"] for row in result["rows"] if (ratio(row, "qemu", "doppel") or 2) < 2]
    if close:
        yield "doppel is not twice as fast as QEMU TCG in " + ", ".join(close)
    yield from result["remarks"]
    yield from result["failures"]


PAGE = """# Performance

What `make bench` found on one machine in one run; `bench/run --write` writes this page. The columns
of the two monitors say how many times longer than native the same program takes inside a guest
with one virtual CPU, with no hardware virtualization; the last column says how many times longer
than doppel the emulator takes. Less is better but in the last column.

* Processor: {cpu}; host kernel {kernel}; QEMU {qemu}; guests with {memory} of memory.
* Both guests: Debian's linux-image-cloud-amd64 and the same initial RAM disk. `boot.init` is the time
  from the start of the process to the first line of that disk's init, `boot.login` to the root
  shell of the Debian disk.
* Native runs on one processor, as the guests do. Native disk figures come from the host's page
  cache and native network figures from its loopback interface, so they are limits that no machine
  with a disk and a network card reaches.
* The rows `prog.` are programs of Debian, the same files natively and in the guests, with the same
  inputs and the same results: the best of a few warm runs. The other rows come from one small static
  program, the best of several batches.
* Means are geometric. The last lines join several groups.
* The rows `exit.` are what it costs a guest to leave its code, on each engine that the host runs:
  a write to a port or a register of a device that does nothing, an interrupt until a virtual CPU
  that sleeps in HLT is in its handler, a request until a running one has stopped. `engine.boot` is
  `boot.init` on each of them.

{table}

{remarks}"""


def write_page(result, path):
    remarks = "".join(f"* {text}\n" for text in notes(result))
    with open(path, "w", encoding="utf-8") as f:
        f.write(PAGE.format(table="\n".join(tables(result)), remarks=remarks,
                            **{k: result[k] for k in ("cpu", "kernel", "qemu", "memory")}).rstrip()
                + "\n")
