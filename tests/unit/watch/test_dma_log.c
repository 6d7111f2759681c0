/* SPDX-License-Identifier: MIT */
/* The reader of DMA logs. */
#include "dma_log_util.h"

#include <errno.h>

static PmLineReader reader;

static void assert_refused(const char *text, const char *message)
{
    PmDmaLogCall call;
    g_autoptr(GError) error = NULL;

    line_set(&reader, text);
    assert_false(pm_dma_log_parse(&reader, &call, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_BAD_INPUT));
    assert_true(g_str_has_prefix(error->message, "log:7: "));
    if (strstr(error->message, message) == NULL)
        fail_msg("expected '%s' in: %s", message, error->message);
}

static void a_call_has_all_that_the_line_says(void **state)
{
    PmDmaLogCall map =
        line_parse(&reader, "@12.5 map iova=0x100000000 size=4M vaddr=0x7f00 flags=rw "
                            "pid=4711 space=a/b ns=902 -> ENOSPC # full");

    (void)state;
    assert_int_equal(map.kind, PM_DMA_LOG_MAP);
    assert_int_equal(map.time_ns, 12500000000);
    assert_int_equal(map.iova, 0x100000000);
    assert_int_equal(map.size, 4 << 20);
    assert_true(map.has_pid);
    assert_int_equal(map.pid, 4711);
    assert_string_equal(map.space, "a/b");
    assert_int_equal(map.latency_ns, 902);
    assert_int_equal(map.error_number, ENOSPC);
    assert_int_equal(map.line, 7);
    assert_false(map.all);
    assert_false(map.has_unmapped);
}

static void what_a_line_does_not_say_is_not_there(void **state)
{
    PmDmaLogCall unmap = line_parse(&reader, "unmap iova=0x1000 size=0x2000");

    (void)state;
    assert_int_equal(unmap.kind, PM_DMA_LOG_UNMAP);
    assert_int_equal(unmap.time_ns, -1);
    assert_int_equal(unmap.latency_ns, -1);
    assert_false(unmap.has_pid);
    assert_null(unmap.space);
    assert_int_equal(unmap.error_number, 0);
    assert_false(unmap.all);
}

static void unmap_reports_what_the_kernel_unmapped(void **state)
{
    PmDmaLogCall unmap = line_parse(&reader, "unmap iova=0x1000 size=0x2000 unmapped=0x1000 -> ok");

    (void)state;
    assert_true(unmap.has_unmapped);
    assert_int_equal(unmap.unmapped, 0x1000);
}

static void an_unmap_of_everything_is_written_in_two_ways(void **state)
{
    PmDmaLogCall word = line_parse(&reader, "unmap all pid=1");
    PmDmaLogCall range = line_parse(&reader, "unmap iova=0 size=0xffffffffffffffff");
    PmDmaLogCall half = line_parse(&reader, "unmap iova=0 size=0x8000000000000000");

    (void)state;
    assert_true(word.all);
    assert_int_equal(word.pid, 1);
    assert_true(range.all);
    assert_false(half.all);
}

static void an_end_is_of_a_space_a_process_or_the_log(void **state)
{
    PmDmaLogCall of_space = line_parse(&reader, "@1 end space=a");
    PmDmaLogCall of_log;

    (void)state;
    assert_int_equal(of_space.kind, PM_DMA_LOG_END);
    assert_string_equal(of_space.space, "a");
    of_log = line_parse(&reader, "end");
    assert_int_equal(of_log.kind, PM_DMA_LOG_END);
    assert_null(of_log.space);
    assert_false(of_log.has_pid);
}

static void blank_lines_and_comments_are_nothing(void **state)
{
    static const char *const lines[] = {"", "  \t ", "# map iova=1", "  #"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
        assert_int_equal(line_parse(&reader, lines[i]).kind, PM_DMA_LOG_NOTHING);
}

static void unknown_keys_are_ignored(void **state)
{
    PmDmaLogCall map = line_parse(&reader, "map node=1 iova=0x1000 size=0x1000 color=red");

    (void)state;
    assert_int_equal(map.iova, 0x1000);
    assert_int_equal(map.size, 0x1000);
}

static void a_result_is_ok_a_name_or_a_number(void **state)
{
    (void)state;
    assert_int_equal(line_parse(&reader, "map iova=0 size=4K -> ok").error_number, 0);
    assert_int_equal(line_parse(&reader, "map iova=0 size=4K -> 0").error_number, 0);
    assert_int_equal(line_parse(&reader, "map iova=0 size=4K -> EEXIST").error_number, EEXIST);
    assert_int_equal(line_parse(&reader, "map iova=0 size=4K -> 12").error_number, ENOMEM);
}

static void failed_calls_may_have_any_range(void **state)
{
    PmDmaLogCall empty = line_parse(&reader, "map iova=0x1000 size=0 -> EINVAL");
    PmDmaLogCall beyond = line_parse(&reader, "map iova=0xfffffffffffff000 size=8K -> EINVAL");

    (void)state;
    assert_int_equal(empty.size, 0);
    assert_int_equal(beyond.size, 8192);
}

static void a_mapping_may_end_with_the_last_address(void **state)
{
    PmDmaLogCall map = line_parse(&reader, "map iova=0xfffffffffffff000 size=4K");

    (void)state;
    assert_int_equal(map.iova + (map.size - 1), UINT64_MAX);
}

static void bad_lines_are_refused_with_file_and_line(void **state)
{
    static const struct {
        const char *line;
        const char *message;
    } cases[] = {
        {"mapp iova=0 size=4K", "unknown call 'mapp': must be map, unmap or end"},
        {"map size=4K", "missing iova="},
        {"map iova=0", "missing size="},
        {"unmap iova=x size=4K", "iova: "},
        {"map iova=0 size=-4K", "size: "},
        {"map iova=0 size=0", "invalid size 0"},
        {"unmap iova=0 size=0", "'unmap all' unmaps everything"},
        {"map all", "missing iova="},
        {"map iova=0xfffffffffffff000 size=8K", "ends past 2^64-1"},
        {"map iova=0 size=0xffffffffffffffff all", "unexpected word 'all'"},
        {"map iova=0 size=4K ok", "unexpected word 'ok'"},
        {"map iova=0 size=4K -> EWHAT", "invalid result 'EWHAT'"},
        {"map iova=0 size=4K -> 4096", "invalid result '4096'"},
        {"map iova=0 size=4K -> -28", "invalid result '-28'"},
        {"map iova=0 size=4K ->ok", "'->' must have spaces around it"},
        {"map iova=0 size=4K ns=fast", "ns: "},
        {"map iova=0 size=4K pid=", "pid: "},
        {"unmap iova=0 size=4K unmapped=all", "unmapped: "},
        {"end -> ok", "invalid result 'ok' of end"},
        {"@later map iova=0 size=4K", "invalid time '@later'"},
        {"@4611686019 map iova=0 size=4K", "invalid time '@4611686019'"},
        {"mapp\033[2J iova=0 size=4K", "unknown call 'mapp?[2J'"},
        {"@1", "missing event after the time"},
        {"map a= b= c= d= e= f= g= h= i= j= k= l= m= n= o= p=", "too many words"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        assert_refused(cases[i].line, cases[i].message);
}

static void a_long_line_is_refused(void **state)
{
    PmDmaLogCall call;
    g_autoptr(GError) error = NULL;

    (void)state;
    line_set(&reader, "map iova=0 size=4K");
    reader.too_long = true;
    assert_false(pm_dma_log_parse(&reader, &call, &error));
    assert_non_null(strstr(error->message, "line too long"));
}

static void lines_of_a_dma_log_differ_from_those_of_traces(void **state)
{
    static const char *const its_own[] = {"map iova=0 size=4K", "@1.5 unmap all", "  end", "end#",
                                          "@1\tmap"};
    static const char *const others[] = {
        "plugmap-trace 1",
        "",
        "# map",
        "mapping x",
        "@1.5 plug addr=0 blocks=1",
        "12@1700000000.123456:virtio_mem_plug_request addr=0x100000000 nb_blocks=1",
        "virtio_mem_plug_request addr=0x100000000 nb_blocks=1",
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(its_own); i++)
        assert_true(pm_dma_log_is_line(its_own[i]));
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        assert_false(pm_dma_log_is_line(others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_has_all_that_the_line_says),
        cmocka_unit_test(what_a_line_does_not_say_is_not_there),
        cmocka_unit_test(unmap_reports_what_the_kernel_unmapped),
        cmocka_unit_test(an_unmap_of_everything_is_written_in_two_ways),
        cmocka_unit_test(an_end_is_of_a_space_a_process_or_the_log),
        cmocka_unit_test(blank_lines_and_comments_are_nothing),
        cmocka_unit_test(unknown_keys_are_ignored),
        cmocka_unit_test(a_result_is_ok_a_name_or_a_number),
        cmocka_unit_test(failed_calls_may_have_any_range),
        cmocka_unit_test(a_mapping_may_end_with_the_last_address),
        cmocka_unit_test(bad_lines_are_refused_with_file_and_line),
        cmocka_unit_test(a_long_line_is_refused),
        cmocka_unit_test(lines_of_a_dma_log_differ_from_those_of_traces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
