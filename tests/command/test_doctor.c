/* SPDX-License-Identifier: MIT */
/* plugmap doctor on whatever host this is, and its reports about a host in a directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "command_util.h"
#include "plan/doctor_json.h"
#include "plan/doctor_text.h"
#include "tests/unit/plan/doctor_host.h"
#include "tests/unit/plan/host_tree.h"

/* No machine has a device in the last slot of this domain. */
#define ABSENT "ffffffff:ff:1f.7"

static void assert_refused(Run *run, int status, const char *message)
{
    assert_int_equal(run->status, status);
    assert_string_equal(run->out, "");
    assert_string_equal(run->err, message);
    run_free(run);
}

static void bad_usage_and_absent_devices_are_refused(void **state)
{
    (void)state;
    assert_refused(run_plugmap("doctor", "04.0", NULL), 2,
                   "plugmap doctor: invalid PCI address '04.0': must be like 0000:00:04.0 (domain, "
                   "bus, device, function; see lspci -D)\n");
    assert_refused(run_plugmap("doctor", "--nonsense", NULL), 2,
                   "plugmap doctor: unknown option '--nonsense' (see plugmap doctor --help)\n");
    assert_refused(run_plugmap("doctor", ABSENT, NULL), 3,
                   "plugmap doctor: there is no PCI device " ABSENT ": lspci -D lists them\n");
}

static void refusals_are_json_too(void **state)
{
    g_autoptr(Run) usage = run_plugmap("doctor", "--json", "--nonsense", NULL);
    g_autoptr(Run) absent = run_plugmap("doctor", "--json", ABSENT, NULL);
    g_autoptr(JsonParser) usage_json = json_parse(usage);
    g_autoptr(JsonParser) absent_json = json_parse(absent);

    (void)state;
    assert_int_equal(json_number(usage_json, "exit_status"), 2);
    assert_int_equal(json_number(absent_json, "exit_status"), 3);
}

/* Whether this host is ready or not. */
static void exit_status_says_whether_there_is_an_error(void **state)
{
    g_autoptr(Run) run = run_plugmap("doctor", NULL);
    g_autoptr(Run) json = run_plugmap("doctor", "--json", NULL);
    bool has_error = strstr(run->out, "\nerror ") != NULL;

    (void)state;
    assert_string_equal(run->err, "");
    assert_int_equal(run->status, has_error ? 1 : 0);
    assert_int_equal(json->status, run->status);
    assert_true(g_str_has_prefix(run->out, "Host, Linux "));
    assert_null(strchr(run->out, '\033'));
}

/* --- reports about a host in a directory --- */

/* As --json prints it; command/schema sees it. */
static JsonParser *report_as_json(const PmDoctorReport *report)
{
    const PmJsonHead head = {.command = "doctor", .version = "0", .verdict = "pass"};
    g_autofree char *text = pm_doctor_json(&head, report);
    JsonParser *parser = json_parser_new();

    keep_report(text);
    assert_true(json_parser_load_from_data(parser, text, -1, NULL));
    return parser;
}

static JsonObject *object_at(JsonObject *object, const char *list, guint index)
{
    return json_array_get_object_element(json_object_get_array_member(object, list), index);
}

static JsonObject *find_check(JsonObject *object, const char *name)
{
    JsonArray *checks = json_object_get_array_member(object, "checks");

    for (guint i = 0; i < json_array_get_length(checks); i++) {
        JsonObject *check = json_array_get_object_element(checks, i);

        if (g_str_equal(json_object_get_string_member(check, "name"), name))
            return check;
    }
    fail_msg("no check %s", name);
    return NULL;
}

static gint64 fact_of(JsonObject *object, const char *check, const char *fact)
{
    JsonObject *facts = json_object_get_object_member(find_check(object, check), "facts");

    assert_true(json_object_has_member(facts, fact));
    return json_object_get_int_member(facts, fact);
}

static void json_has_the_numbers(void **state)
{
    g_autoptr(PmDoctorReport) report = NULL;
    g_autoptr(JsonParser) parser = NULL;
    JsonObject *root;
    JsonObject *device;

    host_tree_file(*state, "/sys/fs/cgroup/user.slice/memory.max", "3221225472\n");
    host_tree_file(*state, "/sys/fs/cgroup/user.slice/memory.current", "0\n");
    report = doctor_host_run(*state, READY);
    parser = report_as_json(report);
    root = json_node_get_object(json_parser_get_root(parser));
    device = object_at(root, "devices", 0);
    root = json_object_get_object_member(root, "host");
    assert_string_equal(json_object_get_string_member(root, "kernel"), "6.12.0");
    assert_int_equal(fact_of(root, "iommu", "units"), 1);
    assert_int_equal(fact_of(root, "iommu", "address_bits"), 39);
    assert_int_equal(fact_of(root, "mappings", "dma_entry_limit"), 65535);
    assert_int_equal(fact_of(root, "locked", "memlock"), G_GINT64_CONSTANT(17179869184));
    assert_int_equal(fact_of(root, "cgroup", "left"), G_GINT64_CONSTANT(3221225472));
    assert_int_equal(fact_of(root, "overcommit", "overcommit_memory"), 0);
    assert_string_equal(json_object_get_string_member(device, "address"), READY);
    assert_string_equal(json_object_get_string_member(device, "vendor"), "1234");
    assert_string_equal(json_object_get_string_member(device, "device"), "11e8");
    assert_string_equal(json_object_get_string_member(device, "class"), "00ff");
    assert_string_equal(json_object_get_string_member(device, "driver"), "vfio-pci");
    assert_string_equal(json_object_get_string_member(device, "state"), "ok");
    assert_int_equal(fact_of(device, "group", "group"), 1);
    assert_int_equal(fact_of(device, "aperture", "address_bits"), 39);
    assert_int_equal(fact_of(device, "users", "users"), 0);
}

static void json_has_the_commands(void **state)
{
    g_autoptr(PmDoctorReport) report = doctor_host_run(*state, NVME);
    g_autoptr(JsonParser) parser = report_as_json(report);
    JsonObject *device =
        object_at(json_node_get_object(json_parser_get_root(parser)), "devices", 0);
    JsonObject *driver = find_check(device, "driver");
    JsonArray *now = json_object_get_array_member(driver, "now");
    JsonArray *boot = json_object_get_array_member(driver, "boot");

    assert_string_equal(json_object_get_string_member(driver, "state"), "error");
    assert_string_equal(json_object_get_string_member(driver, "text"), "nvme, not vfio-pci");
    assert_string_equal(json_array_get_string_element(now, 0), "modprobe vfio-pci");
    assert_string_equal(json_array_get_string_element(boot, 0),
                        "driverctl set-override 0000:00:05.0 vfio-pci");
}

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
                     "    for good, as root:\n"
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
        cmocka_unit_test(bad_usage_and_absent_devices_are_refused),
        cmocka_unit_test(refusals_are_json_too),
        cmocka_unit_test(exit_status_says_whether_there_is_an_error),
#define HOST_TEST(name)                                                                            \
    cmocka_unit_test_setup_teardown(name, doctor_host_setup, doctor_host_teardown)
        HOST_TEST(json_has_the_numbers),
        HOST_TEST(json_has_the_commands),
        HOST_TEST(text_has_states_as_words_and_commands),
        HOST_TEST(list_has_a_line_for_each_device),
        HOST_TEST(host_drivers_are_no_error_in_the_list),
        HOST_TEST(list_without_devices_says_so),
        HOST_TEST(text_obeys_the_width),
        HOST_TEST(colours_are_only_added),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
