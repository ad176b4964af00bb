/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The devices of the PC board that a guest cannot find by itself. Addresses are those of layout.h
 * and of the devices' headers; interrupt routing is machine_intx of board_pci.c.
 *
 * The values of the names below depend on the board and on the size of memory: acpi.c replaces them
 * before the guest starts.
 */
DefinitionBlock ("", "DSDT", 2, "DOPPEL", "DPLPC", 1)
{
    /* PCI's windows below 4 GB, and above; a length may be 0 */
    Name (P32B, 0x11223344)
    Name (P32L, 0x11223344)
    Name (P33B, 0x11223344)
    Name (P33L, 0x11223344)
    Name (P64B, 0x1122334455667788)
    Name (P64L, 0x1122334455667788)
    /* ECAM */
    Name (ECMB, 0x11223344)
    Name (ECML, 0x11223344)
    /* Where the bridge to the legacy devices is */
    Name (LPCA, 0x11223344)
    /* How far interrupt lines are turned; what they are for the 8259 */
    Name (ROTA, 0x11223344)
    Name (IRQA, 0x11223344)
    Name (IRQB, 0x11223344)
    Name (IRQC, 0x11223344)
    Name (IRQD, 0x11223344)
    /* 1: there is a parallel port */
    Name (LPTP, 0x11223344)
    /* 1: there is a TPM */
    Name (TPMP, 0x11223344)
    /* Features of PCI Express that the guest may have */
    Name (OSCN, 0x11223344)

    /* 0: the guest uses the 8259, 1: the I/O APIC */
    Name (PICM, Zero)
    Method (_PIC, 1, NotSerialized)
    {
        PICM = Arg0
    }

    Name (_S3, Package () { 1, 1, 0, 0 })
    Name (_S5, Package () { 5, 5, 0, 0 })

    Scope (_SB)
    {
        Device (C000)
        {
            Name (_HID, "ACPI0007")
            Name (_UID, Zero)
        }

        /* What lies in memory and port space and belongs to the board. */
        Device (MBRD)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, One)
            Name (CRS0, ResourceTemplate ()
            {
                Memory32Fixed (ReadOnly, 0xFFFE0000, 0x00020000)
                IO (Decode16, 0x0600, 0x0600, 1, 0x80)
                IO (Decode16, 0x04D0, 0x04D0, 1, 2)
            })
            Name (CRS1, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xB0000000, 0x10000000)
            })

            Method (_CRS, 0, Serialized)
            {
                If (ECML == Zero)
                {
                    Return (CRS0)
                }

                /* offsets in the 32-bit fixed memory descriptor, ACPI 6.4 table 6.39 */
                CreateDWordField (CRS1, 4, MBAS)
                CreateDWordField (CRS1, 8, MLEN)
                MBAS = ECMB
                MLEN = ECML
                Return (ConcatenateResTemplate (CRS0, CRS1))
            }
        }

        Device (HPET)
        {
            Name (_HID, EisaId ("PNP0103"))
            Name (_UID, Zero)
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xFED00000, 0x00000400)
            })
        }

        Device (TPM)
        {
            Name (_HID, "MSFT0101")
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xFED40000, 0x00005000)
            })

            Method (_STA, 0, NotSerialized)
            {
                If (TPMP == Zero)
                {
                    Return (Zero)
                }

                Return (0x0F)
            }
        }

        Device (FWCF)
        {
            Name (_HID, "QEMU0002")
            Name (_STA, 0x0B)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0x0510, 0x0510, 1, 0x0C)
            })
        }

        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))
            Name (_CID, EisaId ("PNP0A03"))
            Name (_UID, Zero)
            Name (_BBN, Zero)
            Name (_SEG, Zero)

            Name (CRS0, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0, 0, 0xFF, 0, 0x100)
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0, 0x0CF7, 0, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0, 0x0D00, 0xFFFF, 0, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
                    ReadWrite, 0, 0x000A0000, 0x000BFFFF, 0, 0x00020000)
            })
            Name (CRSD, ResourceTemplate ()
            {
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable,
                    ReadWrite, 0, 0xC0000000, 0xFEBFFFFF, 0, 0x3EC00000)
            })
            Name (CRSQ, ResourceTemplate ()
            {
                QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable,
                    ReadWrite, 0, 0x8000000000, 0x8FFFFFFFFF, 0, 0x1000000000)
            })

            /* Arg0 and a 32-bit window; offsets in the DWord descriptor, ACPI 6.4 table 6.47 */
            Method (CRSW, 3, Serialized)
            {
                If (Arg2 == Zero)
                {
                    Return (Arg0)
                }

                CreateDWordField (CRSD, 10, DMIN)
                CreateDWordField (CRSD, 14, DMAX)
                CreateDWordField (CRSD, 22, DLEN)
                DMIN = Arg1
                DMAX = Arg1 + Arg2 - 1
                DLEN = Arg2
                Return (ConcatenateResTemplate (Arg0, CRSD))
            }

            Method (_CRS, 0, Serialized)
            {
                Local0 = CRSW (CRS0, P32B, P32L)
                Local0 = CRSW (Local0, P33B, P33L)
                If (P64L == Zero)
                {
                    Return (Local0)
                }

                /* offsets in the QWord address space descriptor, ACPI 6.4 table 6.46 */
                CreateQWordField (CRSQ, 14, PMIN)
                CreateQWordField (CRSQ, 22, PMAX)
                CreateQWordField (CRSQ, 38, PLEN)
                PMIN = P64B
                PLEN = P64L
                PMAX = P64B + P64L - 1
                Return (ConcatenateResTemplate (Local0, CRSQ))
            }

            /* The board keeps no PCI Express feature to itself; it hands over what there is. */
            Method (_OSC, 4, NotSerialized)
            {
                CreateDWordField (Arg3, 0, CDW1)
                If (Arg0 == ToUUID ("33DB4D5B-1FF7-401C-9657-7441C03DD766"))
                {
                    CreateDWordField (Arg3, 8, CDW3)
                    If (Arg1 != One)
                    {
                        CDW1 |= 8
                    }

                    If ((CDW3 & OSCN) != CDW3)
                    {
                        CDW1 |= 0x10
                        CDW3 &= OSCN
                    }
                }
                Else
                {
                    CDW1 |= 4
                }

                Return (Arg3)
            }

            /* Pin p of slot s is wired to line (s + p + ROTA) % 4. */
            Method (ROUT, 4, Serialized)
            {
                Local2 = Package (128) {}
                Local0 = Zero
                While (Local0 < 128)
                {
                    Local1 = Package (4) {}
                    Local1[0] = ((Local0 >> 2) << 16) | 0xFFFF
                    Local1[1] = Local0 & 3
                    Local1[2] = Zero
                    Switch (((Local0 >> 2) + Local0 + ROTA) & 3)
                    {
                        Case (0) { Local1[3] = Arg0 }
                        Case (1) { Local1[3] = Arg1 }
                        Case (2) { Local1[3] = Arg2 }
                        Default { Local1[3] = Arg3 }
                    }

                    Local2[Local0] = Local1
                    Local0++
                }

                Return (Local2)
            }

            Method (_PRT, 0, Serialized)
            {
                If (PICM)
                {
                    Return (ROUT (16, 17, 18, 19))
                }

                Return (ROUT (IRQA, IRQB, IRQC, IRQD))
            }

            Device (LPC)
            {
                Method (_ADR, 0, NotSerialized)
                {
                    Return (LPCA)
                }

                Device (PIC)
                {
                    Name (_HID, EisaId ("PNP0000"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0020, 0x0020, 1, 2)
                        IO (Decode16, 0x00A0, 0x00A0, 1, 2)
                        IRQNoFlags () {2}
                    })
                }

                Device (TIMR)
                {
                    Name (_HID, EisaId ("PNP0100"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0040, 0x0040, 1, 4)
                        IRQNoFlags () {0}
                    })
                }

                Device (RTC)
                {
                    Name (_HID, EisaId ("PNP0B00"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0070, 0x0070, 1, 2)
                        IRQNoFlags () {8}
                    })
                }

                Device (KBD)
                {
                    Name (_HID, EisaId ("PNP0303"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0060, 0x0060, 1, 1)
                        IO (Decode16, 0x0064, 0x0064, 1, 1)
                        IRQNoFlags () {1}
                    })
                }

                Device (MOU)
                {
                    Name (_HID, EisaId ("PNP0F13"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IRQNoFlags () {12}
                    })
                }

                Device (COM1)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, One)
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03F8, 0x03F8, 1, 8)
                        IRQNoFlags () {4}
                    })
                }

                Device (LPT1)
                {
                    Name (_HID, EisaId ("PNP0400"))
                    Name (_UID, One)
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0378, 0x0378, 1, 3)
                        IRQNoFlags () {7}
                    })

                    Method (_STA, 0, NotSerialized)
                    {
                        If (LPTP == Zero)
                        {
                            Return (Zero)
                        }

                        Return (0x0F)
                    }
                }
            }
        }
    }
}
