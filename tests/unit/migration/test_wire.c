/* SPDX-License-Identifier: MIT */
/* Numbers and strings of messages: reading never leaves the buffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "migration/wire.h"

static PmWireReader reader_of(const PmWireWriter *writer)
{
    return (PmWireReader){.bytes = writer->bytes, .n_left = writer->size};
}

static void values_are_read_as_written(void **state)
{
    g_auto(PmWireWriter) writer = {0};
    g_autofree char *text = NULL;
    PmWireReader reader;

    (void)state;
    pm_wire_put(&writer, UINT64_MAX);
    pm_wire_put_string(&writer, "0000:00:04.0");
    pm_wire_put(&writer, 7);
    reader = reader_of(&writer);
    assert_true(pm_wire_get(&reader) == UINT64_MAX);
    text = pm_wire_get_string(&reader, 12);
    assert_string_equal(text, "0000:00:04.0");
    assert_int_equal(pm_wire_get_up_to(&reader, 7), 7);
    assert_false(reader.failed);
    assert_int_equal(reader.n_left, 0);
}

static void read_past_the_end_fails(void **state)
{
    g_auto(PmWireWriter) writer = {0};
    PmWireReader reader;

    (void)state;
    pm_wire_put(&writer, 1);
    reader = reader_of(&writer);
    reader.n_left--;
    assert_int_equal(pm_wire_get(&reader), 0);
    assert_true(reader.failed);
}

static void number_over_its_maximum_fails(void **state)
{
    g_auto(PmWireWriter) writer = {0};
    PmWireReader reader;

    (void)state;
    pm_wire_put(&writer, 8);
    reader = reader_of(&writer);
    assert_int_equal(pm_wire_get_up_to(&reader, 7), 0);
    assert_true(reader.failed);
}

static void count_of_more_than_is_left_fails(void **state)
{
    g_auto(PmWireWriter) writer = {0};
    PmWireReader reader;

    (void)state;
    pm_wire_put(&writer, 2);
    pm_wire_put(&writer, 0);
    reader = reader_of(&writer);
    assert_int_equal(pm_wire_get_count(&reader, sizeof(uint64_t)), 0);
    assert_true(reader.failed);
}

static void string_past_the_end_too_long_or_not_utf8_fails(void **state)
{
    static const char *const texts[] = {"too long", "\xff"};
    g_auto(PmWireWriter) cut = {0};
    PmWireReader reader;

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_auto(PmWireWriter) writer = {0};

        pm_wire_put_string(&writer, texts[i]);
        reader = reader_of(&writer);
        assert_null(pm_wire_get_string(&reader, 7));
        assert_true(reader.failed);
    }
    pm_wire_put_string(&cut, "cut");
    reader = reader_of(&cut);
    reader.n_left--;
    assert_null(pm_wire_get_string(&reader, 7));
    assert_true(reader.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_as_written),
        cmocka_unit_test(read_past_the_end_fails),
        cmocka_unit_test(number_over_its_maximum_fails),
        cmocka_unit_test(count_of_more_than_is_left_fails),
        cmocka_unit_test(string_past_the_end_too_long_or_not_utf8_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
