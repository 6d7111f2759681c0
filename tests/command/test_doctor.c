/* SPDX-License-Identifier: MIT */
/* plugmap doctor on whatever host this is, and its reports about a host in a directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <cap-ng.h>

#include "command_util.h"
#include "plan/doctor_json.h"
#include "tests/unit/plan/doctor_host.h"
#include "util/host_tree.h"

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

/* "dac_read_search, sys_ptrace", of those that the test has. */
static char *wanted_capabilities(void)
{
    g_autoptr(GString) names = g_string_new(NULL);

    assert_int_equal(capng_get_caps_process(), 0);
    if (capng_have_capability(CAPNG_EFFECTIVE, CAP_DAC_READ_SEARCH))
        g_string_append(names, "dac_read_search");
    if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_PTRACE))
        g_string_append_printf(names, "%ssys_ptrace", names->len > 0 ? ", " : "");
    return g_strdup(names->len > 0 ? names->str : "none");
}

static void only_what_shows_processes_is_kept(void **state)
{
    g_autoptr(Run) run = run_plugmap("doctor", "-v", NULL);
    g_autofree char *wanted = wanted_capabilities();
    g_autofree char *line = g_strdup_printf("plugmap doctor: capabilities kept: %s\n", wanted);

    (void)state;
    assert_string_equal(run->err, line);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_usage_and_absent_devices_are_refused),
        cmocka_unit_test(refusals_are_json_too),
        cmocka_unit_test(only_what_shows_processes_is_kept),
        cmocka_unit_test(exit_status_says_whether_there_is_an_error),
#define HOST_TEST(name)                                                                            \
    cmocka_unit_test_setup_teardown(name, doctor_host_setup, doctor_host_teardown)
        HOST_TEST(json_has_the_numbers),
        HOST_TEST(json_has_the_commands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
