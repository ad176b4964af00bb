/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The register models of HPET, real-time clock and ACPI fixed hardware. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/chip/acpi_chip.h"
#include "dev/chip/hpet_chip.h"
#include "dev/chip/mc146818.h"

#define SECOND 1000000000ll

static void hpet_write(struct hpet_chip *c, unsigned offset, uint64_t value, uint64_t tick)
{
    hpet_chip_write(c, offset, value, UINT64_MAX, tick);
}

static struct hpet_chip hpet_running(void)
{
    struct hpet_chip c;

    hpet_chip_reset(&c);
    hpet_write(&c, HPET_CONFIG, HPET_CFG_ENABLE, 1000);
    return c;
}

static void test_hpet_counter(void **state)
{
    struct hpet_chip c = hpet_running();

    (void)state;
    assert_true(hpet_chip_read(&c, HPET_ID, 0) == 0x009896808086a201ull);
    assert_int_equal(hpet_chip_read(&c, HPET_COUNTER, 1500), 500);
    hpet_write(&c, HPET_COUNTER, 7, 1500); /* running: no effect */
    assert_int_equal(hpet_chip_read(&c, HPET_COUNTER, 1500), 500);
    hpet_write(&c, HPET_CONFIG, 0, 1600);
    assert_int_equal(hpet_chip_read(&c, HPET_COUNTER, 9000), 600);
    hpet_chip_write(&c, HPET_COUNTER, 5ull << 32, 0xffffffff00000000ull, 9000);
    assert_true(hpet_chip_read(&c, HPET_COUNTER, 9000) == (5ull << 32 | 600));
    hpet_write(&c, HPET_CONFIG, HPET_CFG_ENABLE, 10000);
    hpet_chip_shift(&c, -(uint64_t)10000);
    assert_true(hpet_chip_read(&c, HPET_COUNTER, 1) == (5ull << 32 | 601));
}

static void test_hpet_one_shot(void **state)
{
    struct hpet_chip c = hpet_running();

    (void)state;
    hpet_write(&c, 0x120, 20u << HPET_TN_ROUTE_SHIFT | HPET_TN_ENABLE, 1000);
    assert_int_equal(hpet_chip_line(&c, 1), 20);
    hpet_write(&c, 0x128, 100, 1050);
    assert_int_equal(hpet_chip_due(&c, 1050), 1100);
    assert_int_equal(hpet_chip_poll(&c, 1099), 0);
    assert_int_equal(hpet_chip_poll(&c, 1100), 2);
    assert_int_equal(hpet_chip_poll(&c, 1200), 0);
    assert_true(hpet_chip_due(&c, 1200) == HPET_CHIP_NEVER);
    hpet_write(&c, 0x128, 50, 1300); /* already past */
    assert_true(hpet_chip_due(&c, 1300) == HPET_CHIP_NEVER);
    hpet_write(&c, 0x120, 3u << HPET_TN_ROUTE_SHIFT, 1300); /* no such route */
    assert_int_equal(hpet_chip_line(&c, 1), 20);
}

static void test_hpet_periodic(void **state)
{
    struct hpet_chip c = hpet_running();

    (void)state;
    hpet_write(&c, 0x100, HPET_TN_ENABLE | HPET_TN_PERIODIC | HPET_TN_SETVAL | HPET_TN_32BIT, 1000);
    hpet_write(&c, 0x108, 100, 1000);
    hpet_write(&c, 0x108, 30, 1000);
    assert_int_equal(hpet_chip_read(&c, 0x108, 1000), 100);
    assert_int_equal(hpet_chip_poll(&c, 1100), 1);
    assert_int_equal(hpet_chip_due(&c, 1100), 1130);
    assert_int_equal(hpet_chip_poll(&c, 1195), 1); /* several at once are one */
    assert_int_equal(hpet_chip_due(&c, 1195), 1220);
    assert_int_equal(hpet_chip_read(&c, 0x108, 1195), 220);
}

static void test_hpet_level_and_legacy(void **state)
{
    struct hpet_chip c = hpet_running();

    (void)state;
    hpet_write(&c, 0x140, 21u << 9 | HPET_TN_LEVEL | HPET_TN_ENABLE, 1000);
    hpet_write(&c, 0x148, 10, 1000);
    assert_int_equal(hpet_chip_poll(&c, 1010), 4);
    assert_int_equal(hpet_chip_read(&c, HPET_STATUS, 1010), 4);
    hpet_write(&c, HPET_STATUS, 4, 1010);
    assert_int_equal(hpet_chip_read(&c, HPET_STATUS, 1010), 0);
    hpet_write(&c, HPET_CONFIG, HPET_CFG_ENABLE | HPET_CFG_LEGACY, 1020);
    assert_int_equal(hpet_chip_line(&c, 0), 0);
    assert_int_equal(hpet_chip_line(&c, 1), 8);
    assert_int_equal(hpet_chip_line(&c, 2), 21);
}

/* 2024-02-29 23:59:58 UTC. */
#define LEAP_DAY (1709251198ll * SECOND)

static struct mc146818 rtc_at(int64_t now)
{
    struct mc146818 c;

    mc146818_init(&c, now);
    return c;
}

static void check_time(struct mc146818 *c, int64_t now, const uint8_t expect[8])
{
    static const uint8_t regs[8] = {RTC_CENTURY_REG, RTC_YEAR,    RTC_MONTH,   RTC_DAY,
                                    RTC_HOURS,       RTC_MINUTES, RTC_SECONDS, RTC_WEEKDAY};

    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(mc146818_read(c, regs[i], now), expect[i]);
}

static void test_rtc_time(void **state)
{
    struct mc146818 c = rtc_at(LEAP_DAY);

    (void)state;
    check_time(&c, LEAP_DAY, (uint8_t[]){0x20, 0x24, 0x02, 0x29, 0x23, 0x59, 0x58, 5});
    check_time(&c, LEAP_DAY + 2 * SECOND, (uint8_t[]){0x20, 0x24, 0x03, 0x01, 0, 0, 0, 6});
    mc146818_write(&c, RTC_B, RTC_B_BINARY, LEAP_DAY); /* 12 hours */
    assert_int_equal(mc146818_read(&c, RTC_HOURS, LEAP_DAY), 0x80 | 11);
    assert_int_equal(mc146818_read(&c, RTC_HOURS, LEAP_DAY + 2 * SECOND), 12);
    assert_int_equal(mc146818_read(&c, RTC_MINUTES, LEAP_DAY), 59);
    assert_int_equal(mc146818_read(&c, RTC_D, LEAP_DAY), 0x80);
}

static void test_rtc_set(void **state)
{
    struct mc146818 c = rtc_at(LEAP_DAY);
    static const uint8_t t[][2] = {{RTC_CENTURY_REG, 0x19}, {RTC_YEAR, 0x99},   {RTC_MONTH, 0x12},
                                   {RTC_DAY, 0x31},         {RTC_HOURS, 0x12},  {RTC_MINUTES, 0x34},
                                   {RTC_SECONDS, 0x56},     {RTC_WEEKDAY, 0x06}};

    (void)state;
    mc146818_write(&c, RTC_B, RTC_B_24H | RTC_B_SET, LEAP_DAY);
    for (unsigned i = 0; i < 8; i++)
        mc146818_write(&c, t[i][0], t[i][1], LEAP_DAY);
    assert_int_equal(mc146818_read(&c, RTC_SECONDS, LEAP_DAY + 9 * SECOND), 0x56); /* halted */
    mc146818_write(&c, RTC_B, RTC_B_24H, LEAP_DAY + 10 * SECOND);
    check_time(&c, LEAP_DAY + 14 * SECOND,
               (uint8_t[]){0x19, 0x99, 0x12, 0x31, 0x12, 0x35, 0x00, 6});
}

static void test_rtc_update_and_uip(void **state)
{
    struct mc146818 c = rtc_at(LEAP_DAY);

    (void)state;
    mc146818_write(&c, RTC_B, RTC_B_24H | RTC_B_UIE, LEAP_DAY + 5);
    assert_true(mc146818_due(&c, LEAP_DAY + 5) == LEAP_DAY + SECOND);
    assert_int_equal(mc146818_read(&c, RTC_A, LEAP_DAY + SECOND - 1000) & RTC_A_UIP, RTC_A_UIP);
    assert_int_equal(mc146818_read(&c, RTC_A, LEAP_DAY + SECOND) & RTC_A_UIP, 0);
    assert_true(mc146818_irq(&c));
    assert_true(mc146818_due(&c, LEAP_DAY + SECOND) == MC146818_NEVER); /* until C is read */
    assert_int_equal(mc146818_read(&c, RTC_C, LEAP_DAY + SECOND) & 0x90, 0x90);
    assert_false(mc146818_irq(&c));
    assert_int_equal(mc146818_read(&c, RTC_C, LEAP_DAY + SECOND), 0);
}

static void test_rtc_alarm(void **state)
{
    struct mc146818 c = rtc_at(LEAP_DAY);

    (void)state;
    mc146818_write(&c, RTC_HOURS_ALARM, 0x01, LEAP_DAY);
    mc146818_write(&c, RTC_MINUTES_ALARM, 0x02, LEAP_DAY);
    mc146818_write(&c, RTC_SECONDS_ALARM, 0x03, LEAP_DAY);
    mc146818_write(&c, RTC_B, RTC_B_24H | RTC_B_AIE, LEAP_DAY);
    assert_true(mc146818_due(&c, LEAP_DAY) == LEAP_DAY + (2 + 3723) * SECOND);
    mc146818_write(&c, RTC_HOURS_ALARM, 0xff, LEAP_DAY); /* every hour */
    assert_true(mc146818_due(&c, LEAP_DAY) == LEAP_DAY + (2 + 123) * SECOND);
    mc146818_poll(&c, LEAP_DAY + 124 * SECOND);
    assert_false(mc146818_irq(&c));
    mc146818_poll(&c, LEAP_DAY + 125 * SECOND);
    assert_true(mc146818_irq(&c));
    mc146818_read(&c, RTC_C, LEAP_DAY + 125 * SECOND);
    mc146818_write(&c, RTC_SECONDS_ALARM, 0x99, LEAP_DAY); /* no such second */
    assert_true(mc146818_due(&c, LEAP_DAY) == MC146818_NEVER);
}

static void test_rtc_periodic(void **state)
{
    struct mc146818 c = rtc_at(LEAP_DAY);

    (void)state;
    mc146818_write(&c, RTC_B, RTC_B_24H | RTC_B_PIE, LEAP_DAY);
    assert_int_equal(mc146818_due(&c, LEAP_DAY) - LEAP_DAY <= 976562, 1); /* 1024 Hz */
    mc146818_poll(&c, LEAP_DAY + 1000000);
    assert_int_equal(mc146818_read(&c, RTC_C, LEAP_DAY + 1000000), RTC_C_IRQF | RTC_C_PF);
    mc146818_reset(&c, LEAP_DAY);
    assert_int_equal(mc146818_read(&c, RTC_B, LEAP_DAY), RTC_B_24H);
}

static struct acpi_chip acpi(void)
{
    struct acpi_chip c = {.timer_bits = 24};

    acpi_chip_reset(&c, 100);
    return c;
}

static void test_acpi_button(void **state)
{
    struct acpi_chip c = acpi();

    (void)state;
    acpi_chip_power_button(&c);
    assert_false(acpi_chip_sci(&c));
    acpi_chip_write(&c, ACPI_CHIP_ENABLE, ACPI_PWRBTN, 2, 100);
    assert_true(acpi_chip_sci(&c));
    assert_int_equal(acpi_chip_read(&c, ACPI_CHIP_STATUS, 4, 100), 0x01000100);
    acpi_chip_write(&c, ACPI_CHIP_STATUS + 1, 1, 1, 100); /* by bytes as well */
    assert_false(acpi_chip_sci(&c));
}

static void test_acpi_sleep(void **state)
{
    struct acpi_chip c = acpi();

    (void)state;
    assert_int_equal(acpi_chip_read(&c, ACPI_CHIP_CONTROL, 2, 100), 1);
    assert_int_equal(acpi_chip_write(&c, ACPI_CHIP_CONTROL, 5 << 10, 2, 100), -1);
    assert_int_equal(acpi_chip_write(&c, ACPI_CHIP_CONTROL, 5 << 10 | 1 << 13, 2, 100), 5);
    assert_int_equal(acpi_chip_read(&c, ACPI_CHIP_CONTROL, 2, 100), 5 << 10 | 1);
}

static void test_acpi_wake(void **state)
{
    struct acpi_chip c = acpi();

    (void)state;
    acpi_chip_wake(&c, false);
    assert_int_equal(acpi_chip_read(&c, ACPI_CHIP_STATUS, 2, 100), ACPI_WAK);
    assert_false(acpi_chip_sci(&c));
    acpi_chip_write(&c, ACPI_CHIP_ENABLE, ACPI_RTC, 2, 100);
    acpi_chip_wake(&c, true);
    assert_int_equal(acpi_chip_read(&c, ACPI_CHIP_STATUS, 2, 100), ACPI_WAK | ACPI_RTC);
    assert_true(acpi_chip_sci(&c));
    acpi_chip_write(&c, ACPI_CHIP_STATUS, ACPI_WAK | ACPI_RTC, 2, 100);
    assert_false(acpi_chip_sci(&c));
}

static void test_acpi_timer(void **state)
{
    struct acpi_chip c = acpi();

    (void)state;
    assert_int_equal(acpi_chip_read(&c, ACPI_CHIP_TIMER, 4, 150), 50);
    acpi_chip_write(&c, ACPI_CHIP_ENABLE, ACPI_TMR, 2, 150);
    assert_int_equal(acpi_chip_due(&c), 100 + (1 << 23));
    acpi_chip_poll(&c, 100 + (1 << 23));
    assert_true(acpi_chip_sci(&c));
    acpi_chip_write(&c, ACPI_CHIP_STATUS, ACPI_TMR, 2, 100 + (1 << 23));
    assert_false(acpi_chip_sci(&c));
    assert_int_equal(acpi_chip_due(&c), 100 + (1 << 24));
    assert_int_equal(acpi_chip_read(&c, ACPI_CHIP_TIMER, 4, 101 + (1 << 24)), 1);
    acpi_chip_shift(&c, -(uint64_t)100);
    assert_int_equal(acpi_chip_read(&c, ACPI_CHIP_TIMER, 4, 1 << 20), 1 << 20);
}

static void test_acpi_gpe(void **state)
{
    struct acpi_chip c = acpi();

    (void)state;
    acpi_chip_gpe(&c, 17);
    acpi_chip_write(&c, ACPI_CHIP_GPE_ENABLE, 1 << 17, 4, 100);
    assert_true(acpi_chip_sci(&c));
    acpi_chip_write(&c, ACPI_CHIP_GPE_STATUS + 2, 2, 1, 100);
    assert_false(acpi_chip_sci(&c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hpet_counter),       cmocka_unit_test(test_hpet_one_shot),
        cmocka_unit_test(test_hpet_periodic),      cmocka_unit_test(test_hpet_level_and_legacy),
        cmocka_unit_test(test_rtc_time),           cmocka_unit_test(test_rtc_set),
        cmocka_unit_test(test_rtc_update_and_uip), cmocka_unit_test(test_rtc_alarm),
        cmocka_unit_test(test_rtc_periodic),       cmocka_unit_test(test_acpi_button),
        cmocka_unit_test(test_acpi_sleep),         cmocka_unit_test(test_acpi_wake),
        cmocka_unit_test(test_acpi_timer),         cmocka_unit_test(test_acpi_gpe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
