/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Sound Blaster 16 in the generic suite: plays by both ways and by FM, and records. */
#include <stdlib.h>

#include "dev/sound/sb16.h"
#include "suite.h"

enum { INDEX = SB16_PORT + 4, COMMAND = SB16_PORT + 0xc };

static void on_play(void *opaque, const int16_t *samples, unsigned frames)
{
    suite_activity(opaque);
}

static int create(struct suite_env *env, struct device *dev)
{
    struct sb16_config cfg = {
        .lines = suite_pin(env, 0), .loop = env->loop, .clock = env->clock, .out = {on_play, env}};

    if (dma_create(env->ram, &cfg.dma) < 0 || dma_map(cfg.dma, env->ports) < 0)
        abort();
    env->extra = cfg.dma;
    return sb16_create(&cfg, env->ports, dev);
}

static void finish(struct suite_env *env)
{
    struct device dma = dma_device(env->extra);

    dma.ops->destroy(dma.self);
}

static void put(struct suite_env *env, const uint16_t (*writes)[2], unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        bus_write(env->ports, writes[i][0], writes[i][1], 1);
}

#define PUT(env, list) put(env, list, sizeof(list) / sizeof(list[0]))

/* Channels 1 and 5 go round in 256 bytes at 0x20000. */
static void program_dma(struct suite_env *env)
{
    static const uint16_t writes[][2] = {
        {0xd6, 0xc0}, {0xd4, 0}, {0x0c, 0},    {0x02, 0}, {0x02, 0},    {0x83, 2},
        {0x03, 0xff}, {0x03, 0}, {0x0b, 0x59}, {0x0a, 1}, {0xd8, 0},    {0xc4, 0},
        {0xc4, 0},    {0x8b, 2}, {0xc6, 0x7f}, {0xc6, 0}, {0xd6, 0x59}, {0xd4, 1},
    };

    PUT(env, writes);
}

static void busy(struct suite_env *env, struct device *dev)
{
    static const uint16_t writes[][2] = {
        {INDEX, 0x80},
        {INDEX + 1, 2},
        {INDEX, 0x81},
        {INDEX + 1, 0x22},
        {SB16_PORT + 6, 1},
        {SB16_PORT + 6, 0},
        {COMMAND, 0x41},
        {COMMAND, 0xac},
        {COMMAND, 0x44},
        {COMMAND, 0xc6},
        {COMMAND, 0x00},
        {COMMAND, 0x3f},
        {COMMAND, 0},
        {COMMAND, 0xb6},
        {COMMAND, 0x30},
        {COMMAND, 0x3f},
        {COMMAND, 0},
        {SB16_FM_PORT, 0x20},
        {SB16_FM_PORT + 1, 0x21},
        {SB16_FM_PORT, 0x60},
        {SB16_FM_PORT + 1, 0xf0},
        {SB16_FM_PORT, 0xb0},
        {SB16_FM_PORT + 1, 0x32},
        {COMMAND, 0x10},
        {COMMAND, 0xf0},
        {SB16_FM_PORT, 4},
        {SB16_FM_PORT + 1, 3},
    };

    program_dma(env);
    PUT(env, writes);
}

const struct suite_class suite_sb16 = {
    .name = "sb16",
    .create = create,
    .finish = finish,
    .busy = busy,
    .ranges = {{false, SB16_PORT, 16},
               {false, SB16_FM_PORT, 4},
               {false, SB16_PORT + 0xa, 3},
               {false, SB16_FM_PORT, 4},
               {false, 0, 16},
               {false, 0xc0, 32}},
};
