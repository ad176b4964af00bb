/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every cmocka program includes, in the order that cmocka needs. */
#ifndef DOPPEL_TESTS_UNIT_TEST_H
#define DOPPEL_TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
