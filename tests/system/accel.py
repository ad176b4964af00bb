#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Hosts whose /dev/kvm is of no use, each in its own way, as kvmhost.c plays them: `--accel auto` runs
the machine all the same, `--accel kvm` says in one line what is wrong, `doctor` says both.
"""

import json
import os
import shutil
import subprocess

import checks
import vm

HERE = os.path.dirname(os.path.abspath(__file__))
DOPPEL = vm.doppel_binary()

# Kind, words that its sentence has.
KINDS = [
    ("missing", ["no /dev/kvm"]),
    ("denied", ["not for this user", "group kvm"]),
    ("busy", ["is busy", "another hypervisor"]),
    ("deaf", ["no module answers"]),
    ("old", ["API version 11", "Linux 5.10"]),
    ("lacking", ["KVM_CAP_IMMEDIATE_EXIT", "newer kernel"]),
    ("software", ["KVM in software", "nested virtualization"]),
    ("broken", ["plain instructions"]),
]
GONE = ["was usable a moment ago and is no longer"]


class Hosts:
    def __init__(self, t):
        self.library = t.path("kvmhost.so")
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-shared",
                        "-fPIC", "-o", self.library, os.path.join(HERE, "kvmhost.c")], check=True)

    def doppel(self, kind, *words):
        return subprocess.run([DOPPEL, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120 * vm.PATIENCE,
                              env={**os.environ, "LD_PRELOAD": self.library, "KVM_HOST": kind})

    def run(self, kind, accel):
        """A machine that boots, looks at its CPU and switches itself off."""
        return self.doppel(kind, "run", "--accel", accel, "--kernel", vm.KERNEL, "--initrd",
                           vm.INITRAMFS, "--append", "console=ttyS0 quiet job=/bin/true", "-m",
                           "256M", "--net", "none", "--timeout", f"{int(60 * vm.PATIENCE)}s")


def has(words, text):
    return all(word in text for word in words)


def forced(t, hosts, kind, words):
    done = hosts.run(kind, "kvm")
    good = done.returncode == 1 and done.stderr.count("\n") == 1 and has(words, done.stderr)
    t.check(f"{kind}: --accel kvm says why not", good, done)


def facts(hosts, kind):
    found = json.loads(hosts.doppel(kind, "doctor", "--format", "json").stdout)
    return {fact["name"]: fact for fact in found}


def explained(t, hosts, kind, words):
    found = facts(hosts, kind)
    good = found["kvm"]["status"] == "limited" and has(words, found["kvm"]["text"])
    auto = found["auto"]["text"]
    good = good and auto.startswith("picks bt, because of kvm: ") and has(words, auto)
    t.check(f"{kind}: doctor says what auto does, and why", good, found)


def falls_back(t, hosts, kind, words):
    """On a host where kvm is no choice nothing is said; one that was chosen and is gone is news."""
    done = hosts.run(kind, "auto")
    good = done.returncode == 0 and "init: up" in done.stdout
    good = good and (has([*words, "bt runs this machine"], done.stderr) if words
                     else "kvm" not in done.stderr)
    t.check(f"{kind}: auto runs the machine", good, done)


def main():
    checks.require(["kernel", "initramfs"])
    t = checks.Checks()
    try:
        if not shutil.which("cc"):
            t.report("skip", "hosts", "no C compiler")
            return t.status()
        hosts = Hosts(t)
        t.check("good: doctor says that auto takes kvm",
                facts(hosts, "good")["auto"]["text"].startswith("picks kvm"))
        for kind, words in KINDS:
            forced(t, hosts, kind, words)
            explained(t, hosts, kind, words)
        falls_back(t, hosts, "denied", [])
        falls_back(t, hosts, "software", [])
        for kind in ("gone:1", "gone:2"):  # before its processor is asked for, before its machine
            forced(t, hosts, kind, GONE)
            falls_back(t, hosts, kind, GONE)
        return t.status()
    finally:
        t.close()


raise SystemExit(main())
