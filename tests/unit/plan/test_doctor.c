/* SPDX-License-Identifier: MIT */
/* plugmap doctor: what stops a whole report, and what must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "doctor_host.h"
#include "util/host_tree.h"

#define DEVICE "/sys/bus/pci/devices/" READY

/* No report, but an error that names the file or device. */
static void expect_failure(const char *root, const char *device, PmError code, const char *words)
{
    const char *const addresses[] = {device, NULL};
    g_auto(PmHostProcess) process = {0};
    g_autoptr(GError) error = NULL;
    PmDoctorReport *report = NULL;

    if (pm_host_process_read(&process, root, &error))
        report = pm_doctor_run(root, &process, addresses, &error);
    assert_null(report);
    assert_true(g_error_matches(error, PM_ERROR, (gint)code));
    if (strstr(error->message, words) == NULL)
        fail_msg("'%s' lacks '%s'", error->message, words);
}

static void absent_device_is_not_found(void **state)
{
    expect_failure(*state, "0000:00:06.0", PM_ERROR_NOT_FOUND, "no PCI device 0000:00:06.0");
    expect_failure(*state, "../../../etc", PM_ERROR_INVALID_ARGUMENT, "invalid PCI address");
}

static void damaged_device_is_named(void **state)
{
    static const struct {
        const char *file;
        const char *content;
    } damaged[] = {
        {"vendor", ""},
        {"device", "0xzz"},
        {"class", "0x123456789"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(damaged); i++) {
        g_autofree char *path = g_build_filename(DEVICE, damaged[i].file, NULL);
        g_autofree char *content = NULL;
        g_autofree char *full = g_strconcat(*state, path, NULL);

        assert_true(g_file_get_contents(full, &content, NULL, NULL));
        host_tree_file(*state, path, damaged[i].content);
        expect_failure(*state, READY, PM_ERROR_BAD_INPUT, full);
        expect_failure(*state, NULL, PM_ERROR_BAD_INPUT, full);
        host_tree_file(*state, path, content);
    }
    host_tree_link(*state, DEVICE "/iommu_group", "../../kernel/iommu_groups/x");
    expect_failure(*state, READY, PM_ERROR_BAD_INPUT, "links to 'x', which is not a group");
}

static void damaged_process_is_named(void **state)
{
    static const struct {
        const char *status;
        const char *words;
    } damaged[] = {
        {"", "no valid line 'Uid'"},
        {"Uid:\t1000\n", "no valid line 'Uid'"},
        {"Uid:\t0\t0\nGid:\tx\tx\n", "no valid line 'Gid'"},
        {"Uid:\t0\t0\nGid:\t0\t0\n", "no valid line 'Groups'"},
        {"Uid:\t0\t0\nGid:\t0\t0\nGroups:\t4 -1\n", "no valid line 'Groups'"},
        {"Uid:\t0\t0\nGid:\t0\t0\nGroups:\t4\nCapEff:\t-\n", "no valid line 'CapEff'"},
        {"Uid:\t0\t0\nGid:\t0\t0\nGroups:\t4\nCapEff:\t0\nPPid:\t\n", "no valid line 'PPid'"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(damaged); i++) {
        host_tree_file(*state, "/proc/77/status", damaged[i].status);
        expect_failure(*state, READY, PM_ERROR_BAD_INPUT, damaged[i].words);
    }
    doctor_host_process(*state, 0, 0, "0");
    doctor_host_memlock(*state, "lots");
    expect_failure(*state, READY, PM_ERROR_BAD_INPUT, "no valid line 'Max locked memory'");
}

static void supplementary_groups_count(void **state)
{
    g_auto(PmHostProcess) process = {0};
    const struct stat status = {.st_uid = 1, .st_gid = 30, .st_mode = S_IFCHR | 0660};

    host_tree_file(*state, "/proc/77/status",
                   "Uid:\t9\t2\t9\t9\nGid:\t9\t3\t9\t9\nGroups:\t20  30 \nCapEff:\t0\nPPid:\t0\n");
    assert_true(pm_host_process_read(&process, *state, NULL));
    assert_int_equal(process.uid, 2);
    assert_int_equal(process.gid, 3);
    assert_true(pm_host_process_may_use(&process, &status));
    g_array_set_size(process.groups, 1);
    assert_false(pm_host_process_may_use(&process, &status));
}

/* The owner's bits decide for the owner, even if all others may do more. */
static void owner_may_be_shut_out(void **state)
{
    g_auto(PmHostProcess) process = {0};
    const struct stat status = {.st_uid = 2, .st_gid = 3, .st_mode = S_IFCHR | 0066};

    host_tree_file(*state, "/proc/77/status",
                   "Uid:\t2\t2\t2\t2\nGid:\t3\t3\t3\t3\nGroups:\t\nCapEff:\t0\nPPid:\t1\n");
    assert_true(pm_host_process_read(&process, *state, NULL));
    assert_false(pm_host_process_may_use(&process, &status));
    process.uid = 4;
    assert_true(pm_host_process_may_use(&process, &status));
}

static void every_problem_has_a_command(const GPtrArray *findings)
{
    for (guint i = 0; i < findings->len; i++) {
        const PmDoctorFinding *finding = g_ptr_array_index(findings, i);

        if (finding->state > PM_DOCTOR_OK && finding->fix->len == 0)
            fail_msg("%s has no command: %s", finding->name, finding->text);
    }
}

/* Without any file of sysfs but the device's, as in some containers. */
static void report_of_an_empty_host_is_complete(void **state)
{
    static const char *const removed[] = {"/sys/class", "/sys/kernel", "/sys/module", "/dev",
                                          "/lib"};
    g_autoptr(PmDoctorReport) report = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(removed); i++)
        host_tree_remove(*state, removed[i]);
    host_tree_remove(*state, "/proc/meminfo");
    host_tree_remove(*state, "/proc/interrupts");
    host_tree_remove(*state, "/proc/cpuinfo");
    host_tree_remove(*state, "/proc/sys/vm");
    report = doctor_host_run(*state, READY);
    assert_int_equal(report->worst, PM_DOCTOR_ERROR);
    every_problem_has_a_command(report->findings);
    every_problem_has_a_command(
        ((const PmDoctorDevice *)g_ptr_array_index(report->devices, 0))->findings);
}

static void device_that_is_asked_for_twice_is_reported_once(void **state)
{
    static const char *const addresses[] = {READY, NVME, READY, NULL};
    g_auto(PmHostProcess) process = {0};
    g_autoptr(PmDoctorReport) report = NULL;

    assert_true(pm_host_process_read(&process, *state, NULL));
    report = pm_doctor_run(*state, &process, addresses, NULL);
    assert_non_null(report);
    assert_int_equal(report->devices->len, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(absent_device_is_not_found, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(damaged_device_is_named, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(damaged_process_is_named, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(supplementary_groups_count, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(owner_may_be_shut_out, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(device_that_is_asked_for_twice_is_reported_once,
                                        doctor_host_setup, doctor_host_teardown),
        cmocka_unit_test_setup_teardown(report_of_an_empty_host_is_complete, doctor_host_setup,
                                        doctor_host_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
