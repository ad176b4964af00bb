#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs flat guests and passes on what they report.

    run.py [--doppel FILE] [--accel NAME] [--cpu CPU] [--memory SIZE] [--timeout S] GUEST.elf...
    run.py --qemu GUEST.elf...          the same guests under QEMU's TCG, to test the tests

A guest prints lines `ok - name` and `not ok - name`, then `# end`, and leaves through the exit
device with 0 or 1, which the machine turns into status 1 or 3. A guest that says nothing, hangs or
leaves otherwise has failed; that doppel itself failed is status 1, too, but has no `# end`.
$DOPPEL names the program when --doppel does not. Checks that an engine is known not to meet stand
in pending-ENGINE.txt.
"""
import argparse
import os
import subprocess
import sys

QEMU = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
        "-m", "128", "-accel", "tcg", "-cpu", "max",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-kernel"]
PASSED = 1
FAILED = 3
HERE = os.path.dirname(os.path.abspath(__file__))


def command(args, guest):
    if args.qemu:
        return QEMU + [guest]
    return [args.doppel, "run", "--accel", args.accel, "--kernel", guest, "--memory", args.memory,
            "--cpu", args.cpu,
            "--serial", "stdio", "--net", "none", "--no-reboot", "--debug-exit"]


def pending(accel):
    """
    {"guest: check": (reason, must)} of what the engine does not meet yet. Behind a line `reason ...`
    are checks that must fail, or the list is wrong; behind `may ...` such that may; `GUEST: no end`
    is a check, too. Behind `skip ...` are guests that are not run.
    """
    checks, reason, must = {}, "", True
    path = os.path.join(HERE, f"pending-{accel}.txt")
    if not os.path.exists(path):
        return checks
    with open(path, encoding="utf-8") as f:
        for line in (raw.rstrip("\n") for raw in f):
            if line.startswith(("reason ", "may ", "skip ")):
                word, _, reason = line.partition(" ")
                must = {"reason": True, "may": False, "skip": None}[word]
            elif line and not line.startswith("#"):
                checks[line] = (reason, must)
    return checks


def report(known, line, seen):
    """The line to print for a check's line; counts in `seen` what became of listed checks."""
    if not line.startswith(("ok - ", "not ok - ")):
        return line
    check = line.partition("ok - ")[2]
    for name, (reason, must) in known.items():
        if check == name or check.startswith(name + ": "):
            seen.setdefault(name, []).append(line.startswith("ok - ") and must)
            if line.startswith("not ok - "):
                return f"skip - {name}: {reason}"
    return line


def run(args, guest):
    """Returns (output, reason of failure or None)."""
    try:
        done = subprocess.run(command(args, guest), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=args.timeout, check=False)
    except subprocess.TimeoutExpired as e:
        return (e.stdout or b"").decode(errors="replace"), f"no end within {args.timeout} s"
    text = done.stdout.decode(errors="replace")
    if done.returncode != PASSED:
        return text, f"exit status {done.returncode}"
    if "ok - " not in text:
        return text, "no report"
    if "# end" not in text.splitlines():
        return text, "it did not come to its end"
    return text, None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--doppel", default=os.environ.get("DOPPEL", "doppel"))
    parser.add_argument("--accel", default="bt")
    parser.add_argument("--memory", default="128M")
    parser.add_argument("--cpu", default="host", help="as doppel takes it")
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("--qemu", action="store_true")
    parser.add_argument("--failures-only", action="store_true")
    parser.add_argument("--summary", action="store_true", help="a line for each guest that passes")
    parser.add_argument("--pending", metavar="NAME", help="the list pending-NAME.txt, not the engine's")
    parser.add_argument("guests", nargs="+")
    args = parser.parse_args()
    failed = 0
    known = {} if args.qemu and not args.pending else pending(args.pending or args.accel)
    skipped = {name: known.pop(name)[0] for name in list(known) if known[name][1] is None}
    known = {} if args.qemu else known
    for guest in args.guests:
        name = os.path.splitext(os.path.basename(guest))[0]
        if name in skipped:
            print(f"skip - {name}: {skipped[name]}")
            continue
        text, why = run(args, guest)
        bad, seen = 0, {}
        for line in text.replace("\r", "").splitlines():
            mark, sep, rest = line.partition("ok - ")
            line = f"{mark}ok - {name}: {rest}" if sep else line
            line = report(known, line, seen)
            bad += line.startswith("not ok - ")
            if not args.failures_only or not line.startswith("ok - "):
                print(line)
        for check in [c for c, results in seen.items() if all(results)]:
            print(f"not ok - {check}: passes, but is listed as pending")
            bad += 1
        if why == f"exit status {FAILED}" and seen and not bad:
            why = None
        end = f"{name}: " + ("no end" if why and why.startswith("no end") else str(why))
        if end in known:
            print(f"skip - {end}: {known[end][0]}")
            why = None
        if why is not None or bad:
            failed += 1
        if why is not None:
            print(f"not ok - {name}: {why}")
        elif args.summary and not bad:
            print(f"ok - {name}")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
