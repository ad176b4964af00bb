/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine-diff: runs random sequences on an engine and on the host CPU and compares.
 *
 *     engine-diff [--engine NAME] [--seed N] [--count N] [--only MNEMONIC] [--mode M] [--self]
 *                 [--failures N] [--stats] [--alignment] [--show] [--driver] [--interrupts]
 *                 [--wild] [--counters] [--oracle FILE]
 *
 * Case i of a run has the seed N + i: a failure is run again with `--seed <its seed> --count 1`
 * and the same --mode. --self compares the host with itself, which shows instructions whose result
 * depends on more than the case. --alignment makes programs set RFLAGS.AC too. --driver lets guest
 * code run the cases one after the other. --interrupts interrupts them at random moments. --wild
 * compares nothing but runs bytes that may do anything, at CPL 0, too: the engine must survive.
 * --mode seg32 and seg16 run 32-bit and 16-bit code in segments of an LDT, with bases and limits,
 * one by one only. --counters has the performance counters count meanwhile. --show prints each
 * sequence before it runs (for an engine that crashes). Lines are in the style of TAP; the exit
 * status is 77 (skipped) if there is no such engine, no LDT or no counters.
 */
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gen.h"

#define SKIPPED 77

struct options {
    const char *engine, *only, *oracle, *mode;
    uint64_t seed, count;
    unsigned failures;
    bool self, stats, alignment, show, driver, interrupts, wild, counters;
};

struct run {
    struct options opt;
    struct gen gen;
    struct oracle *oracle;
    struct subject *subject;
    struct gen_seq seq[DIFF_BATCH];
    struct diff_result *got; /* DIFF_BATCH */
    uint64_t failed, unusable, refused, vectors[32];
};

static void usage(void)
{
    fprintf(
        stderr,
        "usage: engine-diff [--engine NAME] [--seed N] [--count N] [--only MNEMONIC]\n"
        "                   [--mode user64|user32|kernel|seg32|seg16|all] [--self] [--failures N]\n"
        "                   [--stats] [--alignment] [--show] [--driver]\n"
        "                   [--interrupts] [--wild] [--counters] [--oracle FILE]\n");
    exit(2);
}

static void parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"engine", 1, NULL, 'e'},     {"seed", 1, NULL, 's'},  {"count", 1, NULL, 'c'},
        {"only", 1, NULL, 'o'},       {"mode", 1, NULL, 'm'},  {"self", 0, NULL, 'S'},
        {"failures", 1, NULL, 'f'},   {"stats", 0, NULL, 't'}, {"oracle", 1, NULL, 'O'},
        {"alignment", 0, NULL, 'a'},  {"show", 0, NULL, 'w'},  {"driver", 0, NULL, 'd'},
        {"interrupts", 0, NULL, 'i'}, {"wild", 0, NULL, 'W'},  {"counters", 0, NULL, 'C'},
        {NULL, 0, NULL, 0},
    };
    int opt;

    *o = (struct options){.engine = "bt", .seed = 1, .count = 10000, .failures = 10, .mode = "all"};
    while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (opt) {
        case 'e':
            o->engine = optarg;
            break;
        case 's':
            o->seed = strtoull(optarg, NULL, 0);
            break;
        case 'c':
            o->count = strtoull(optarg, NULL, 0);
            break;
        case 'o':
            o->only = optarg;
            break;
        case 'm':
            o->mode = optarg;
            break;
        case 'S':
            o->self = true;
            break;
        case 'f':
            o->failures = (unsigned)strtoul(optarg, NULL, 0);
            break;
        case 't':
            o->stats = true;
            break;
        case 'i':
            o->interrupts = true;
            break;
        case 'W':
            o->wild = true;
            break;
        case 'C':
            o->counters = true;
            break;
        case 'd':
            o->driver = true;
            break;
        case 'w':
            o->show = true;
            break;
        case 'a':
            o->alignment = true;
            break;
        case 'O':
            o->oracle = optarg;
            break;
        default:
            usage();
        }
    }
    if (optind != argc || (o->driver && strncmp(o->mode, "seg", 3) == 0))
        usage();
}

/* The oracle lies beside this program. */
static const char *default_oracle(void)
{
    static char path[PATH_MAX + 16];
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    self[n < 0 ? 0 : n] = '\0';
    snprintf(path, sizeof(path), "%s/diff-oracle", dirname(self));
    return path;
}

static enum diff_mode pick_mode(const struct options *o, uint64_t seed)
{
    if (strcmp(o->mode, "user64") == 0)
        return DIFF_USER64;
    if (strcmp(o->mode, "user32") == 0)
        return DIFF_USER32;
    if (strcmp(o->mode, "kernel") == 0)
        return DIFF_KERNEL;
    if (strcmp(o->mode, "seg32") == 0)
        return DIFF_SEG32;
    if (strcmp(o->mode, "seg16") == 0)
        return DIFF_SEG16;
    if (strcmp(o->mode, "all") != 0)
        usage();
    seed *= 0x9e3779b97f4a7c15;
    seed >>= 60;
    return seed < 9 ? DIFF_USER64 : seed < 12 ? DIFF_KERNEL : DIFF_USER32;
}

static void show(struct run *r, uint32_t i)
{
    printf("# running\n");
    diff_print_code(&r->gen, &r->seq[i]);
    fflush(stdout);
}

/* Runs shared->cases[0 .. n) on both sides. */
static void run_both(struct run *r, uint32_t n)
{
    struct diff_shared *sh = oracle_shared(r->oracle);

    if (r->opt.self) {
        oracle_start(r->oracle, n);
        oracle_wait(r->oracle);
        memcpy(r->got, sh->results, n * sizeof(r->got[0]));
    }
    oracle_start(r->oracle, n);
    if (r->opt.driver && !r->opt.self)
        subject_run_batch(r->subject, sh->cases, r->got, n);
    for (uint32_t i = 0; i < n && !r->opt.self && !r->opt.driver; i++) {
        if (r->opt.show)
            show(r, i);
        subject_run(r->subject, &sh->cases[i], &r->got[i]);
    }
    oracle_wait(r->oracle);
}

static bool fails(struct run *r, const struct gen_seq *seq)
{
    struct diff_shared *sh = oracle_shared(r->oracle);

    run_both(r, 1);
    return !diff_compare(&r->gen, seq, &sh->cases[0], &sh->results[0], &r->got[0], NULL, 0);
}

/* Takes items out as long as the case still fails. False: it does not fail when run alone. */
static bool shrink(struct run *r, struct gen_seq *seq)
{
    struct diff_shared *sh = oracle_shared(r->oracle);
    bool shorter = true;

    if (!fails(r, seq))
        return false;
    while (shorter) {
        shorter = false;
        for (unsigned i = seq->count; i-- > 0 && seq->count > 1;) {
            struct gen_seq less = *seq;

            if (i >= seq->count)
                continue;
            gen_remove(&less, i);
            if (gen_assemble(&less, &sh->cases[0]) && fails(r, &less)) {
                *seq = less;
                shorter = true;
            }
        }
    }
    gen_assemble(seq, &sh->cases[0]);
    return fails(r, seq);
}

static void report(struct run *r, uint64_t seed, const struct gen_seq *seq,
                   const struct diff_case *c, const struct diff_result *want,
                   const struct diff_result *got)
{
    struct diff_shared *sh = oracle_shared(r->oracle);
    struct gen_seq *small = malloc(sizeof(*small));
    struct diff_case *full = malloc(sizeof(*full));
    struct diff_result *both = calloc(2, sizeof(*both));

    if (small == NULL || full == NULL || both == NULL)
        abort();
    *small = *seq;
    *full = *c;
    both[0] = *want;
    both[1] = *got;
    printf("# seed %lu: %u instructions\n", seed, seq->count);
    sh->cases[0] = *full;
    if (shrink(r, small))
        diff_print(&r->gen, small, &sh->cases[0], &sh->results[0], &r->got[0]);
    else
        printf("  (does not fail when run alone)\n"),
            diff_print(&r->gen, seq, full, &both[0], &both[1]);
    free(small);
    free(full);
    free(both);
}

/* A batch is compared first and failures are reported after, because reports use the batch's
 * memory. */
static void run_batch(struct run *r, uint64_t seed, uint32_t n)
{
    struct diff_shared *sh = oracle_shared(r->oracle);
    uint32_t bad[DIFF_BATCH], bad_count = 0;

    for (uint32_t i = 0; i < n; i++)
        gen_case(&r->gen, seed + i, pick_mode(&r->opt, seed + i), &r->seq[i], &sh->cases[i]);
    run_both(r, n);
    for (uint32_t i = 0; i < n; i++) {
        struct diff_result *want = &sh->results[i];

        if (want->status != DIFF_DONE)
            r->unusable++;
        else
            r->vectors[want->vector % 32]++;
        if (!diff_compare(&r->gen, &r->seq[i], &sh->cases[i], want, &r->got[i], NULL, 0))
            bad[bad_count++] = i;
    }
    for (uint32_t k = 0; k < bad_count && r->failed < r->opt.failures; k++) {
        struct diff_case *c = malloc(sizeof(*c));
        struct diff_result *pair = calloc(2, sizeof(*pair));

        if (c == NULL || pair == NULL)
            abort();
        gen_case(&r->gen, seed + bad[k], r->seq[bad[k]].mode, &r->seq[bad[k]], c);
        pair[0] = sh->results[bad[k]];
        pair[1] = r->got[bad[k]];
        report(r, seed + bad[k], &r->seq[bad[k]], c, &pair[0], &pair[1]);
        r->failed++;
        free(c);
        free(pair);
    }
}

/* Seeds are the cases'; with --show the last one printed is that of a crash. */
static void run_wild(struct run *r, uint64_t seed)
{
    static struct diff_case c;
    char note[200];

    gen_wild(&r->gen, seed, pick_mode(&r->opt, seed), &c);
    if (r->opt.show) {
        printf("# seed %lu mode %d\n", seed, (int)c.mode);
        diff_print_bytes(&r->gen, &c);
    }
    if (subject_run_wild(r->subject, seed, &c, r->opt.show, note, sizeof(note)))
        return;
    if (strncmp(note, "16-bit code", 11) == 0) { /* the one thing the translator may refuse */
        r->refused++;
        return;
    }
    printf("# seed %lu: the engine gave up: %s\n", seed, note);
    if (!r->opt.show)
        diff_print_bytes(&r->gen, &c);
    r->failed++;
}

static void print_stats(const struct run *r)
{
    unsigned kinds = 0;

    for (unsigned m = 0; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++)
        kinds += r->gen.seen[m] != 0;
    printf("# %u mnemonics generated; ends by vector:", kinds);
    for (unsigned i = 0; i < 32; i++)
        if (r->vectors[i] != 0)
            printf(" %u:%lu", i, r->vectors[i]);
    printf("; unusable %lu, refused as 16-bit code %lu\n", r->unusable, r->refused);
    if (!r->opt.stats)
        return;
    for (unsigned m = 0; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++)
        if (r->gen.seen[m] != 0)
            printf("# %8lu %s\n", r->gen.seen[m], ZydisMnemonicGetString((ZydisMnemonic)m));
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void set_up(struct run *r)
{
    static uint8_t readonly[DIFF_PAGE];
    struct diff_rng rng;
    const char *why = "";

    diff_rng_seed(&rng, 99);
    for (unsigned i = 0; i < DIFF_PAGE; i++)
        readonly[i] = (uint8_t)diff_rng_next(&rng);
    r->oracle = oracle_create(r->opt.oracle, diff_xcr0(), readonly);
    r->got = aligned_alloc(64, DIFF_BATCH * sizeof(r->got[0]));
    if (!r->opt.self) {
        r->subject = subject_create(r->opt.engine, diff_xcr0(), readonly, &why);
        if (r->subject == NULL) {
            printf("ok - engine-diff # SKIP engine %s: %s\n", r->opt.engine, why);
            exit(SKIPPED);
        }
    }
    if (diff_segmented(pick_mode(&r->opt, 0)) && oracle_shared(r->oracle)->no_ldt) {
        printf("ok - engine-diff # SKIP the host's kernel has no LDTs for programs\n");
        exit(SKIPPED);
    }
    if (r->opt.counters && strcmp(r->opt.engine, "bt") != 0) {
        printf("ok - engine-diff # SKIP the counters of %s are not ours\n", r->opt.engine);
        exit(SKIPPED);
    }
    if (r->opt.counters && r->subject != NULL)
        subject_counters(r->subject);
    if (r->opt.interrupts && r->subject != NULL)
        subject_interrupts(r->subject);
    r->gen.only = r->opt.only;
    r->gen.alignment = r->opt.alignment;
    r->gen.whole = r->opt.interrupts;
    oracle_shared(r->oracle)->together = r->opt.driver;
    r->gen.tls_selector = oracle_shared(r->oracle)->tls_selector;
    gen_init(&r->gen, r->subject);
}

int main(int argc, char **argv)
{
    struct run *r = calloc(1, sizeof(*r));
    double start = seconds();
    uint64_t done = 0, failed;

    if (r == NULL)
        return 1;
    parse(argc, argv, &r->opt);
    if (r->opt.oracle == NULL)
        r->opt.oracle = default_oracle();
    set_up(r);
    for (; r->opt.wild && done < r->opt.count && r->failed < r->opt.failures; done++)
        run_wild(r, r->opt.seed + done);
    while (done < r->opt.count && r->failed < r->opt.failures) {
        uint64_t n = r->opt.count - done < DIFF_BATCH ? r->opt.count - done : DIFF_BATCH;

        run_batch(r, r->opt.seed + done, (uint32_t)n);
        done += n;
    }
    print_stats(r);
    if (r->opt.interrupts && r->subject != NULL)
        printf("# %lu interrupts\n", subject_interrupt_count(r->subject));
    if (r->opt.counters && r->subject != NULL) {
        printf("# %lu instructions counted\n", subject_counted(r->subject));
        if (subject_counted(r->subject) < done)
            r->failed++;
    }
    failed = r->failed;
    printf("%s - engine-diff %s: %lu sequences from seed %lu, %lu failed, %.1f s\n",
           failed == 0 ? "ok" : "not ok", r->opt.self ? "self" : r->opt.engine, done, r->opt.seed,
           failed, seconds() - start);
    subject_destroy(r->subject);
    oracle_destroy(r->oracle);
    gen_finish(&r->gen);
    free(r->got);
    free(r);
    return failed == 0 ? 0 : 1;
}
