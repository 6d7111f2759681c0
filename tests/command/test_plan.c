/* SPDX-License-Identifier: MIT */
/* plugmap plan: exit status, what each option does and refuses, and the whole text for a VM that
 * does not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <plugmap/size.h>

#include "command_util.h"

#define TRACE "tests/traces/fragmented-2m.log"
#define QUICK "\"$PLUGMAP\" plan --no-measure "

static void assert_status(const char *line, int status)
{
    g_autofree char *quiet = g_strconcat(line, " >/dev/null 2>&1", NULL);
    int found = run_shell(quiet, NULL);

    if (found != status)
        fail_msg("exit status %d, expected %d: %s", found, status, line);
}

static void verdicts_have_their_exit_status(void **state)
{
    static const struct {
        const char *line;
        int status;
    } table[] = {
        {QUICK "--size 1T", 0},
        {QUICK "--size 1T --json", 0},
        {QUICK "--size 1T --block-size 16M", 1},
        {QUICK "--size 1T --block-size 16M --json", 1},
        {QUICK "--size 1T --block-size 32M", 0},
        {QUICK "--size 1T --block-size 16M --backend iommufd", 0},
        {QUICK "--size 1T --block-size 16M --entry-limit 65537", 1},
        {QUICK "--size 1T --block-size 16M --entry-limit 65538", 0},
        {QUICK "--size 1T --block-size 16M --entry-limit 65537 --boot-memory 1G", 0},
        {QUICK "--size 1T --memlock 1027G", 1},
        {QUICK "--size 1T --memlock 1028G", 0},
        {QUICK "--size 1T --memlock none", 0},
        {QUICK "--size 1T --memlock 1028G --devices 2", 0},
        {QUICK "--size 1T --memlock 2055G --devices 2 --guest-iommu", 1},
        {QUICK "--size 1T --memlock 2056G --devices 2 --guest-iommu", 0},
        {QUICK "--size 1G --guest-iommu --guest-mappings 65536", 1},
        {QUICK "--size 1G --guest-iommu --guest-mappings 65535", 0},
        {QUICK "--size 500G --iova-bits 39", 0},
        {QUICK "--size 512G --iova-bits 39", 1},
        {QUICK TRACE, 0},
        {QUICK "--boot-memory 0 --entry-limit 1024 " TRACE, 0},
        {QUICK "--boot-memory 0 --entry-limit 1023 " TRACE, 1},
        {QUICK "--boot-memory 0 --memlock 2G --json " TRACE, 0},
        {QUICK "--boot-memory 0 --memlock 2047M " TRACE, 1},
        {QUICK "--boot-memory 0 --memlock 4095M --devices 2 --guest-iommu " TRACE, 1},
        {QUICK "--boot-memory 0 --iova-bits 32 " TRACE, 1},
        {QUICK "- <" TRACE, 0},
        {QUICK "--size 1T --device ffff:1f:1f.7 --backend type1", 3},
        {QUICK "--size 1T --json >/dev/full", 2},
        {QUICK "--size 1T >/dev/full", 2},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        if (strstr(table[i].line, "/dev/full") != NULL)
            assert_int_equal(run_shell(table[i].line, NULL), table[i].status);
        else
            assert_status(table[i].line, table[i].status);
}

static void invalid_options_are_explained(void **state)
{
    static const struct {
        const char *options[3];
        const char *message;
    } table[] = {
        {{NULL}, "expected --size SIZE or a trace file (see --help)"},
        {{"--size=big"}, "--size: "},
        {{"--size=0"}, "invalid --size 0: must be at least one block"},
        {{"--size=32P"}, "invalid --size 32P: must be at most 16P"},
        {{"--size=4097"}, "invalid --size 4097: must be a multiple of the page size, 4K"},
        {{"--size=3M", "--memory=hugetlb"},
         "invalid --size 3M: must be a multiple of the page size, 2M"},
        {{"--size=1G", "--memory=disk"}, "invalid --memory disk: must be one of anon, memfd, "},
        {{"--size=1G", "--block-size=3M"},
         "invalid --block-size 3M: must be a power of two, at least 4K"},
        {{"--size=1G", "--block-size=0"}, "invalid --block-size 0: must be a power of two"},
        {{"--size=1G", "--block-size=2K"}, "invalid --block-size 2K: must be a power of two, "},
        {{"--size=1G", "--block-size=2G"},
         "invalid --size 1G: must be a multiple of the block size, 2G"},
        {{"--size=1G", "--boot-memory=1"},
         "invalid --boot-memory 1: must be a multiple of the page size, 4K"},
        {{"--size=1G", "--boot-memory=17P"}, "invalid --boot-memory 17P: must be at most 16P"},
        {{"--size=1G", "--devices=0"}, "invalid --devices 0: must be a number from 1 to 256"},
        {{"--size=1G", "--devices=257"}, "invalid --devices 257: must be a number from 1 to 256"},
        {{"--size=1G", "--devices=2", "--device=04:00.0"},
         "--devices and --device exclude each other: drop one of them"},
        {{"--size=1G", "--device=04:0"}, "04:0"},
        {{"--size=1G", "--device=04:00.0", "--device=0000:04:00.0"},
         "--device 0000:04:00.0 is there twice: drop one of them"},
        {{"--size=1G", "--guest-mappings=5"}, "--guest-mappings requires --guest-iommu"},
        {{"--size=1G", "--guest-iommu", "--guest-mappings=0"},
         "invalid --guest-mappings 0: must be a number from 1 to "},
        {{"--size=1G", "--backend=vhost"},
         "invalid --backend vhost: must be one of type1, iommufd"},
        {{"--size=1G", "--iova-bits=31"}, "invalid --iova-bits 31: must be a number from 32 to 64"},
        {{"--size=1G", "--iova-bits=65"}, "invalid --iova-bits 65: must be a number from 32 to 64"},
        {{"--size=1G", "--entry-limit=0"}, "invalid --entry-limit 0: must be a number from 1 to "},
        {{"--size=1G", "--entry-limit=9", "--backend=iommufd"},
         "--entry-limit requires --backend type1: iommufd does not limit mappings"},
        {{"--size=1G", "--memlock=lots"}, "--memlock: "},
        {{"--size=1G", "--format=plugmap"}, "--format, --region-addr and --region-size require a "},
        {{"--size=1G", TRACE}, "--size and a trace file exclude each other: drop one of them"},
        {{TRACE, TRACE}, "expected at most one trace file (see --help)"},
        {{"--guest-iommu", "--guest-mappings=1", TRACE}, "--guest-mappings requires --size: "},
        {{"--boot-memory=17P", TRACE}, "invalid --boot-memory 17P: must be at most 16P"},
        {{"tests/traces/iommu-2m.trace"}, "iommu-2m.trace:5: plan does not support a guest IOMMU"},
        {{"none"}, "none: "},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        const char *const *options = table[i].options;
        g_autoptr(Run) run = run_plugmap("plan", "--no-measure", "--json",
                                         options[0] != NULL ? options[0] : "--json", options[1],
                                         options[1] != NULL ? options[2] : NULL, NULL);
        g_autoptr(JsonParser) parser = json_parse(run);

        if (run->status != 2 || strstr(run->err, table[i].message) == NULL ||
            !g_str_has_prefix(run->err, "plugmap plan: "))
            fail_msg("status %d, expected '%s' in: %s", run->status, table[i].message, run->err);
        assert_int_equal(json_number(parser, "exit_status"), 2);
    }
}

/* The ways out are most of it. */
static void text_of_a_vm_that_does_not_fit(void **state)
{
    g_autoptr(Run) run =
        run_plugmap("plan", "--no-measure", "--size=1T", "--block-size=2M", "--boot-memory=8G",
                    "--devices=2", "--guest-iommu", "--memlock=1T", NULL);
    g_autofree char *expected = NULL;

    (void)state;
    assert_true(g_file_get_contents(PLUGMAP_SOURCE_DIR "/tests/command/plan-does-not-fit.txt",
                                    &expected, NULL, NULL));
    /* The first line is the license's. */
    assert_string_equal(run->out, strchr(expected, '\n') + 1);
    assert_string_equal(run->err, "");
    assert_int_equal(run->status, 1);
}

static void assert_contains(const Run *run, const char *text)
{
    if (strstr(run->out, text) == NULL)
        fail_msg("'%s' is not in: %s", text, run->out);
}

static void each_limit_has_its_way_out(void **state)
{
    g_autoptr(Run) addresses =
        run_plugmap("plan", "--no-measure", "--size=1T", "--iova-bits=39", NULL);
    g_autoptr(Run) boot = run_plugmap("plan", "--no-measure", "--size=1T", "--boot-memory=1T",
                                      "--iova-bits=39", NULL);
    g_autoptr(Run) pages =
        run_plugmap("plan", "--no-measure", "--size=4G", "--memory=hugetlb", NULL);
    g_autoptr(Run) memfd = run_plugmap("plan", "--no-measure", "--size=4G", "--memory=memfd", NULL);

    (void)state;
    assert_contains(addresses, "\n  plugmap plan      --size 506G\n");
    assert_contains(boot, "give the VM less memory");
    assert_contains(pages, "\npages     4,096 huge pages of 2M\n");
    assert_contains(pages, "sysctl vm.nr_hugepages=4096\n");
    assert_contains(pages, "-object memory-backend-memfd,hugetlb=on,hugetlbsize=2M,id=vmem0,");
    assert_contains(pages, "hotplug_size=4G,hugepages=on,hugepage_size=2M\n");
    assert_contains(pages, "hugepages: {pageSize: 2Mi}}\n");
    assert_contains(memfd, "-object memory-backend-memfd,id=vmem0,");
    assert_contains(memfd, "hotplug_size=4G,shared=on\n");
}

/* QEMU keeps mappings for its memory slots. */
static void qemu_gets_larger_blocks_if_it_needs_them(void **state)
{
    g_autoptr(Run) larger = run_plugmap("plan", "--no-measure", "--size=128G", "--boot-memory=2G",
                                        "--entry-limit=65537", NULL);
    g_autoptr(Run) equal = run_plugmap("plan", "--no-measure", "--size=64G", NULL);

    (void)state;
    assert_contains(larger, "\nBlocks of 2M; QEMU 10.2 and later: 4M, ");
    assert_contains(larger, "block-size=4M");
    assert_contains(equal, "\nBlocks of 2M\n");
    assert_contains(equal, "block-size=2M");
}

static void lines_work_where_a_vmm_accepts_the_vm(void **state)
{
    g_autoptr(Run) small =
        run_plugmap("plan", "--no-measure", "--size=64M", "--block-size=512K", NULL);
    g_autoptr(Run) odd = run_plugmap("plan", "--no-measure", "--size=3M", NULL);
    g_autoptr(Run) odd_memfd =
        run_plugmap("plan", "--no-measure", "--size=3M", "--memory=memfd", NULL);
    g_autoptr(Run) no_boot =
        run_plugmap("plan", "--no-measure", "--size=1G", "--boot-memory=0", NULL);
    g_autoptr(Run) few = run_plugmap("plan", "--no-measure", "--size=1G", "--entry-limit=32763",
                                     "--block-size=2M", NULL);
    g_autoptr(Run) enough = run_plugmap("plan", "--no-measure", "--size=1G", "--entry-limit=32764",
                                        "--block-size=2M", NULL);

    (void)state;
    assert_contains(small, "\n  QEMU, libvirt     (its blocks are at least 1M)\n");
    assert_contains(small, "\n  cloud-hypervisor  (the region must be a multiple of 128M)\n");
    assert_null(strstr(small->out, "block-size=512K"));
    assert_contains(odd, "\n  QEMU, libvirt     (the region must be a multiple of 2M)\n");
    assert_contains(odd_memfd, "size=3M,reserve=off");
    assert_contains(no_boot, "\n  QEMU, libvirt     (no VM starts without boot memory)\n");
    assert_contains(no_boot, "\n  cloud-hypervisor  (no VM starts without boot memory)\n");
    assert_contains(no_boot, "\n  KubeVirt          (no VM starts without boot memory)\n");
    assert_null(strstr(no_boot->out, "-m 0"));
    assert_contains(few, "(10.2 and later refuse it with a dma_entry_limit below 33275)\n");
    assert_contains(enough, "\nBlocks of 2M; QEMU 10.2 and later: 1G, ");
    assert_null(strstr(enough->out, "refuse it"));
}

/* QEMU aligns the region to its blocks, but its address space for memory devices only to 1G. */
static void largest_memory_has_room_to_align_large_blocks(void **state)
{
    g_autoptr(Run) aligned =
        run_plugmap("plan", "--no-measure", "--size=64G", "--block-size=1G", NULL);
    g_autoptr(Run) large =
        run_plugmap("plan", "--no-measure", "--size=64G", "--block-size=4G", NULL);

    (void)state;
    assert_contains(aligned, "-m 4G,maxmem=68G ");
    assert_contains(large, "-m 4G,maxmem=72G ");
    assert_contains(large, ">75497472</maxMemory>");
}

/* All the memory of 256 address spaces has 2^63 bytes. */
static void numbers_that_json_has_no_room_for_are_the_largest(void **state)
{
    g_autoptr(Run) run =
        run_plugmap("plan", "--json", "--no-measure", "--size=16P", "--boot-memory=16P",
                    "--devices=256", "--guest-iommu", "--iova-bits=64", "--memlock=15E", NULL);
    g_autoptr(JsonParser) parser = json_parse(run);

    (void)state;
    assert_true(json_number(parser, "needs.locked_memory") == G_MAXINT64);
    assert_true(json_number(parser, "limits.locked_memory") == G_MAXINT64);
}

static JsonObject *find_block(JsonParser *parser, gint64 block_size)
{
    JsonObject *root = json_node_get_object(json_parser_get_root(parser));
    JsonArray *blocks = json_object_get_array_member(root, "blocks");

    for (guint i = 0; i < json_array_get_length(blocks); i++) {
        JsonObject *block = json_array_get_object_element(blocks, i);

        if (json_object_get_int_member(block, "block_size") == block_size)
            return block;
    }
    fail_msg("no block size %ld", (long)block_size);
    return NULL;
}

static void lines_have_the_block_size_that_was_asked_for(void **state)
{
    g_autoptr(Run) run =
        run_plugmap("plan", "--no-measure", "--size=64G", "--block-size=16M", NULL);

    (void)state;
    assert_contains(run, "\nBlocks of 16M, as asked for\n");
    assert_contains(run, ",block-size=16M,");
    assert_null(strstr(run->out, ",block-size=2M,"));
}

static void json_has_every_block_size(void **state)
{
    g_autoptr(Run) run = run_plugmap("plan", "--json", "--no-measure", "--size=1T", NULL);
    g_autoptr(JsonParser) parser = json_parse(run);
    JsonObject *block = find_block(parser, 16 << 20);

    (void)state;
    assert_int_equal(json_number(parser, "smallest_block_size"), 32 << 20);
    assert_int_equal(json_number(parser, "needs.mappings"), 32770);
    assert_int_equal(json_number(parser, "needs.locked_memory"), 1028 * PM_GIB);
    assert_int_equal(json_object_get_int_member(block, "mappings"), 65538);
    assert_false(json_object_get_boolean_member(block, "fits"));
    assert_int_equal(json_object_get_int_member(block, "largest_region"), 65533 * (16 * PM_MIB));
    assert_non_null(find_block(parser, (gint64)PM_TIB));
}

static void trace_has_the_first_request_that_fails(void **state)
{
    g_autoptr(Run) run = run_plugmap("plan", "--entry-limit=64", "--memlock=5G", TRACE, NULL);
    g_autoptr(Run) json =
        run_plugmap("plan", "--entry-limit=64", "--memlock=5G", "--json", TRACE, NULL);
    g_autoptr(Run) addresses = run_plugmap("plan", "--iova-bits=32", TRACE, NULL);
    g_autoptr(JsonParser) parser = json_parse(json);

    (void)state;
    assert_contains(run,
                    "\nverdict   does not fit: the first to fail is plug at 0x100000000, line 7: "
                    "too many mappings\n");
    assert_contains(run,
                    "        2M          1,026             6G   line 7               line 23\n"
                    "        4M            514             6G   line 9               line 23\n");
    assert_contains(run,
                    "       64M             34             6G   -                    line 23\n");
    assert_contains(addresses, "is not inside the valid I/O addresses\n");
    assert_int_equal(json_number(parser, "recording.events"), 175);
    assert_int_equal(json_number(parser, "exit_status"), 1);
}

static void boot_memory_that_is_too_much_is_no_requests_fault(void **state)
{
    g_autoptr(Run) run = run_plugmap("plan", "--memlock=1G", TRACE, NULL);
    g_autoptr(Run) mappings = run_plugmap("plan", "--entry-limit=1", TRACE, NULL);
    g_autoptr(Run) json = run_plugmap("plan", "--memlock=1G", "--json", TRACE, NULL);

    (void)state;
    assert_contains(run, "\nverdict   does not fit: the boot memory alone exceeds a limit\n");
    assert_contains(run, "   -                    at start\n");
    assert_contains(mappings, "   at start             -\n");
    assert_null(strstr(json->out, "_line\""));
    assert_null(strstr(json->out, "\"fits\" : true"));
    assert_int_equal(json->status, 1);
}

/* How long, nobody knows. */
static void time_to_plug_is_measured_unless_it_is_not_wanted(void **state)
{
    g_autoptr(Run) json = run_plugmap("plan", "--json", "--size=1G", NULL);
    g_autoptr(Run) text = run_plugmap("plan", "--size=1G", NULL);
    g_autoptr(Run) quick = run_plugmap("plan", "--size=1G", "--no-measure", NULL);
    g_autoptr(JsonParser) parser = json_parse(json);

    (void)state;
    assert_true(json_number(parser, "needs.fault_in_ns") >= 0);
    assert_contains(text, "\ntime      about ");
    assert_null(strstr(quick->out, "\ntime "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts_have_their_exit_status),
        cmocka_unit_test(invalid_options_are_explained),
        cmocka_unit_test(text_of_a_vm_that_does_not_fit),
        cmocka_unit_test(each_limit_has_its_way_out),
        cmocka_unit_test(qemu_gets_larger_blocks_if_it_needs_them),
        cmocka_unit_test(lines_have_the_block_size_that_was_asked_for),
        cmocka_unit_test(lines_work_where_a_vmm_accepts_the_vm),
        cmocka_unit_test(largest_memory_has_room_to_align_large_blocks),
        cmocka_unit_test(numbers_that_json_has_no_room_for_are_the_largest),
        cmocka_unit_test(json_has_every_block_size),
        cmocka_unit_test(trace_has_the_first_request_that_fails),
        cmocka_unit_test(boot_memory_that_is_too_much_is_no_requests_fault),
        cmocka_unit_test(time_to_plug_is_measured_unless_it_is_not_wanted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
