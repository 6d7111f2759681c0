/* SPDX-License-Identifier: MIT */
/* The check for available memory, with fake files in /proc and /sys. */
#include "replay/host_memory.h"

#include <ftw.h>
#include <stdio.h>

#include "host/memory_room.h"
#include "util/trace_util.h"

#define MEMINFO_3G "MemTotal:       8000000 kB\nMemAvailable:    3145728 kB\nBuffers: 1 kB\n"
#define V2_MOUNT   "24 1 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNTS                                                                                  \
    "30 1 0:30 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"                                      \
    "31 1 0:31 / /cg/memory rw - cgroup cgroup rw,memory\n"

static char *root;

static int make_root(void **state)
{
    (void)state;
    root = g_dir_make_tmp("plugmap-XXXXXX", NULL);
    return root != NULL ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static int remove_root(void **state)
{
    (void)state;
    (void)nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    g_clear_pointer(&root, g_free);
    return 0;
}

static void put(const char *name, const char *text)
{
    g_autofree char *path = g_strconcat(root, name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);

    assert_int_equal(g_mkdir_with_parents(folder, 0700), 0);
    assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void put_limit(const char *folder, const char *limit, const char *usage)
{
    g_autofree char *max = g_strconcat(folder, "/memory.max", NULL);
    g_autofree char *current = g_strconcat(folder, "/memory.current", NULL);

    put(max, limit);
    put(current, usage);
}

/* A trace that plugs @gib at once. */
static PmTrace *make_trace(unsigned gib)
{
    g_autofree char *text = g_strdup_printf("plugmap-trace 1\n"
                                            "region addr=4G size=64G block=1G requested=64G\n"
                                            "plug addr=4G blocks=%u -> ack\n",
                                            gib);
    PmTrace *trace = load_text(text, NULL, NULL);

    assert_non_null(trace);
    return trace;
}

static void assert_fits(unsigned gib, PmRamKind kind)
{
    g_autoptr(PmTrace) trace = make_trace(gib);
    g_autoptr(GError) error = NULL;

    if (!pm_host_memory_check(trace, kind, root, &error))
        fail_msg("%s", error->message);
}

static void assert_refused(unsigned gib, PmRamKind kind, const char *words)
{
    g_autoptr(PmTrace) trace = make_trace(gib);
    g_autoptr(GError) error = NULL;

    assert_false(pm_host_memory_check(trace, kind, root, &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_MEMORY));
    if (strstr(error->message, words) == NULL)
        fail_msg("expected '%s' in: %s", words, error->message);
    assert_non_null(strstr(error->message, "--force"));
}

/* --- the host --- */

static void replay_needs_mem_available(void **state)
{
    (void)state;
    put("/proc/meminfo", MEMINFO_3G);
    assert_fits(2, PM_RAM_ANONYMOUS);
    assert_refused(4, PM_RAM_ANONYMOUS,
                   "the trace plugs up to 4G at once, which needs 4112M with page tables, but the "
                   "host has 3G available (MemAvailable)");
    assert_refused(4, PM_RAM_MEMFD, "4G at once");
}

static void page_tables_are_counted(void **state)
{
    (void)state;
    put("/proc/meminfo", MEMINFO_3G);
    assert_refused(3, PM_RAM_ANONYMOUS, "needs 3084M with page tables");
}

static void malformed_files_are_ignored(void **state)
{
    static const char *const texts[] = {
        "",
        "MemTotal: 1 kB\n",
        "MemAvailable:\n",
        "MemAvailable: some kB\n",
        "MemAvailable: 5\n",
        "MemAvailable: 99999999999999999999999 kB\n",
        "MemAvailable: 18446744073709551615 kB\n",
        "\xff\xfe: : :",
    };

    (void)state;
    assert_fits(64, PM_RAM_ANONYMOUS);
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        put("/proc/meminfo", texts[i]);
        assert_fits(64, PM_RAM_ANONYMOUS);
    }
}

/* --- cgroups --- */

static void limit_of_the_cgroup_applies(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put_limit("/sys/fs/cgroup/a/b", "4294967296\n", "1073741824\n");
    assert_fits(2, PM_RAM_ANONYMOUS);
    assert_refused(4, PM_RAM_ANONYMOUS,
                   "this process's cgroup /a/b has 3G left of its memory.max of 4G");
}

static void limit_of_each_parent_cgroup_applies(void **state)
{
    (void)state;
    put("/proc/meminfo", MEMINFO_3G);
    put("/proc/self/cgroup", "0::/a/b/c\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put_limit("/sys/fs/cgroup/a/b/c", "max\n", "0\n");
    put_limit("/sys/fs/cgroup/a/b", "8589934592\n", "0\n");
    assert_fits(2, PM_RAM_ANONYMOUS);
    put_limit("/sys/fs/cgroup/a", "3221225472\n", "2147483648\n");
    assert_refused(2, PM_RAM_ANONYMOUS, "cgroup /a has 1G left of its memory.max of 3G");
}

static void cgroup_above_its_limit_has_nothing_left(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put_limit("/sys/fs/cgroup/a", "1073741824\n", "2147483648\n");
    assert_refused(1, PM_RAM_ANONYMOUS, "has 0 left of its memory.max of 1G");
}

/* Page cache may fill a cgroup, but is reclaimed when memory is needed. */
static void inactive_file_pages_count_as_available(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put_limit("/sys/fs/cgroup/a", "4294967296\n", "4294967296\n");
    put("/sys/fs/cgroup/a/memory.stat", "anon 5\ninactive_file 3221225472\nactive_file 1\n");
    assert_fits(2, PM_RAM_ANONYMOUS);
    assert_refused(4, PM_RAM_ANONYMOUS, "has 3G left");
}

static void cgroup_v1_memory_controller_is_supported(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:memory:/m/n\n3:cpu,cpuacct:/other\n0::/\n");
    put("/proc/self/mountinfo", V1_MOUNTS V2_MOUNT);
    put("/cg/memory/m/n/memory.limit_in_bytes", "9223372036854771712\n");
    put("/cg/memory/m/n/memory.usage_in_bytes", "4096\n");
    assert_fits(64, PM_RAM_ANONYMOUS);
    put("/cg/memory/m/memory.limit_in_bytes", "2147483648\n");
    put("/cg/memory/m/memory.usage_in_bytes", "1073741824\n");
    assert_refused(2, PM_RAM_ANONYMOUS, "cgroup /m has 1G left of its memory.limit_in_bytes of 2G");
    put("/cg/memory/m/memory.stat", "inactive_file 7\ntotal_inactive_file 1073741824\n");
    assert_fits(1, PM_RAM_ANONYMOUS);
}

/* A container without a cgroup namespace, and one whose mount shows another subtree. */
static void mount_of_a_subtree_is_supported(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/docker/1/x\n");
    put("/proc/self/mountinfo", "24 1 0:22 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put_limit("/sys/fs/cgroup/x", "1073741824\n", "0\n");
    assert_refused(2, PM_RAM_ANONYMOUS, "cgroup /x has 1G left");
    put("/proc/self/mountinfo", "24 1 0:22 /docker/12 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put_limit("/sys/fs/cgroup", "1073741824\n", "524288000\n");
    assert_refused(2, PM_RAM_ANONYMOUS, "cgroup / has 524M left");
}

static void mount_point_with_a_space_is_supported(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a\n");
    put("/proc/self/mountinfo", "24 1 0:22 / /my\\040groups rw - cgroup2 cgroup2 rw\n");
    put_limit("/my groups/a", "1073741824\n", "0\n");
    assert_refused(2, PM_RAM_ANONYMOUS, "cgroup /a has 1G left");
}

static void malformed_cgroup_files_are_ignored(void **state)
{
    static const struct {
        const char *cgroup;
        const char *mounts;
        const char *limit;
    } cases[] = {
        {"", V2_MOUNT, "1"},
        {"0::\n", V2_MOUNT, "1"},
        {"0:\n", V2_MOUNT, "1"},
        {"::\n:::\n", V2_MOUNT, "1"},
        {"0::/../a\n", V2_MOUNT, "1"},
        {"0::/a\n", "", "1"},
        {"0::/a\n", "24 1 0:22 / /sys/fs/cgroup\n - \n - cgroup2\n", "1"},
        {"0::/a\n", V2_MOUNT, ""},
        {"0::/a\n", V2_MOUNT, "max"},
        {"0::/a\n", V2_MOUNT, "-5"},
        {"0::/a\n", V2_MOUNT, "1 2"},
        {"0::/a\n", V2_MOUNT, "99999999999999999999999"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        put("/proc/self/cgroup", cases[i].cgroup);
        put("/proc/self/mountinfo", cases[i].mounts);
        put_limit("/sys/fs/cgroup/a", cases[i].limit, "0\n");
        assert_fits(64, PM_RAM_ANONYMOUS);
    }
}

/* --- the pool of hugetlb pages --- */

#define POOL_2M "/sys/kernel/mm/hugepages/hugepages-2048kB"
#define POOL_1G "/sys/kernel/mm/hugepages/hugepages-1048576kB"

static void hugetlb_pages_must_be_free_in_the_pool(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemAvailable: 5 kB\n");
    put(POOL_2M "/nr_hugepages", "1024\n");
    put(POOL_2M "/free_hugepages", "700\n");
    put(POOL_2M "/resv_hugepages", "100\n");
    assert_fits(1, PM_RAM_HUGETLB_2M);
    assert_refused(2, PM_RAM_HUGETLB_2M,
                   "which needs 1,024 hugetlb pages of 2M, but the host has 600 free");
    assert_refused(2, PM_RAM_HUGETLB_2M, "\n  echo 1448 > ");
    assert_fits(64, PM_RAM_HUGETLB_1G);
    put(POOL_1G "/nr_hugepages", "2\n");
    put(POOL_1G "/free_hugepages", "2\n");
    put(POOL_1G "/resv_hugepages", "0\n");
    assert_fits(2, PM_RAM_HUGETLB_1G);
    assert_refused(3, PM_RAM_HUGETLB_1G, "3 hugetlb pages of 1G, but the host has 2 free");
    put(POOL_1G "/resv_hugepages", "3\n");
    assert_refused(1, PM_RAM_HUGETLB_1G, "1 hugetlb page of 1G, but the host has 0 free");
    put(POOL_1G "/free_hugepages", "two\n");
    assert_fits(64, PM_RAM_HUGETLB_1G);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)
    const struct CMUnitTest tests[] = {
        TEST(replay_needs_mem_available),
        TEST(page_tables_are_counted),
        TEST(malformed_files_are_ignored),
        TEST(limit_of_the_cgroup_applies),
        TEST(limit_of_each_parent_cgroup_applies),
        TEST(cgroup_above_its_limit_has_nothing_left),
        TEST(inactive_file_pages_count_as_available),
        TEST(cgroup_v1_memory_controller_is_supported),
        TEST(mount_of_a_subtree_is_supported),
        TEST(mount_point_with_a_space_is_supported),
        TEST(malformed_cgroup_files_are_ignored),
        TEST(hugetlb_pages_must_be_free_in_the_pool),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
