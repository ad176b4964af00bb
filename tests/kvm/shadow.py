# SPDX-License-Identifier: GPL-2.0-or-later
"""
Does the host's processor keep interrupts out of the instruction behind STI (AMD64 APM vol. 2, 15.21.5)
when it enters a guest there? An idle CPU relies on it: if an interrupt comes between its STI and its
HLT, it sleeps although there is something to do. QEMU's TCG does not load that part of a guest's state.

KVM is asked, without us: a guest before a HLT and behind an STI, and whoever runs it wants to know when
the guest can take interrupts. That is after the HLT.
"""

import ctypes
import fcntl
import mmap
import os
import struct

KVM_CREATE_VM, KVM_CREATE_VCPU, KVM_GET_VCPU_MMAP_SIZE, KVM_RUN = 0xAE01, 0xAE41, 0xAE04, 0xAE80
KVM_SET_USER_MEMORY_REGION = 0x4020AE46
KVM_GET_SREGS, KVM_SET_SREGS, KVM_SET_REGS = 0x8138AE83, 0x4138AE84, 0x4090AE82
KVM_SET_VCPU_EVENTS, VALID_SHADOW, SHADOW_STI = 0x4040AEA0, 4, 2
EXIT_HLT, EXIT_IRQ_WINDOW_OPEN = 5, 7
CODE, HLT, INTERRUPTS_ON = 0x1000, b"\xf4", 0x202


def first_exit(vcpu, run):
    """Why the guest comes back."""
    sregs = bytearray(312)
    fcntl.ioctl(vcpu, KVM_GET_SREGS, sregs)
    struct.pack_into("<Q4xH", sregs, 0, 0, 0)  # CS: base, selector
    fcntl.ioctl(vcpu, KVM_SET_SREGS, sregs)
    fcntl.ioctl(vcpu, KVM_SET_REGS, struct.pack("<18Q", *[0] * 16, CODE, INTERRUPTS_ON))
    fcntl.ioctl(vcpu, KVM_SET_VCPU_EVENTS, struct.pack("<11xB8xI40x", SHADOW_STI, VALID_SHADOW))
    run[0] = 1  # request_interrupt_window
    fcntl.ioctl(vcpu, KVM_RUN, 0)
    return struct.unpack_from("<I", run, 8)[0]


def holds():
    """True: interrupts stay out."""
    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    machine = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
    vcpu = fcntl.ioctl(machine, KVM_CREATE_VCPU, 0)
    memory = mmap.mmap(-1, 0x10000)
    memory[CODE:CODE + len(HLT)] = HLT
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    fcntl.ioctl(machine, KVM_SET_USER_MEMORY_REGION, struct.pack("<IIQQQ", 0, 0, 0, len(memory), address))
    with mmap.mmap(vcpu, fcntl.ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0)) as run:
        reason = first_exit(vcpu, run)
    for fd in (vcpu, machine, kvm):
        os.close(fd)
    if reason not in (EXIT_HLT, EXIT_IRQ_WINDOW_OPEN):
        raise OSError(f"KVM ends a HLT with exit {reason}")
    return reason == EXIT_HLT
