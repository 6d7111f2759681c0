/* SPDX-License-Identifier: MIT */
/* plugmap doctor: limits and memory of a host, in every state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "doctor_host.h"
#include "util/host_tree.h"

#define ENTRIES "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"
#define POOL    "/sys/kernel/mm/hugepages/hugepages-2048kB"
#define THP     "/sys/kernel/mm/transparent_hugepage"
#define CGROUP  "/sys/fs/cgroup/user.slice"

/* --- mappings --- */

static void usual_limit_of_mappings_is_ok(void **state)
{
    doctor_host_expect(*state, NULL, "mappings", PM_DOCTOR_OK,
                       "type1: 65,535 in a container, some 128G in blocks of 2M; iommufd: no limit",
                       NULL, NULL);
}

static void lower_limit_of_mappings_is_a_warning(void **state)
{
    host_tree_file(*state, ENTRIES, "65534\n");
    doctor_host_expect(*state, NULL, "mappings", PM_DOCTOR_WARNING,
                       "type1 limits a container to 65,534 mappings; the default is 65,535",
                       "echo 65535 >" ENTRIES,
                       "echo 'options vfio_iommu_type1 dma_entry_limit=65535' "
                       ">/etc/modprobe.d/vfio_iommu_type1.conf");
}

static void limit_of_mappings_needs_type1(void **state)
{
    host_tree_remove(*state, ENTRIES);
    doctor_host_expect(*state, NULL, "mappings", PM_DOCTOR_SKIPPED, NULL, NULL, NULL);
}

static void damaged_limit_of_mappings_is_named(void **state)
{
    host_tree_file(*state, ENTRIES, "many\n");
    doctor_host_expect_damaged(*state, NULL, "mappings", ENTRIES, "contains 'many'");
}

/* --- locked memory --- */

static void limit_above_the_hosts_memory_is_ok(void **state)
{
    doctor_host_expect(*state, NULL, "locked", PM_DOCTOR_OK,
                       "limit of 16G, more than the host's memory", NULL, NULL);
    doctor_host_memlock(*state, "unlimited");
    doctor_host_expect(*state, NULL, "locked", PM_DOCTOR_OK, "no limit", NULL, NULL);
}

/* The owner of the host's files runs the tests: its name is in the command. */
static void limit_below_the_hosts_memory_is_a_warning(void **state)
{
    doctor_host_process(*state, 4242, 4242, "0");
    doctor_host_memlock(*state, "8589934591");
    doctor_host_expect(*state, NULL, "locked", PM_DOCTOR_WARNING,
                       "limit of 8589934591 without CAP_IPC_LOCK: larger guests fail; the host has "
                       "8G",
                       "prlimit --memlock=unlimited --pid 42",
                       "echo '4242 - memlock unlimited' >/etc/security/limits.d/vfio.conf");
}

static void limit_that_no_guest_fits_is_an_error(void **state)
{
    doctor_host_process(*state, 4242, 4242, "0");
    doctor_host_memlock(*state, "8388608");
    doctor_host_expect(*state, NULL, "locked", PM_DOCTOR_ERROR,
                       "limit of 8M without CAP_IPC_LOCK: too little for any guest; all guest "
                       "memory is locked",
                       "prlimit --memlock=unlimited --pid 42",
                       "systemctl edit UNIT  # [Service] LimitMEMLOCK=infinity");
}

static void shell_outside_of_the_pid_namespace_has_no_number(void **state)
{
    host_tree_file(*state, "/proc/77/status",
                   "Uid:\t4242\t4242\nGid:\t4242\t4242\nGroups:\t\nCapEff:\t0\nPPid:\t0\n");
    doctor_host_memlock(*state, "8388608");
    doctor_host_expect(*state, NULL, "locked", PM_DOCTOR_ERROR,
                       "limit of 8M without CAP_IPC_LOCK: too little for any guest; all guest "
                       "memory is locked",
                       "prlimit --memlock=unlimited --pid PID",
                       "echo '4242 - memlock unlimited' >/etc/security/limits.d/vfio.conf");
}

/* CAP_IPC_LOCK is bit 14. */
static void capability_waives_the_limit(void **state)
{
    doctor_host_memlock(*state, "8388608");
    doctor_host_process(*state, 4242, 4242, "0000000000004000");
    doctor_host_expect(*state, NULL, "locked", PM_DOCTOR_OK,
                       "no limit for this process (CAP_IPC_LOCK)", NULL, NULL);
}

/* --- cgroup --- */

static void process_without_a_memory_limit_is_ok(void **state)
{
    doctor_host_expect(*state, NULL, "cgroup", PM_DOCTOR_OK, "no limit", NULL, NULL);
    host_tree_file(*state, CGROUP "/memory.max", "max\n");
    host_tree_file(*state, CGROUP "/memory.current", "0\n");
    doctor_host_expect(*state, NULL, "cgroup", PM_DOCTOR_OK, "no limit", NULL, NULL);
    host_tree_file(*state, CGROUP "/memory.max", "4294967296\n");
    doctor_host_expect(*state, NULL, "cgroup", PM_DOCTOR_OK,
                       "no limit below what the host has available", NULL, NULL);
}

static void limit_below_the_available_memory_is_a_warning(void **state)
{
    host_tree_file(*state, CGROUP "/memory.max", "4294967296\n");
    host_tree_file(*state, CGROUP "/memory.current", "1073741824\n");
    doctor_host_expect(
        *state, NULL, "cgroup", PM_DOCTOR_WARNING,
        "this process's cgroup /user.slice has 3G left of its memory.max of 4G, less "
        "than the host has available",
        "echo max >/sys/fs/cgroup/user.slice/memory.max",
        "systemctl set-property user.slice MemoryMax=infinity");
}

/* --- overcommit --- */

static void modes_of_overcommit(void **state)
{
    doctor_host_expect(*state, NULL, "overcommit", PM_DOCTOR_OK,
                       "heuristic (vm.overcommit_memory=0)", NULL, NULL);
    host_tree_file(*state, "/proc/sys/vm/overcommit_memory", "1\n");
    doctor_host_expect(*state, NULL, "overcommit", PM_DOCTOR_OK, "always (vm.overcommit_memory=1)",
                       NULL, NULL);
    host_tree_file(*state, "/proc/sys/vm/overcommit_memory", "2\n");
    doctor_host_expect(*state, NULL, "overcommit", PM_DOCTOR_WARNING,
                       "never (vm.overcommit_memory=2): a guest's maximum size counts, though most "
                       "of it is not plugged",
                       "sysctl vm.overcommit_memory=0",
                       "echo vm.overcommit_memory=0 >/etc/sysctl.d/90-overcommit.conf");
}

static void damaged_overcommit_is_named(void **state)
{
    host_tree_file(*state, "/proc/sys/vm/overcommit_memory", "\n");
    doctor_host_expect_damaged(*state, NULL, "overcommit", "/proc/sys/vm/overcommit_memory",
                               "must be a number");
}

/* --- huge pages --- */

static void pools_have_their_free_pages(void **state)
{
    doctor_host_expect(*state, NULL, "hugepages", PM_DOCTOR_OK, "64 pages of 2M, 60 free", NULL,
                       NULL);
    host_tree_file(*state, POOL "/nr_hugepages", "0\n");
    doctor_host_expect(*state, NULL, "hugepages", PM_DOCTOR_OK, "none reserved", NULL, NULL);
    host_tree_remove(*state, "/sys/kernel/mm/hugepages");
    doctor_host_expect(*state, NULL, "hugepages", PM_DOCTOR_SKIPPED, NULL, NULL, NULL);
}

static void pool_in_use_is_a_warning(void **state)
{
    static const char giant[] = "/sys/kernel/mm/hugepages/hugepages-1048576kB";
    static const char *const names[] = {"nr_hugepages", "free_hugepages", "resv_hugepages"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(giant, names[i], NULL);

        host_tree_file(*state, path, "3\n");
    }
    doctor_host_expect(*state, NULL, "hugepages", PM_DOCTOR_WARNING,
                       "3 pages of 1G, 0 free; 64 pages of 2M, 60 free",
                       "echo 6 >/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages",
                       "echo 'w /sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages - - - - "
                       "6' >>/etc/tmpfiles.d/hugepages.conf");
}

static void damaged_pool_is_named(void **state)
{
    host_tree_file(*state, POOL "/free_hugepages", "-1\n");
    doctor_host_expect_damaged(*state, NULL, "hugepages", POOL "/free_hugepages",
                               "must be a number");
    host_tree_folder(*state, "/sys/kernel/mm/hugepages/hugepages-0kB");
    doctor_host_expect_damaged(*state, NULL, "hugepages", "/sys/kernel/mm/hugepages/hugepages-0kB",
                               "not the name of a pool");
}

/* --- transparent huge pages --- */

static void transparent_huge_pages_are_ok(void **state)
{
    doctor_host_expect(*state, NULL, "thp", PM_DOCTOR_OK, "madvise; for memfds: never", NULL, NULL);
    host_tree_remove(*state, THP);
    doctor_host_expect(*state, NULL, "thp", PM_DOCTOR_SKIPPED, NULL, NULL, NULL);
}

static void no_transparent_huge_pages_are_a_warning(void **state)
{
    host_tree_file(*state, THP "/enabled", "always madvise [never]\n");
    doctor_host_expect(*state, NULL, "thp", PM_DOCTOR_WARNING,
                       "never: the IOMMU maps memory by small pages, which costs time and its TLB",
                       "echo madvise >" THP "/enabled",
                       "echo 'w " THP "/enabled - - - - madvise' >/etc/tmpfiles.d/thp.conf");
}

static void damaged_choice_is_named(void **state)
{
    static const char *const damaged[] = {"", "always", "[", "[]", "]madvise["};

    for (size_t i = 0; i < G_N_ELEMENTS(damaged); i++) {
        host_tree_file(*state, THP "/enabled", damaged[i]);
        doctor_host_expect_damaged(*state, NULL, "thp", THP "/enabled", "no choice in brackets");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(usual_limit_of_mappings_is_ok, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(lower_limit_of_mappings_is_a_warning, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(limit_of_mappings_needs_type1, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(damaged_limit_of_mappings_is_named, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(limit_above_the_hosts_memory_is_ok, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(limit_below_the_hosts_memory_is_a_warning,
                                        doctor_host_setup, doctor_host_teardown),
        cmocka_unit_test_setup_teardown(limit_that_no_guest_fits_is_an_error, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(shell_outside_of_the_pid_namespace_has_no_number,
                                        doctor_host_setup, doctor_host_teardown),
        cmocka_unit_test_setup_teardown(capability_waives_the_limit, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(process_without_a_memory_limit_is_ok, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(limit_below_the_available_memory_is_a_warning,
                                        doctor_host_setup, doctor_host_teardown),
        cmocka_unit_test_setup_teardown(modes_of_overcommit, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(damaged_overcommit_is_named, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(pools_have_their_free_pages, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(pool_in_use_is_a_warning, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(damaged_pool_is_named, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(transparent_huge_pages_are_ok, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(no_transparent_huge_pages_are_a_warning, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(damaged_choice_is_named, doctor_host_setup,
                                        doctor_host_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
