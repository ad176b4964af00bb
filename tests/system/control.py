#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Machines in the background: found by their names, told what to do by commands and by the control
socket, used by their consoles.
"""

import json
import os
import pty
import re
import select
import signal
import socket
import sys
import tempfile
import threading
import time

import checks
import vm
from qmp import Qmp

ENV = None


def doppel(*words, **kwargs):
    return vm.doppel(*words, env=ENV, **kwargs)


def launch(*extra, name="one", timeout=120):
    status, out = doppel("run", "--accel", os.environ.get("DOPPEL_ACCEL", "bt"), "--detach",
                         "--name", name, "--memory", "256M", "--kernel", vm.KERNEL, "--initrd",
                         vm.INITRAMFS, "--append", "console=ttyS0 quiet", "--net", "none", *extra,
                         timeout=timeout)
    assert status == 0, out


def listed():
    status, out = doppel("list", "--format", "json")
    assert status == 0, out
    return {m["name"]: m for m in json.loads(out)}


def socket_of(name):
    return os.path.join(ENV["XDG_RUNTIME_DIR"], "doppel", name + ".control")


class Console:
    """doppel console on a terminal of its own."""

    def __init__(self, name):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(vm.doppel_binary(), ["doppel", "console", name], ENV)
        self.output = b""

    def expect(self, pattern, timeout=60):
        deadline = time.monotonic() + timeout * vm.PATIENCE
        while not (match := re.search(pattern, self.output)):
            ready = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]
            assert ready, (pattern, self.output)
            try:
                self.output += os.read(self.fd, 65536)
            except OSError:
                raise AssertionError((pattern, self.output)) from None
        self.output = self.output[match.end():]

    def send(self, text):
        os.write(self.fd, text.encode())

    def leave(self):
        self.send("\x01x")
        return self.wait()

    def wait(self):
        while True:
            try:
                if not os.read(self.fd, 65536):
                    break
            except OSError:
                break
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def start(t):
    """A machine in the background, and a second one of its name."""
    launch()
    machine = listed()["one"]
    assert machine["status"] == "running", machine
    with open(f"/proc/{machine['pid']}/cmdline", encoding="utf-8") as f:
        assert "--detach" in f.read()
    assert os.stat(socket_of("one")).st_mode & 0o777 == 0o600
    status, out = doppel("run", "--detach", "--name", "one", "--memory", "256M", "--kernel",
                         vm.KERNEL)
    assert status == 1 and "another process does" in out, (status, out)
    assert list(listed()) == ["one"]


def console(t):
    c = Console("one")
    c.send("\n")
    c.expect(rb"/ # ")
    c.send("echo $((6 * 7))\n")
    c.expect(rb"\r\n42\r\n")
    assert c.leave() == 0
    c = Console("one")  # the next one
    c.send("echo $((7 * 8))\n")
    c.expect(rb"\r\n56\r\n")
    assert c.leave() == 0


def pause(t):
    """A paused machine stands still: its clock, too."""
    c = Console("one")
    c.send("\ndate +T%s; sleep 5; date +T%s\n")
    c.expect(rb"\r\nT(\d+)")
    assert doppel("pause", "one") == (0, "")
    assert listed()["one"]["status"] == "paused"
    time.sleep(8)
    assert b"T" not in c.output
    assert doppel("resume", "one") == (0, "")
    assert listed()["one"]["status"] == "running"
    c.expect(rb"T(\d+)")
    assert c.leave() == 0


def queries(t):
    q = Qmp(socket_of("one"))
    assert q.do("query-status") == {"status": "running", "singlestep": False, "running": True}
    assert q.do("query-name") == {"name": "one"}
    assert q.do("query-block") == []
    assert len(q.do("query-cpus-fast")) == 1
    thread = q.do("query-cpus-fast")[0]["thread-id"]
    with open(f"/proc/{thread}/comm", encoding="utf-8") as f:
        assert f.read() == "vcpu 0\n"
    names = {c["name"] for c in q.do("query-commands")}
    assert {"stop", "cont", "quit", "system_reset", "system_powerdown", "query-version"} <= names
    q.close()


def events(t):
    """Two peers see what one of them and the guest do."""
    a, b = Qmp(socket_of("one")), Qmp(socket_of("one"))
    a.do("stop")
    a.do("stop")
    a.do("cont")
    assert [m["event"] for m in a.events] == ["STOP", "RESUME"], a.events
    assert b.event("RESUME")
    assert b.do("query-status")["running"]
    a.do("system_reset")
    assert b.event("RESET")["data"]["guest"] is False
    c = Console("one")
    c.expect(rb"/ # ")
    c.send("reboot -f\n")
    assert b.event("RESET")["data"]["guest"] is True
    c.expect(rb"/ # ")
    a.close()
    b.close()
    assert doppel("reset", "one") == (0, "")
    c.expect(rb"init: up")
    c.expect(rb"/ # ")
    assert c.leave() == 0


def trouble(t):
    """Nonsense, and a peer that reads nothing: the machine runs on."""
    for data in (os.urandom(100000), b"{" * 200000, b'{"execute":"query-commands"}' * 20000,
                 b'{"execute":"qmp_capabilities"}' + b'{"execute":"query-commands"}' * 100000):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(socket_of("one"))
            try:
                s.sendall(data)
            except (BrokenPipeError, ConnectionResetError, TimeoutError):
                pass
    assert listed()["one"]["status"] == "running"


def stop(t):
    """A guest that does not listen, one that does, and one that is not asked."""
    status, out = doppel("stop", "one", "--timeout", "500ms")
    assert status == 1 and "--force" in out, (status, out)
    q = Qmp(socket_of("one"))
    c = Console("one")
    later = threading.Thread(target=lambda: (q.event("POWERDOWN"), c.send("\npoweroff -f\n")))
    later.start()
    assert doppel("stop", "one") == (0, "")
    later.join()
    assert q.event("SHUTDOWN")["data"] == {"guest": True, "reason": "guest-shutdown"}
    q.close()
    assert c.wait() == 0
    assert not os.listdir(os.path.dirname(socket_of("one")))
    launch()
    q = Qmp(socket_of("one"))
    assert doppel("stop", "--force", "one") == (0, "")
    assert q.event("SHUTDOWN")["data"]["reason"] == "host-qmp-quit"
    q.close()
    assert listed() == {}
    status, out = doppel("stop", "one")
    assert status == 1 and "no machine one runs" in out, (status, out)


def by_socket(t):
    """--control, a disk, and a machine that starts paused."""
    path, disk = os.path.join(t.dir, "c.sock"), os.path.join(t.dir, "d.raw")
    with open(disk, "wb") as f:
        f.truncate(1 << 20)
    launch("--control", path, "--paused", "--disk", disk + ",readonly")
    q = Qmp(path)
    assert q.do("query-status")["status"] == "prelaunch"
    (block,) = q.do("query-block")
    assert block["device"] == "vda" and block["inserted"]["ro"], block
    assert block["inserted"]["image"]["virtual-size"] == 1 << 20, block
    assert doppel("resume", "--control", path) == (0, "")
    assert q.event("RESUME")
    assert listed() == {}
    q.do("quit")
    assert q.event("SHUTDOWN")
    q.close()


def wrong(t):
    for words, status, text in ((["stop"], 2, "name one machine"), (["pause", "a", "b"], 2, "two"),
                                (["reset", "../x"], 2, "not a name"), (["console", "no"], 1, "no machine"),
                                (["list", "--format", "x"], 2, "table or json"),
                                (["run", "--detach", "--kernel", vm.KERNEL], 2, "--name"),
                                (["run", "--serial", "socket", "--kernel", vm.KERNEL], 2, "--name"),
                                (["run", "--detach", "--name", "x", "--serial", "stdio", "--kernel",
                                  vm.KERNEL], 2, "stdio")):
        result = doppel(*words)
        assert result[0] == status and text in result[1], (words, result)


def main():
    global ENV
    if os.environ.get("DOPPEL_MONITOR", "doppel") != "doppel":
        print("skip - all: control sockets are doppel's")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="doppel-", dir="/tmp") as folder:
        ENV = dict(os.environ, XDG_RUNTIME_DIR=folder)
        try:
            checks.main(["kernel", "initramfs"], [
                ("start", start),
                ("console", console),
                ("pause and resume", pause),
                ("queries", queries),
                ("events", events),
                ("peers that make trouble", trouble),
                ("stop", stop),
                ("a control socket by path", by_socket),
                ("wrong usage", wrong),
            ])
        finally:
            try:
                for machine in listed().values():
                    os.kill(machine["pid"], signal.SIGKILL)
            except (AssertionError, OSError):
                pass


if __name__ == "__main__":
    main()
