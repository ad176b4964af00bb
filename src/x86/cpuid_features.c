/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The feature bits that a guest may see: Intel SDM vol. 2 CPUID, AMD64 APM vol. 3 appendix E. The
 * names are those of Linux' /proc/cpuinfo.
 *
 * A bit that is not in the table is not shown. So a feature of a CPU that is newer than this file
 * stays hidden, and so do the things that are not built: VMX, SVM, MONITOR, Intel's performance
 * counters, processor trace, 5-level paging, CET, SGX, TSX, AMX, user interrupts, 3DNow!, XOP and
 * TBM, CLZERO.
 *
 * Levels 1 to 4 are those of the x86-64 psABI (baseline, v2, v3, v4), with a few things added that
 * every processor of the level has and that systems want.
 *
 * Vulnerabilities. Under the translator the guest's page tables are walked in software and its
 * pages are ordinary user pages of this process, its indirect branches become look-ups: page-table
 * isolation, retpolines, VERW and return untraining in the guest protect nothing and cost much. So
 * the bits with which a CPU says that it needs none of them are set there (kinds ENGINE_AMD and
 * ENGINE_INTEL). What protects the host from the guest and guests from each other are the host's
 * own mitigations between processes. On the processor itself a guest has to know what it is like:
 * it is shown what the host's KVM offers of these bits, whatever the level.
 */
#include "x86/cpuid_internal.h"

const struct cpuid_feature cpuid_features[] = {
    /* 1 ECX */
    {1, 0, ECX, 0, HOST, XCR0_SSE, 2, "sse3"},
    {1, 0, ECX, 1, HOST, XCR0_SSE, 3, "pclmulqdq"},
    {1, 0, ECX, 9, HOST, XCR0_SSE, 2, "ssse3"},
    {1, 0, ECX, 12, HOST, XCR0_AVX, 3, "fma"},
    {1, 0, ECX, 13, HOST, 0, 2, "cx16"},
    {1, 0, ECX, 17, ENGINE, 0, 0, "pcid"},
    {1, 0, ECX, 19, HOST, XCR0_SSE, 2, "sse4_1"},
    {1, 0, ECX, 20, HOST, XCR0_SSE, 2, "sse4_2"},
    {1, 0, ECX, 21, PLATFORM, 0, 0, "x2apic"},
    {1, 0, ECX, 22, HOST, 0, 3, "movbe"},
    {1, 0, ECX, 23, HOST, 0, 2, "popcnt"},
    {1, 0, ECX, 24, DEADLINE, 0, 0, "tsc_deadline_timer"},
    {1, 0, ECX, 25, HOST, XCR0_SSE, 3, "aes"},
    {1, 0, ECX, 26, HOST, XCR0_SSE, 3, "xsave"},
    {1, 0, ECX, 28, HOST, XCR0_AVX, 3, "avx"},
    {1, 0, ECX, 29, HOST, XCR0_AVX, 3, "f16c"},
    {1, 0, ECX, 30, HOST, 0, 3, "rdrand"},
    {1, 0, ECX, 31, PLATFORM, 0, 0, "hypervisor"},
    /* 1 EDX; APIC (9) is dynamic */
    {1, 0, EDX, 0, HOST, 0, 1, "fpu"},
    {1, 0, EDX, 1, ENGINE, 0, 1, "vme"},
    {1, 0, EDX, 2, ENGINE, 0, 1, "de"},
    {1, 0, EDX, 3, ENGINE, 0, 1, "pse"},
    {1, 0, EDX, 4, HOST, 0, 1, "tsc"},
    {1, 0, EDX, 5, ENGINE, 0, 1, "msr"},
    {1, 0, EDX, 6, ENGINE, 0, 1, "pae"},
    {1, 0, EDX, 7, ENGINE, 0, 1, "mce"},
    {1, 0, EDX, 8, HOST, 0, 1, "cx8"},
    {1, 0, EDX, 9, PLATFORM, 0, 1, "apic"},
    {1, 0, EDX, 11, ENGINE, 0, 1, "sep"},
    {1, 0, EDX, 12, ENGINE, 0, 1, "mtrr"},
    {1, 0, EDX, 13, ENGINE, 0, 1, "pge"},
    {1, 0, EDX, 14, ENGINE, 0, 1, "mca"},
    {1, 0, EDX, 15, HOST, 0, 1, "cmov"},
    {1, 0, EDX, 16, ENGINE, 0, 1, "pat"},
    {1, 0, EDX, 17, ENGINE, 0, 1, "pse36"},
    {1, 0, EDX, 19, HOST, 0, 1, "clflush"},
    {1, 0, EDX, 23, HOST, 0, 1, "mmx"},
    {1, 0, EDX, 24, HOST, 0, 1, "fxsr"},
    {1, 0, EDX, 25, HOST, 0, 1, "sse"},
    {1, 0, EDX, 26, HOST, 0, 1, "sse2"},
    {1, 0, EDX, 27, HOST, 0, 0, "ss"},
    /* 6 EAX */
    {6, 0, EAX, 2, PLATFORM, 0, 0, "arat"},
    /* 7.0 EBX */
    {7, 0, EBX, 0, HOST, 0, 3, "fsgsbase"},
    {7, 0, EBX, 1, PLATFORM, 0, 0, "tsc_adjust"},
    {7, 0, EBX, 3, HOST, 0, 3, "bmi1"},
    {7, 0, EBX, 5, HOST, XCR0_AVX, 3, "avx2"},
    {7, 0, EBX, 6, TRANSLATOR, 0, 0, "fdp_excptn_only"},
    {7, 0, EBX, 7, ENGINE, 0, 3, "smep"},
    {7, 0, EBX, 8, HOST, 0, 3, "bmi2"},
    {7, 0, EBX, 9, HOST, 0, 0, "erms"},
    {7, 0, EBX, 10, ENGINE, 0, 0, "invpcid"},
    {7, 0, EBX, 13, TRANSLATOR, 0, 0, "zero_fcs_fds"},
    {7, 0, EBX, 16, HOST, XCR0_AVX512, 4, "avx512f"},
    {7, 0, EBX, 17, HOST, XCR0_AVX512, 4, "avx512dq"},
    {7, 0, EBX, 18, HOST, 0, 0, "rdseed"},
    {7, 0, EBX, 19, HOST, 0, 4, "adx"},
    {7, 0, EBX, 20, ENGINE, 0, 4, "smap"},
    {7, 0, EBX, 21, HOST, XCR0_AVX512, 0, "avx512ifma"},
    {7, 0, EBX, 23, HOST, 0, 4, "clflushopt"},
    {7, 0, EBX, 24, HOST, 0, 0, "clwb"},
    {7, 0, EBX, 28, HOST, XCR0_AVX512, 4, "avx512cd"},
    {7, 0, EBX, 29, HOST, XCR0_SSE, 0, "sha_ni"},
    {7, 0, EBX, 30, HOST, XCR0_AVX512, 4, "avx512bw"},
    {7, 0, EBX, 31, HOST, XCR0_AVX512, 4, "avx512vl"},
    /* 7.0 ECX */
    {7, 0, ECX, 1, HOST, XCR0_AVX512, 0, "avx512vbmi"},
    {7, 0, ECX, 2, ENGINE, 0, 0, "umip"},
    {7, 0, ECX, 3, TRANSLATOR, 0, 0, "pku"}, /* OSPKE (4) is dynamic */
    {7, 0, ECX, 6, HOST, XCR0_AVX512, 0, "avx512_vbmi2"},
    {7, 0, ECX, 8, HOST, XCR0_SSE, 0, "gfni"},
    {7, 0, ECX, 9, HOST, XCR0_AVX, 0, "vaes"},
    {7, 0, ECX, 10, HOST, XCR0_AVX, 0, "vpclmulqdq"},
    {7, 0, ECX, 11, HOST, XCR0_AVX512, 0, "avx512_vnni"},
    {7, 0, ECX, 12, HOST, XCR0_AVX512, 0, "avx512_bitalg"},
    {7, 0, ECX, 14, HOST, XCR0_AVX512, 0, "avx512_vpopcntdq"},
    {7, 0, ECX, 22, HOST, 0, 0, "rdpid"},
    {7, 0, ECX, 31, TRANSLATOR, 0, 0, "pks"},
    /* 7.0 EDX */
    {7, 0, EDX, 4, HOST, 0, 0, "fsrm"},
    {7, 0, EDX, 8, HOST, XCR0_AVX512, 0, "avx512_vp2intersect"},
    {7, 0, EDX, 14, HOST, 0, 0, "serialize"},
    {7, 0, EDX, 23, HOST, XCR0_AVX512, 0, "avx512_fp16"},
    {7, 0, EDX, 26, ENGINE_INTEL, 0, 0, "spec_ctrl"},
    {7, 0, EDX, 29, ENGINE_INTEL, 0, 0, "arch_capabilities"},
    {7, 0, EDX, 10, PROCESSOR, 0, 0, "md_clear"},
    {7, 0, EDX, 27, PROCESSOR, 0, 0, "stibp"},
    {7, 0, EDX, 28, PROCESSOR, 0, 0, "flush_l1d"},
    {7, 0, EDX, 31, PROCESSOR, 0, 0, "ssbd"},
    /* 7.1 EAX */
    {7, 1, EAX, 4, HOST, XCR0_AVX, 0, "avx_vnni"},
    {7, 1, EAX, 5, HOST, XCR0_AVX512, 0, "avx512_bf16"},
    {7, 1, EAX, 10, HOST, 0, 0, "fzrm"},
    {7, 1, EAX, 11, HOST, 0, 0, "fsrs"},
    {7, 1, EAX, 12, HOST, 0, 0, "fsrc"},
    /* d.1 EAX. XSAVEOPT not under the translator: its init and modified optimisations depend on
     * what the host saved last. XSAVES is made of XSAVEC there. */
    {0xd, 1, EAX, 0, PROCESSOR, 0, 0, "xsaveopt"},
    {0xd, 1, EAX, 1, HOST, 0, 0, "xsavec"},
    {0xd, 1, EAX, 2, HOST, 0, 0, "xgetbv1"},
    {0xd, 1, EAX, 3, TRANSLATOR, 0, 0, "xsaves"},
    /* 80000001 ECX */
    {0x80000001, 0, ECX, 0, HOST, 0, 2, "lahf_lm"},
    {0x80000001, 0, ECX, 5, HOST, 0, 3, "abm"},
    {0x80000001, 0, ECX, 6, HOST, XCR0_SSE, 0, "sse4a"},
    {0x80000001, 0, ECX, 7, HOST, XCR0_SSE, 0, "misalignsse"},
    {0x80000001, 0, ECX, 8, HOST, 0, 0, "3dnowprefetch"},
    {0x80000001, 0, ECX, 16, HOST, XCR0_AVX, 0, "fma4"},
    {0x80000001, 0, ECX, 22, HOST, 0, 0, "topoext"},
    {0x80000001, 0, ECX, 23, TRANSLATOR_AMD, 0, 0, "perfctr_core"},
    /* 80000001 EDX */
    {0x80000001, 0, EDX, 11, ENGINE, 0, 1, "syscall"},
    {0x80000001, 0, EDX, 20, ENGINE, 0, 1, "nx"},
    {0x80000001, 0, EDX, 22, HOST, XCR0_SSE, 0, "mmxext"},
    {0x80000001, 0, EDX, 26, ENGINE, 0, 0, "pdpe1gb"},
    {0x80000001, 0, EDX, 27, HOST, 0, 2, "rdtscp"},
    {0x80000001, 0, EDX, 29, ENGINE, 0, 1, "lm"},
    /* 80000007 EDX */
    {0x80000007, 0, EDX, 8, ENGINE, 0, 0, "invtsc"},
    /* 80000008 EBX */
    {0x80000008, 0, EBX, 2, HOST, 0, 0, "xsaveerptr"},
    {0x80000008, 0, EBX, 29, ENGINE_AMD, 0, 0, "btc_no"},
    {0x80000008, 0, EBX, 12, PROCESSOR, 0, 0, "amd_ibpb"},
    {0x80000008, 0, EBX, 14, PROCESSOR, 0, 0, "amd_ibrs"},
    {0x80000008, 0, EBX, 15, PROCESSOR, 0, 0, "amd_stibp"},
    {0x80000008, 0, EBX, 24, PROCESSOR, 0, 0, "amd_ssbd"},
    {0x80000008, 0, EBX, 25, PROCESSOR, 0, 0, "virt_ssbd"},
    {0x80000008, 0, EBX, 26, PROCESSOR, 0, 0, "ssb_no"},
    /* 80000021 EAX */
    {0x80000021, 0, EAX, 0, HOST, 0, 0, "nndbp"},
    {0x80000021, 0, EAX, 2, ENGINE_AMD, 0, 0, "lfence_rdtsc"},
    {0x80000021, 0, EAX, 6, ENGINE_AMD, 0, 0, "null_sel_clr_base"},
    {0x80000021, 0, EAX, 8, ENGINE_AMD, 0, 0, "autoibrs"},
    {0x80000021, 0, EAX, 29, ENGINE_AMD, 0, 0, "srso_no"},
};

const unsigned cpuid_feature_count = sizeof(cpuid_features) / sizeof(cpuid_features[0]);

_Static_assert(sizeof(cpuid_features) / sizeof(cpuid_features[0]) <= CPUID_MAX_FEATURES,
               "struct cpuid_policy has a bit for each");
