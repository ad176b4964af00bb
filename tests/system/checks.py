# SPDX-License-Identifier: GPL-2.0-or-later
"""
The protocol of the system tests: a test program prints `ok - name`, `not ok - name` or
`skip - name: reason` for each check, and ends with 0 (all well), 1 (something failed) or 77
(nothing could be tested).
"""

import os
import shutil
import sys
import traceback

import vm


class Skip(Exception):
    """Raised by a check that cannot be made here; the text says why."""


class Checks:
    """The checks of one program, in order. A machine that several of them share is in `self.vm`."""

    def __init__(self):
        self.results = {"ok": 0, "not ok": 0, "skip": 0}
        self.dir = vm.work_dir()
        self.vm = None
        self.monitor = os.environ.get("DOPPEL_MONITOR", "doppel")

    def report(self, result, name, detail=""):
        self.results[result] += 1
        print(f"{result} - {name}" + (f": {detail}" if detail and result == "skip" else ""))
        if detail and result == "not ok":
            print(detail)
        sys.stdout.flush()

    def note(self, text):
        print(f"# {text}", flush=True)

    def path(self, name):
        """Of a file for this program only."""
        return os.path.join(self.dir, name)

    def check(self, name, good, detail=""):
        """One check whose result is known."""
        self.report("ok" if good else "not ok", name, "" if good else str(detail)[-3000:])
        return good

    def sh(self, command, timeout=60):
        """What a command prints in the machine's shell."""
        return self.vm.run(command, timeout)[0]

    def run(self, name, function):
        """One check: a function that returns, raises Skip, or raises anything else if it fails."""
        try:
            function(self)
            self.report("ok", name)
            return True
        except Skip as reason:
            self.report("skip", name, str(reason))
        except vm.VmError as error:
            self.report("not ok", name, str(error))
        except AssertionError as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            detail = f"    {where.line}\n    {error}"
            self.report("not ok", name, detail + ("\n" + self.vm.tail() if self.vm else ""))
        except Exception:  # a mistake in the test is a failure, not the end of the others
            self.report("not ok", name, traceback.format_exc())
        return False

    def close(self):
        if self.vm:
            self.vm.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def status(self):
        if self.results["not ok"]:
            return 1
        return 0 if self.results["ok"] else 77


def require(guests=(), packages=()):
    """
    Ends the program, as one that could test nothing, unless the guests can be made and Debian's
    packages are installed: {a program's name or the path of a file: the package that has it}.
    """
    missing = vm.have(os.environ.get("DOPPEL_MONITOR", "doppel"))
    for name in packages:
        if not (os.path.exists(name) if "/" in name else shutil.which(name)):
            missing = missing or f"the package {packages[name]} is not installed"
    try:
        if guests and not missing:
            vm.build_guests(*guests)
    except vm.VmError as error:
        missing = str(error)
    if missing:
        print(f"skip - all: {missing}")
        sys.exit(77)


def steps(t, *functions):
    """
    The program of tests that report for themselves: functions of `t`, its Checks, in order, until a
    machine does not do what one of them waits for.
    """
    try:
        for function in functions:
            function(t)
    except (vm.VmError, AssertionError) as error:
        t.check("no surprise", False, repr(error) + ("\n" + t.vm.tail() if t.vm else ""))
    finally:
        t.close()
    sys.exit(t.status())


def main(guests, checks):
    """
    Runs a list of (name, function). When the first one, which boots the machine that the others
    use, fails and leaves no machine, these fail at once rather than one by one.
    """
    require(guests)
    all_checks = Checks()
    only = sys.argv[1:]
    try:
        for name, function in checks:
            if not only or any(word in name for word in only) or function.__name__ == "start":
                if not all_checks.run(name, function) and function.__name__ == "start":
                    break
    finally:
        all_checks.close()
    sys.exit(all_checks.status())
