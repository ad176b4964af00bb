# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the host's processor does wrong if it is emulated, seen with KVM alone: small guests, without us.
"""

import ctypes
import fcntl
import mmap
import os
import struct

KVM_CREATE_VM, KVM_CREATE_VCPU, KVM_GET_VCPU_MMAP_SIZE, KVM_RUN = 0xAE01, 0xAE41, 0xAE04, 0xAE80
KVM_SET_USER_MEMORY_REGION = 0x4020AE46
KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS = 0x8090AE81, 0x4090AE82, 0x8138AE83, 0x4138AE84
KVM_SET_GUEST_DEBUG, DEBUG_ENABLE, DEBUG_POINTS = 0x4048AE9B, 1, 0x20000
KVM_SET_VCPU_EVENTS, VALID_SHADOW, SHADOW_STI = 0x4040AEA0, 4, 2
EXIT_DEBUG, EXIT_HLT, EXIT_IRQ_WINDOW_OPEN = 4, 5, 7
CODE, TABLE, SIZE = 0x1000, 0x2000, 0x10000
RESERVED, IF = 2, 0x200  # of EFLAGS
PE, PG, PSE = 1, 1 << 31, 1 << 4  # of CR0 and CR4
PRESENT, WRITE, LARGE = 1, 2, 0x80  # of an entry for 4 MB


class Guest:
    """One vCPU, in real mode before it is told otherwise, in front of `code`."""

    def __init__(self, code, flags):
        self.kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
        self.machine = fcntl.ioctl(self.kvm, KVM_CREATE_VM, 0)
        self.vcpu = fcntl.ioctl(self.machine, KVM_CREATE_VCPU, 0)
        self.memory = mmap.mmap(-1, SIZE)
        self.memory[CODE:CODE + len(code)] = code
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        fcntl.ioctl(self.machine, KVM_SET_USER_MEMORY_REGION, struct.pack("<IIQQQ", 0, 0, 0, SIZE, address))
        self.run = mmap.mmap(self.vcpu, fcntl.ioctl(self.kvm, KVM_GET_VCPU_MMAP_SIZE, 0))
        self.sregs = bytearray(312)
        fcntl.ioctl(self.vcpu, KVM_GET_SREGS, self.sregs)
        struct.pack_into("<Q4xH", self.sregs, 0, 0, 0)  # CS: base, selector
        fcntl.ioctl(self.vcpu, KVM_SET_SREGS, self.sregs)
        fcntl.ioctl(self.vcpu, KVM_SET_REGS, struct.pack("<18Q", *[0] * 16, CODE, RESERVED | flags))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.run.close()
        for fd in (self.vcpu, self.machine, self.kvm):
            os.close(fd)

    def page(self):
        """32-bit code and flat segments; the first 4 MB are one page that nobody wrote to yet."""
        struct.pack_into("<I", self.memory, TABLE, PRESENT | WRITE | LARGE)
        for number in range(6):  # base, limit, selector, type, present, DPL, size, S, L, G
            struct.pack_into("<QIH8B", self.sregs, 24 * number, 0, 0xffffffff, 8 if number == 0 else 16,
                             11 if number == 0 else 3, 1, 0, 1, 1, 0, 1, 0)
        struct.pack_into("<4Q", self.sregs, 224, PE | PG, 0, TABLE, PSE)
        fcntl.ioctl(self.vcpu, KVM_SET_SREGS, self.sregs)

    def exit(self):
        """Why the guest comes back."""
        fcntl.ioctl(self.vcpu, KVM_RUN, 0)
        return struct.unpack_from("<I", self.run, 8)[0]

    def rax(self):
        regs = bytearray(144)
        fcntl.ioctl(self.vcpu, KVM_GET_REGS, regs)
        return struct.unpack_from("<Q", regs)[0]


def keeps_interrupts_out():
    """
    Does the processor keep interrupts out of the instruction behind STI (AMD64 APM vol. 2, 15.21.5)
    when it enters a guest there? An idle CPU relies on it: if an interrupt comes between its STI and
    its HLT, it sleeps although there is something to do. QEMU's TCG does not load that part of a
    guest's state.

    A guest is before a HLT and behind an STI, and we want to know when it can take interrupts. That
    is after the HLT.
    """
    with Guest(b"\xf4", IF) as guest:
        fcntl.ioctl(guest.vcpu, KVM_SET_VCPU_EVENTS, struct.pack("<11xB8xI40x", SHADOW_STI, VALID_SHADOW))
        guest.run[0] = 1  # request_interrupt_window
        reason = guest.exit()
    if reason not in (EXIT_HLT, EXIT_IRQ_WINDOW_OPEN):
        raise OSError(f"KVM ends a HLT with exit {reason}")
    return reason == EXIT_HLT


def sees_code_change():
    """
    Does a guest that changes the instruction behind the one that runs see the change, if the write is
    the first to its page? The processor then has to set the dirty bit in the guest's page table. When
    QEMU's TCG does so with nested pages, it drops its translation of the written byte as if another
    had written, and goes on in the old one.
    """
    changed = 0x5a17
    store = b"\xc7\x05" + struct.pack("<II", CODE + 11, changed)  # mov dword [11], 5a17
    with Guest(store + b"\xb8\0\0\0\0\xf4", 0) as guest:  # 10: mov eax, 0; hlt
        guest.page()
        reason = guest.exit()
        value = guest.rax()
    if reason != EXIT_HLT or value not in (0, changed):
        raise OSError(f"KVM ends code that changes with exit {reason}, and EAX is {value:#x}")
    return value == changed


def stops_at_points():
    """
    Does a guest stop at a place that DR7 names when the guest is entered? KVM's debugging of guests
    relies on it. QEMU's TCG takes the register over without watching the place.
    """
    local = 1
    with Guest(b"\x90\xf4", 0) as guest:  # nop; hlt
        fcntl.ioctl(guest.vcpu, KVM_SET_GUEST_DEBUG, struct.pack(
            "<II8Q", DEBUG_ENABLE | DEBUG_POINTS, 0, CODE + 1, *[0] * 6, local))
        reason = guest.exit()
    if reason not in (EXIT_DEBUG, EXIT_HLT):
        raise OSError(f"KVM ends a HLT with a point at it with exit {reason}")
    return reason == EXIT_DEBUG
