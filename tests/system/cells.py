#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Programs of the guest that run in cells, processes of the host: they find what they find on a real
machine, as they do translated; a host that refuses; and what happens to cells when something ends.
"""

import glob
import os
import re
import signal
import subprocess
import time

import checks
import overlay
import vm
from boot import no_complaints, reach_shell
from stats import report

SPIN = "i=0; while [ $i -lt 100000000 ]; do i=$((i+1)); done"


def boot(t, mode, cpus=1, wrapper=()):
    return vm.Vm(initrd=overlay.test_initrd(t.dir), append="console=ttyS0", memory="1G", cpus=cpus,
                 extra=("--stats",), wrapper=wrapper, env={**os.environ, "DOPPEL_CELLS": mode})


def cells_of(machine):
    """The host's processes that are a machine's cells."""
    pids = []
    for path in glob.glob("/proc/[0-9]*/status"):
        try:
            with open(path, encoding="ascii") as f:
                text = f.read()
        except OSError:
            continue
        if "Name:\tdoppel-cell" in text and f"\nPPid:\t{machine.process.pid}\n" in text:
            pids.append(int(path.split("/")[2]))
    return pids


def native(machine, words=""):
    output, status = machine.run(f"GUEST=1 /opt/native {words}", 240)
    assert status == 0, output


def entered(machine):
    status = machine.power_off()
    assert status == 0, f"status {status}"
    return report(machine.error_output()).get("cells", {}).get("entered", 0)


def possible(_):
    if os.environ.get("DOPPEL_ACCEL", "bt") != "bt":
        raise checks.Skip("cells are the bt engine's")
    if os.environ.get("DOPPEL_MONITOR", "doppel") != "doppel":
        raise checks.Skip("said of our monitor only")


def in_cells(t):
    possible(t)
    t.vm = boot(t, "eager", cpus=2)
    reach_shell(t, 180)
    assert len(cells_of(t.vm)) > 2
    native(t.vm)


def others(t):
    for cpu in (1, 2):
        output, status = t.vm.run(f"taskset {cpu} /opt/changecode 3 20000", 240)
        assert status == 0, output
    assert t.vm.run("/opt/faults", 240)[1] == 0
    output, status = t.vm.run("for i in 1 2 3 4 5 6 7 8; do sha256sum /bin/busybox; done | uniq | wc -l",
                              120)
    assert (output, status) == ("1", 0), output


def used(t):
    n = entered(t.vm)
    t.note(f"entered {n:.0f} times")
    assert n > 1000


def translated(t):
    possible(t)
    with boot(t, "off") as machine:
        machine.prompt(180)
        assert cells_of(machine) == []
        native(machine)
        assert entered(machine) == 0


def by_itself(t):
    """Without being told, a program that works by itself gets one."""
    possible(t)
    with boot(t, "") as machine:
        machine.prompt(180)
        machine.run(f"timeout 3 sh -c '{SPIN}'", 60)
        assert entered(machine) > 10


def area_of(pid):
    """Where a cell has the monitor's own code: a list of one."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as f:
        return re.findall(r"^([0-9a-f]+)-\S+ r-xs .*memfd:doppel cell", f.read(), re.M)


def own_code(t):
    """Nothing that a program has comes to lie over the code by which its cell makes system calls."""
    possible(t)
    with boot(t, "eager") as machine:
        machine.prompt(180)
        where = area_of(cells_of(machine)[0])
        assert len(where) == 1, where
        machine.send(f"/opt/native around {where[0]}\n")
        machine.expect(r"there\r?\n", 120)
        for pid in cells_of(machine):
            assert area_of(pid) == where, f"{where} is {area_of(pid)} in a cell"
            with open(f"/proc/{pid}/status", encoding="ascii") as f:
                assert "Seccomp:\t2\n" in f.read()
        machine.send("q\necho status $?\n")
        assert machine.expect(r"status (\d+)", 60).group(1) == b"0"


def refused(t):
    """No tracing, no cells: the machine runs all the same."""
    possible(t)
    library = t.path("notrace.so")
    source = t.path("notrace.c")
    with open(source, "w", encoding="ascii") as f:
        f.write("#include <errno.h>\nlong ptrace(int r, ...) { (void)r; errno = EPERM; return -1; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-fno-builtin", "-o", library, source], check=True)
    with boot(t, "eager", wrapper=("env", f"LD_PRELOAD={library}")) as machine:
        machine.prompt(180)
        native(machine, "registers")
        assert entered(machine) == 0


def left(pids):
    """Those that are still there, after a while."""
    deadline = time.monotonic() + 10
    while pids and time.monotonic() < deadline:
        pids = [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
        time.sleep(0.05)
    return pids


def killed(t):
    """kill -9 of the monitor leaves none behind."""
    possible(t)
    with boot(t, "eager") as machine:
        machine.prompt(180)
        pids = cells_of(machine)
        assert len(pids) > 1
        os.kill(machine.process.pid, signal.SIGKILL)
        machine.wait()
        assert left(pids) == []


def cell_killed(t):
    """A cell that is ended from outside ends the machine, with a word about it."""
    possible(t)
    with boot(t, "eager") as machine:
        machine.prompt(180)
        before = set(cells_of(machine))
        machine.send(SPIN + "\n")
        time.sleep(1)
        for pid in set(cells_of(machine)) | before:
            os.kill(pid, signal.SIGKILL)
        assert machine.wait() not in (0, None)
        assert re.search("ended the process", machine.error_output()), machine.error_output()


if __name__ == "__main__":
    checks.main(["initramfs"], [
        ("what programs do in cells", in_cells), ("programs that change code, and fail", others),
        ("no kernel complaints", no_complaints), ("cells were used", used),
        ("the same, translated", translated), ("a program that works gets a cell", by_itself),
        ("a cell's own code stays", own_code), ("a host that refuses to trace", refused),
        ("kill -9 leaves no cell", killed), ("a cell that is killed", cell_killed)])
