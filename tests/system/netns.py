# SPDX-License-Identifier: GPL-2.0-or-later
"""A network of the test's own: a namespace with nothing but a loopback interface in it."""

import os
import shutil
import subprocess
import sys

INSIDE = "DOPPEL_TEST_NETNS"


def enter():
    """
    Starts this program again in a new network namespace, where it may make interfaces, unless it is
    in one. Returns why that is impossible, or None.
    """
    if os.environ.get(INSIDE):
        return None
    if not shutil.which("ip"):
        return "the program ip (package iproute2) is missing"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "/dev/net/tun is not there or not for us"
    # As root a network namespace suffices; others become root in a user namespace.
    wrapper = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-r", "-n"]
    probe = subprocess.run([*wrapper, "ip", "tuntap", "add", "dev", "probe", "mode", "tap"],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if probe.returncode != 0:
        return f"no network namespace with a tap: {probe.stdout.strip()}"
    os.environ[INSIDE] = "1"
    sys.stdout.flush()
    os.execvp(wrapper[0], [*wrapper, sys.executable, *sys.argv])


def ip(words):
    """Runs ip(8)."""
    subprocess.run(["ip", *words.split()], check=True)


def tap(name, address=None):
    """A tap that lasts until the namespace ends, with an address such as 10.1.0.1/24."""
    ip(f"tuntap add dev {name} mode tap")
    if address:
        ip(f"addr add {address} dev {name}")
    ip(f"link set {name} up")


def counter(name, what):
    """rx_packets or tx_packets of an interface. /sys would show the namespace that mounted it."""
    with open("/proc/thread-self/net/dev", encoding="ascii") as f:
        line = next(line for line in f if line.strip().startswith(name + ":"))
    return int(line.split(":")[1].split()[{"rx_packets": 1, "tx_packets": 9}[what]])
