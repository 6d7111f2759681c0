/* SPDX-License-Identifier: MIT */
#include "util/random_util.h"
#include "util/trace_util.h"

#define CONVERTING "plugmap-trace 1\nregion addr=0x100000000 size=64M block=2M granularity=4K\n"
#define HEADER     "plugmap-trace 1\nregion addr=0x100000000 size=64M block=2M requested=32M\n"

#define TWO                                                                                        \
    "plugmap-trace 1\n"                                                                            \
    "region device=a addr=0x100000000 size=64M block=2M\n"                                         \
    "region device=b addr=0x110000000 size=32M block=4M requested-max=8M\n"

static PmTrace *load(const char *text)
{
    g_autoptr(GError) error = NULL;
    PmTrace *trace = load_text(text, NULL, &error);

    if (trace == NULL)
        fail_msg("%s", error->message);
    return trace;
}

/* The first code block in that language. */
static char *documented_example(const char *language)
{
    g_autofree char *begin_mark = g_strdup_printf("```%s\n", language);
    g_autofree char *document = NULL;
    char *begin;

    assert_true(
        g_file_get_contents(PLUGMAP_SOURCE_DIR "/docs/trace-format.md", &document, NULL, NULL));
    begin = strstr(document, begin_mark);
    assert_non_null(begin);
    begin += strlen(begin_mark);
    return g_strndup(begin, (size_t)(strstr(begin, "```") - begin));
}

static void the_documented_example_is_read(void **state)
{
    g_autofree char *text = documented_example("trace");
    g_autoptr(PmTrace) trace = load(text);

    (void)state;
    assert_int_equal(pm_trace_region(trace, 0)->address, 0x100000000);
    assert_int_equal(pm_trace_region(trace, 0)->size, 4 * PM_GIB);
    assert_int_equal(pm_trace_region(trace, 0)->block_size, 2 * PM_MIB);
    assert_int_equal(pm_trace_region(trace, 0)->requested_size, PM_GIB);
    assert_int_equal(trace->events->len, 7);
    assert_int_equal(event_at(trace, 0)->type, PM_EVENT_PLUG);
    assert_int_equal(event_at(trace, 0)->n_blocks, 64);
    assert_int_equal(event_at(trace, 0)->response, VIRTIO_MEM_RESP_ACK);
    assert_int_equal(event_at(trace, 0)->time_ns, 0);
    assert_int_equal(event_at(trace, 0)->line, 3);
    assert_int_equal(event_at(trace, 1)->type, PM_EVENT_STATE);
    assert_int_equal(event_at(trace, 1)->state, VIRTIO_MEM_STATE_MIXED);
    assert_int_equal(event_at(trace, 1)->response, VIRTIO_MEM_RESP_ACK);
    assert_int_equal(event_at(trace, 1)->time_ns, 12500000);
    assert_int_equal(event_at(trace, 2)->type, PM_EVENT_RESIZE);
    assert_int_equal(event_at(trace, 2)->size, 512 * PM_MIB);
    assert_int_equal(event_at(trace, 2)->time_ns, 1500000000);
    assert_int_equal(event_at(trace, 3)->time_ns, -1);
    assert_int_equal(event_at(trace, 4)->response, VIRTIO_MEM_RESP_ERROR);
    assert_int_equal(event_at(trace, 5)->type, PM_EVENT_UNPLUG_ALL);
    assert_int_equal(event_at(trace, 6)->type, PM_EVENT_RESET);
    assert_int_equal(event_at(trace, 6)->response, -1);
}

static void the_documented_example_of_two_devices_is_read(void **state)
{
    g_autofree char *text = documented_example("trace-of-two");
    g_autoptr(PmTrace) trace = load(text);

    (void)state;
    assert_int_equal(trace->regions->len, 2);
    assert_string_equal(pm_trace_region(trace, 1)->name, "vm1");
    assert_int_equal(event_at(trace, 2)->region, 1);
    assert_int_equal(event_at(trace, 3)->type, PM_EVENT_RESET);
}

static void the_documented_example_of_conversions_is_read(void **state)
{
    g_autofree char *text = documented_example("trace-of-conversions");
    g_autoptr(PmTrace) trace = load(text);

    (void)state;
    assert_int_equal(pm_trace_region(trace, 0)->granularity, 4 * PM_KIB);
    assert_int_equal(event_at(trace, 1)->type, PM_EVENT_CONVERT);
    assert_int_equal(event_at(trace, 1)->address, 0x100003000);
    assert_int_equal(event_at(trace, 1)->size, 12 * PM_KIB);
    assert_false(event_at(trace, 1)->shared);
    assert_true(event_at(trace, 3)->shared);
}

static void the_documented_example_with_an_iommu_is_read(void **state)
{
    g_autofree char *text = documented_example("trace-with-iommu");
    g_autoptr(PmTrace) trace = load(text);

    (void)state;
    assert_int_equal(event_at(trace, 0)->type, PM_EVENT_IOMMU_MAP);
    assert_int_equal(event_at(trace, 0)->iova, 0x10000000);
    assert_int_equal(event_at(trace, 0)->address, 0x100000000);
    assert_int_equal(event_at(trace, 0)->size, 4 * PM_KIB);
    assert_int_equal(event_at(trace, 0)->access, 3);
    assert_int_equal(event_at(trace, 0)->response, 7);
    assert_int_equal(event_at(trace, 4)->type, PM_EVENT_IOMMU_UNMAP);
    assert_int_equal(event_at(trace, 4)->response, 0);
}

static void requested_size_defaults_to_the_region_size(void **state)
{
    g_autoptr(PmTrace) trace = load("plugmap-trace 1\nregion addr=0 size=64M block=2M\n");

    (void)state;
    assert_int_equal(pm_trace_region(trace, 0)->requested_size, 64 * PM_MIB);
    assert_int_equal(trace->events->len, 0);
}

static void comments_blank_lines_and_crlf_are_accepted(void **state)
{
    g_autoptr(PmTrace) trace = load("plugmap-trace 1\r\n# a comment\r\n\r\n"
                                    "region size=64M block=2M addr=0\r\n"
                                    "  plug   blocks=2\taddr=0 -> ack # more\r\nreset");

    (void)state;
    assert_int_equal(trace->events->len, 2);
    assert_int_equal(event_at(trace, 0)->n_blocks, 2);
    assert_int_equal(event_at(trace, 0)->line, 5);
}

static void requests_that_the_device_refuses_are_read(void **state)
{
    g_autoptr(PmTrace) trace =
        load(HEADER "plug addr=0x100000001 blocks=1 -> error\nplug addr=0x100000000 blocks=0\n");

    (void)state;
    assert_int_equal(trace->events->len, 2);
}

static void events_of_several_devices_have_names(void **state)
{
    g_autoptr(PmTrace) trace = load(TWO "plug device=b addr=0x110000000 blocks=2 -> ack\n"
                                        "state addr=0x100000000 blocks=1 device=a\n"
                                        "resize device=b size=4M\n"
                                        "unplug-all device=b -> ack\n"
                                        "reset\n");
    g_autoptr(PmTrace) read_back = round_trip(trace);

    (void)state;
    assert_int_equal(trace->regions->len, 2);
    assert_string_equal(pm_trace_region(trace, 1)->name, "b");
    assert_int_equal(pm_trace_region(trace, 1)->block_size, 4 * PM_MIB);
    assert_true(pm_trace_region(trace, 1)->requested_is_bound);
    assert_false(pm_trace_region(trace, 0)->requested_is_bound);
    assert_int_equal(event_at(trace, 0)->region, 1);
    assert_int_equal(event_at(trace, 1)->region, 0);
    assert_int_equal(event_at(trace, 2)->region, 1);
    assert_int_equal(event_at(trace, 3)->region, 1);
    assert_same_trace(read_back, trace);
}

static void the_name_of_a_single_device_is_optional_in_events(void **state)
{
    g_autoptr(PmTrace) trace = load("plugmap-trace 1\nregion device=vm0 addr=0 size=64M block=2M\n"
                                    "plug addr=0 blocks=1\nunplug-all device=vm0\n");

    (void)state;
    assert_string_equal(pm_trace_region(trace, 0)->name, "vm0");
    assert_int_equal(trace->events->len, 2);
}

static void at_most_256_regions_are_read(void **state)
{
    GString *text = g_string_new("plugmap-trace 1\n");
    g_autoptr(PmTrace) trace = NULL;

    (void)state;
    for (unsigned i = 0; i < 256; i++)
        g_string_append_printf(text, "region device=d%u addr=%uG size=64M block=2M\n", i, i);
    trace = load(text->str);
    assert_int_equal(trace->regions->len, 256);
    g_string_append(text, "region device=more addr=1T size=64M block=2M\n");
    assert_text_refused(text->str, NULL, ":258: too many regions");
    g_string_free(text, TRUE);
}

static void each_error_has_its_line(void **state)
{
    static const struct {
        const char *text;
        const char *hint;
    } table[] = {
        {"plugmap-trace\n", ":1: missing header"},
        {"plugmap-trace 2\n", ":1: unsupported version 2"},
        {"plugmap-trace 1\n", "missing region"},
        {"plugmap-trace 1\nplug addr=0 blocks=1\n", ":2: missing region"},
        {"plugmap-trace 1\nregion addr=0 size=64M\n", ":2: missing block="},
        {"plugmap-trace 1\nregion addr=0 block=2M\n", ":2: missing size="},
        {"plugmap-trace 1\nregion size=64M block=2M\n", ":2: missing addr="},
        {"plugmap-trace 1\nregion addr=0 size=64M block=2M colour=red\n",
         ":2: unexpected word 'colour=red'"},
        {"plugmap-trace 1\nregion addr=0 size=64M block=3M\n", "power of two"},
        {"plugmap-trace 1\nregion addr=0 size=64M block=2K\n", "at least 4K"},
        {"plugmap-trace 1\nregion addr=0 size=63M block=2M\n", "whole blocks"},
        {"plugmap-trace 1\nregion addr=0 size=0 block=2M\n", "whole blocks"},
        {"plugmap-trace 1\nregion addr=0 size=8E block=2M\n", ":2: invalid region size 8E"},
        {"plugmap-trace 1\nregion addr=0 size=6E block=2E\n", ":2: invalid region size 6E"},
        {"plugmap-trace 1\nregion addr=1M size=64M block=2M\n", "multiple of the block"},
        {"plugmap-trace 1\nregion addr=0 size=64M block=2M requested=65M\n", "requested size"},
        {"plugmap-trace 1\nregion addr=0xfffffffffe000000 size=64M block=2M\n", "64-bit"},
        {HEADER "region addr=8G size=64M block=2M\n", ":3: missing device=: with several regions"},
        {TWO "region device=b addr=8G size=64M block=2M\n", ":4: duplicate region of device b"},
        {TWO "region addr=8G size=64M block=2M\n", ":4: missing device=: with several regions"},
        {TWO "region device=c addr=0x101000000 size=64M block=2M\n",
         ":4: region overlaps that of device a"},
        {TWO "region device=a,b addr=8G size=64M block=2M\n", ":4: invalid device name 'a,b'"},
        {TWO "reset\nregion device=c addr=8G size=64M block=2M\n", ":5: region after an event"},
        {TWO "plug addr=0x100000000 blocks=1\n", ":4: missing device="},
        {TWO "unplug-all\n", ":4: missing device="},
        {TWO "resize size=2M\n", ":4: missing device="},
        {TWO "unplug-all device=c\n", ":4: no region of device c"},
        {TWO "plug device=b addr=0x100000000 blocks=1\n", ":4: 1 block at"},
        {TWO "reset device=a\n", ":4: unexpected word 'device=a'"},
        {HEADER "plug blocks=1\n", ":3: missing addr="},
        {HEADER "plug address=0x100000000 blocks=1\n",
         ":3: missing addr=; unexpected word 'address=0x100000000'"},
        {HEADER "plug 0x100000000 blocks=1\n", ":3: missing addr=; unexpected word '0x100000000'"},
        {HEADER "plug addr=0x100000000\n", ":3: missing blocks="},
        {HEADER "plug addr=x blocks=1\n", ":3: addr: invalid size 'x'"},
        {HEADER "plug addr=0x100000000 blocks=65536\n", ":3: invalid blocks=65536"},
        {HEADER "plug addr=0x104000000 blocks=1\n", "1 block at 0x104000000: outside"},
        {HEADER "plug addr=0xff000000 blocks=1\n", "outside the region"},
        {HEADER "plug addr=0x100000000 blocks=1 -> maybe\n",
         "invalid response 'maybe' to plug: must be ack, nack, busy or error"},
        {HEADER "plug addr=0x100000000 blocks=1 -> mixed\n", "invalid response 'mixed'"},
        {HEADER "reset -> ack\n", "invalid response 'ack' to reset: must have none"},
        {HEADER "resize size=1\n", ":3: invalid resize"},
        {HEADER "resize size=66M\n",
         ":3: invalid resize to 66M: must be whole blocks of 2M, at most the region's 64M"},
        {HEADER "resize\n", ":3: missing size="},
        {HEADER "unplug-all addr=0\n", "unexpected word 'addr=0'"},
        {HEADER "jump\n", "unknown event 'jump'"},
        {HEADER "@x plug addr=0x100000000 blocks=1\n", "invalid time '@x'"},
        {HEADER "@-1 reset\n", "invalid time"},
        {HEADER "@1.5s reset\n", "invalid time"},
        {HEADER "@99999999999999999999 reset\n", "invalid time"},
        {HEADER "@1\n", ":3: missing event"},
        {HEADER "convert addr=0x100000000 size=4K to=shared\n", "region without granularity="},
        {HEADER "iommu-map iova=0 addr=0 size=4K\n", ":3: missing access="},
        {HEADER "iommu-map iova=0 addr=0 size=4K access=x\n",
         ":3: invalid access=x: must be r, w or rw"},
        {HEADER "iommu-map iova=0 addr=0 size=4K access=-\n", ":3: invalid access="},
        {HEADER "iommu-map addr=0 size=4K access=r\n", ":3: missing iova="},
        {HEADER "iommu-map iova=0 size=4K access=r\n", ":3: missing addr="},
        {HEADER "iommu-map iova=0 addr=0 access=r\n", ":3: missing size="},
        {HEADER "iommu-map iova=0 addr=0 size=0 access=r\n", ":3: invalid range of 0 at"},
        {HEADER "iommu-unmap iova=0xfffffffffffff000 size=8K\n", ":3: invalid range of 8K"},
        {HEADER "iommu-unmap iova=0 size=4K access=r\n", ":3: unexpected word 'access=r'"},
        {HEADER "iommu-unmap iova=0 addr=0 size=4K\n", ":3: unexpected word 'addr=0'"},
        {HEADER "iommu-unmap iova=0 size=4K -> ack\n",
         "invalid response 'ack' to iommu-unmap: must be ok, ioerr, unsupp, deverr, inval, range, "
         "noent, fault or nomem"},
        {HEADER "unplug-all -> ok\n", "invalid response 'ok' to unplug-all"},
        {CONVERTING "convert addr=0x100000000 size=4K\n", ":3: missing to="},
        {CONVERTING "convert addr=0x100000000 size=4K to=both\n",
         ":3: invalid to=both: must be shared or private"},
        {CONVERTING "convert size=4K to=shared\n", ":3: missing addr="},
        {CONVERTING "convert addr=0x100000000 to=shared\n", ":3: missing size="},
        {CONVERTING "convert addr=0x100000000 size=0 to=shared\n", ":3: invalid conversion"},
        {CONVERTING "convert addr=0x100000800 size=4K to=shared\n", ":3: invalid conversion"},
        {CONVERTING "convert addr=0x100000000 size=2K to=shared\n", ":3: invalid conversion"},
        {CONVERTING "convert addr=0x103fff000 size=8K to=shared\n", ":3: invalid conversion"},
        {CONVERTING "convert addr=0xfffff000 size=8K to=shared\n", ":3: invalid conversion"},
        {CONVERTING "convert addr=0x100000000 size=4K to=shared -> ack\n",
         "invalid response 'ack' to convert"},
        {"plugmap-trace 1\nregion addr=0 size=64M block=2M granularity=0\n", "granularity 0"},
        {"plugmap-trace 1\nregion addr=0 size=64M block=2M granularity=3M\n", "granularity 3M"},
        {"plugmap-trace 1\nregion addr=0 size=64M block=2M granularity=2K\n", "granularity 2K"},
        {"plugmap-trace 1\nregion addr=0 size=64M block=2M granularity=128M\n", "granularity 128M"},
        {HEADER "a b c d e f g h i j k l m n o p q r\n", "too many words"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        assert_text_refused(table[i].text, NULL, table[i].hint);
}

static void a_line_has_at_most_4096_bytes(void **state)
{
    g_autofree char *dashes = g_strnfill(4096 - 1, '-');
    g_autofree char *fits = g_strconcat(HEADER, "#", dashes, "\nreset\n", NULL);
    g_autofree char *too_long = g_strconcat(HEADER, "##", dashes, "\nreset\n", NULL);
    g_autoptr(PmTrace) trace = load(fits);

    (void)state;
    assert_int_equal(trace->events->len, 1);
    assert_text_refused(too_long, NULL, ":3: line too long");
}

static void an_arrow_without_spaces_is_explained(void **state)
{
    static const char *const ends[] = {"blocks=2->ack", "blocks=2-> ack", "blocks=2 ->ack"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
        g_autofree char *text = g_strconcat(HEADER, "plug addr=4G ", ends[i], "\n", NULL);

        assert_text_refused(text, NULL, "'->' must have spaces around it");
    }
}

/* Of a clock that was set back: the order is that of the file. */
static void times_may_decrease(void **state)
{
    g_autoptr(PmTrace) trace = load(HEADER "@2 reset\n@1.5 reset\n@3 reset\n");

    (void)state;
    assert_int_equal(event_at(trace, 0)->time_ns, 2000000000);
    assert_int_equal(event_at(trace, 1)->time_ns, 1500000000);
    assert_int_equal(event_at(trace, 2)->time_ns, 3000000000);
}

static void options_that_contradict_the_trace_are_refused(void **state)
{
    const PmTraceGeometry same = {.block_size = 2 * PM_MIB, .region_size = 64 * PM_MIB};
    const PmTraceGeometry other = {.block_size = 4 * PM_MIB};
    g_autoptr(PmTrace) trace = load_text(HEADER, &same, NULL);

    (void)state;
    assert_non_null(trace);
    assert_text_refused(HEADER, &other, ":2:");
}

static PmTraceEvent random_event(GRand *rand, const PmTrace *trace)
{
    PmTraceEvent event = {
        .type = (PmEventType)g_rand_int_range(rand, 0, PM_EVENT_N_TYPES),
        .response = -1,
        .state = -1,
        .time_ns = g_rand_boolean(rand) ? (int64_t)g_rand_int(rand) * 1000003 : -1,
    };

    if (event.type == PM_EVENT_RESIZE)
        event.size =
            (uint64_t)g_rand_int_range(rand, 0, 513) * pm_trace_region(trace, 0)->block_size;
    if (event.type == PM_EVENT_RESIZE || event.type == PM_EVENT_RESET)
        return event;
    if (event.type == PM_EVENT_CONVERT) {
        event.address = pm_trace_region(trace, 0)->address +
                        (uint64_t)g_rand_int_range(rand, 0, 1 << 20) * 4096;
        event.size = (uint64_t)g_rand_int_range(rand, 1, 1 << 20) * 4096;
        event.shared = g_rand_boolean(rand);
        return event;
    }
    if (pm_event_type_is_iommu(event.type)) {
        bool maps = event.type == PM_EVENT_IOMMU_MAP;

        event.iova = (uint64_t)g_rand_int(rand) * 4096;
        event.size = (uint64_t)g_rand_int_range(rand, 1, 1 << 20) * 512;
        event.address = maps ? (uint64_t)g_rand_int(rand) * 512 : 0;
        event.access = maps ? (uint8_t)g_rand_int_range(rand, 1, 4) : 0;
        event.response = (int8_t)g_rand_int_range(rand, -1, 9);
        return event;
    }
    event.response = (int8_t)g_rand_int_range(rand, -1, 4);
    if (event.type == PM_EVENT_UNPLUG_ALL)
        return event;
    event.n_blocks = (uint16_t)g_rand_int_range(rand, 0, 65536);
    event.address = pm_trace_region(trace, 0)->address + (uint64_t)g_rand_int_range(rand, 0, 1000) *
                                                             pm_trace_region(trace, 0)->block_size /
                                                             4;
    if (event.type == PM_EVENT_STATE && event.response == VIRTIO_MEM_RESP_ACK)
        event.state = (int8_t)g_rand_int_range(rand, 0, 3);
    return event;
}

static void random_traces_survive_a_round_trip(void **state)
{
    g_autoptr(GRand) rand = random_new("trace_plugmap");
    g_autoptr(PmTrace) trace =
        load("plugmap-trace 1\nregion addr=1T size=1T block=2M requested=2M granularity=4K\n");

    (void)state;
    for (unsigned i = 0; i < random_steps(20000); i++) {
        PmTraceEvent event = random_event(rand, trace);

        g_array_append_val(trace->events, event);
    }
    {
        g_autoptr(PmTrace) read_back = round_trip(trace);

        assert_same_trace(trace, read_back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documented_example_is_read),
        cmocka_unit_test(the_documented_example_of_two_devices_is_read),
        cmocka_unit_test(the_documented_example_of_conversions_is_read),
        cmocka_unit_test(the_documented_example_with_an_iommu_is_read),
        cmocka_unit_test(requested_size_defaults_to_the_region_size),
        cmocka_unit_test(comments_blank_lines_and_crlf_are_accepted),
        cmocka_unit_test(requests_that_the_device_refuses_are_read),
        cmocka_unit_test(events_of_several_devices_have_names),
        cmocka_unit_test(the_name_of_a_single_device_is_optional_in_events),
        cmocka_unit_test(at_most_256_regions_are_read),
        cmocka_unit_test(each_error_has_its_line),
        cmocka_unit_test(a_line_has_at_most_4096_bytes),
        cmocka_unit_test(an_arrow_without_spaces_is_explained),
        cmocka_unit_test(times_may_decrease),
        cmocka_unit_test(options_that_contradict_the_trace_are_refused),
        cmocka_unit_test(random_traces_survive_a_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
