/* SPDX-License-Identifier: MIT */
/* plugmap doctor's report for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "doctor_host.h"
#include "plan/doctor_text.h"
#include "util/host_tree.h"

static void text_has_states_as_words_and_commands(void **state)
{
    g_autoptr(PmDoctorReport) report = doctor_host_run(*state, NVME);
    g_autofree char *text = pm_doctor_text(report, 80, false);

    assert_non_null(strstr(text,
                           "Host, Linux 6.12.0\n"
                           "ok       iommu      Intel VT-d, 1 unit, 39-bit I/O addresses (512G)\n"
                           "ok       interrupts remapped\n"));
    assert_non_null(
        strstr(text, "\n0000:00:05.0  1234:11e8, class 0108\n"
                     "error    driver     nvme, not vfio-pci\n"
                     "    now, as root:\n"
                     "      modprobe vfio-pci\n"
                     "      echo vfio-pci >/sys/bus/pci/devices/0000:00:05.0/driver_override\n"
                     "      echo 0000:00:05.0 >/sys/bus/pci/devices/0000:00:05.0/driver/unbind\n"
                     "      echo 0000:00:05.0 >/sys/bus/pci/drivers_probe\n"
                     "    permanently, as root:\n"
                     "      driverctl set-override 0000:00:05.0 vfio-pci\n"
                     "ok       group      2, viable, alone\n"));
}

/* Bridges are left out. What belongs to the host is no error. */
static void list_has_a_line_for_each_device(void **state)
{
    g_autoptr(PmDoctorReport) report = NULL;
    g_autofree char *text = NULL;

    host_tree_link(*state, "/sys/bus/pci/devices/0000:00:07.1/driver", "../drivers/serial");
    report = doctor_host_run(*state, NULL);
    text = pm_doctor_text(report, 100, false);
    if (strstr(text,
               "\n\n"
               "ok       0000:00:04.0  1234:11e8  00ff  group 1   vfio-pci\n"
               "warning  0000:00:05.0  1234:11e8  0108  group 2   driver: nvme, not vfio-pci\n"
               "error    0000:00:07.0  1234:11e8  00ff  group 4   group: 4 is not viable: "
               "host drivers have\n"
               "          0000:00:07.1 (serial); all of a group belong to one owner\n"
               "warning  0000:00:07.1  1234:11e8  0700  group 4   driver: serial, not "
               "vfio-pci\n"
               "\nplugmap doctor ADDRESS says more, and what to do.\n") == NULL)
        fail_msg("%s", text);
    assert_int_equal(report->worst, PM_DOCTOR_ERROR);
}

static void host_drivers_are_no_error_in_the_list(void **state)
{
    g_autoptr(PmDoctorReport) report = doctor_host_run(*state, NULL);

    assert_int_equal(report->worst, PM_DOCTOR_WARNING);
}

static void list_without_devices_says_so(void **state)
{
    g_autoptr(PmDoctorReport) report = NULL;
    g_autofree char *text = NULL;

    host_tree_remove(*state, "/sys/bus");
    report = doctor_host_run(*state, NULL);
    text = pm_doctor_text(report, 80, false);
    assert_true(
        g_str_has_suffix(text, "\n\nNo device can be passed through: none has an IOMMU group.\n"));
}

static void text_obeys_the_width(void **state)
{
    g_autoptr(PmDoctorReport) report = doctor_host_run(*state, READY);

    for (unsigned width = 60; width <= 120; width += 20) {
        g_autofree char *text = pm_doctor_text(report, width, false);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (char **line = lines; *line != NULL; line++)
            assert_true(strlen(*line) <= width);
    }
}

static void colours_are_only_added(void **state)
{
    g_autoptr(PmDoctorReport) report = doctor_host_run(*state, NVME);
    g_autofree char *plain = pm_doctor_text(report, 80, false);
    g_autofree char *coloured = pm_doctor_text(report, 80, true);
    g_autoptr(GRegex) escapes = g_regex_new("\033\\[[0-9;]*m", 0, 0, NULL);
    g_autofree char *stripped = g_regex_replace(escapes, coloured, -1, 0, "", 0, NULL);

    assert_string_not_equal(coloured, plain);
    assert_string_equal(stripped, plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_has_states_as_words_and_commands, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(list_has_a_line_for_each_device, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(host_drivers_are_no_error_in_the_list, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(list_without_devices_says_so, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(text_obeys_the_width, doctor_host_setup,
                                        doctor_host_teardown),
        cmocka_unit_test_setup_teardown(colours_are_only_added, doctor_host_setup,
                                        doctor_host_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
