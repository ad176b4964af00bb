/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parsers of --net and -p: the input is the text. */
#include "fuzz.h"

#include "net/netopt.h"

static void check(int ret, const struct net_options *o, const struct err *e)
{
    char text[NET_FORWARD_TEXT];
    FUZZ_REQUIRE((ret == 0) == (e->text[0] == '\0'));
    FUZZ_REQUIRE(ret == 0 || e->usage);
    for (unsigned i = 0; ret == 0 && i < o->forward_count; i++)
        FUZZ_REQUIRE(net_forward_text(&o->forwards[i], text)[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_options o;
    struct err e = {0};
    char *text = malloc(size + 1);
    FUZZ_REQUIRE(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    check(net_options_parse(&o, text, &e), &o, &e);
    struct net_options p = {.kind = NET_USER};
    e = (struct err){0};
    check(net_options_publish(&p, text, &e), &p, &e);
    free(text);
    return 0;
}
