/* SPDX-License-Identifier: MIT */
/* plugmap doctor: whether this host and its devices are ready for passthrough. */
#include "plan/doctor.h"

#include <stdio.h>

#include "plan/doctor_json.h"
#include "plan/doctor_text.h"
#include "tools/backend.h"
#include "tools/commands.h"
#include "tools/exit_status.h"
#include "tools/print.h"
#include "tools/privileges.h"
#include "tools/terminal.h"

typedef struct {
    gboolean json;
    gboolean verbose;
    char **devices;
} Options;

static void options_clear(Options *options)
{
    g_strfreev(options->devices);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static GStrv complete_addresses(char **devices)
{
    g_autoptr(GPtrArray) addresses = g_ptr_array_new();

    for (char **device = devices; device != NULL && *device != NULL; device++)
        g_ptr_array_add(addresses, pm_backend_complete_address(*device));
    g_ptr_array_add(addresses, NULL);
    return (GStrv)g_ptr_array_free(g_steal_pointer(&addresses), FALSE);
}

static void print_capabilities(void)
{
    g_autofree char *capabilities = pm_privileges_describe();

    fprintf(stderr, "plugmap doctor: capabilities kept: %s\n", capabilities);
}

/* What the process may do is what it could before it dropped capabilities. */
static PmDoctorReport *examine(const Options *options, GError **error)
{
    const PmNeeds needs = {.processes = true};
    g_auto(GStrv) addresses = complete_addresses(options->devices);
    g_auto(PmHostProcess) process = {0};

    if (!pm_host_process_read(&process, "", error) || !pm_privileges_keep(&needs, error))
        return NULL;
    if (options->verbose)
        print_capabilities();
    return pm_doctor_run("", &process, (const char *const *)addresses, error);
}

static int exit_status(const PmDoctorReport *report, const GError *error)
{
    if (report == NULL)
        return pm_exit_status(error);
    return report->worst == PM_DOCTOR_ERROR ? PM_EXIT_WRONG : PM_EXIT_OK;
}

static char *write_json(const PmDoctorReport *report, int status, const GError *error)
{
    const PmJsonHead head = {
        .command = "doctor",
        .version = PLUGMAP_VERSION,
        .verdict = status == PM_EXIT_OK ? "pass" : "fail",
        .exit_status = status,
        .error = error,
    };

    return pm_doctor_json(&head, report);
}

static int print_report(const Options *options, const PmDoctorReport *report, const GError *error)
{
    int status = exit_status(report, error);
    g_autofree char *text = NULL;
    g_autoptr(GError) failure = NULL;

    if (error != NULL)
        fprintf(stderr, "plugmap doctor: %s\n", error->message);
    if (options->json)
        text = write_json(report, status, error);
    else if (report != NULL)
        text = pm_doctor_text(report, pm_terminal_width(), pm_terminal_has_colours());
    if (text == NULL || pm_print(text, &failure))
        return status;
    fprintf(stderr, "plugmap doctor: %s\n", failure->message);
    return PM_EXIT_USAGE;
}

static int doctor_main(int argc, char **argv)
{
    g_auto(Options) options = {0};
    g_autoptr(PmDoctorReport) report = NULL;
    g_autoptr(GError) error = NULL;

    if (pm_command_line_parse(&pm_doctor_command, &options, argc, argv, &error))
        report = examine(&options, &error);
    else
        options.json = pm_json_is_asked_for(argc, argv); /* GLib resets parsed options on errors */
    return print_report(&options, report, error);
}

#define MEMBER(name) offsetof(Options, name)

static const PmOption option_list[] = {
    {"json", 0, PM_VALUE_FLAG, MEMBER(json), .help = "print a report in JSON"},
    {"verbose", 'v', PM_VALUE_FLAG, MEMBER(verbose),
     .help = "print the capabilities that are kept"},
    PM_OPTION_END,
};

const PmCommand pm_doctor_command = {
    .name = "doctor",
    .summary = "check whether this host and its devices are ready for passthrough",
    .arguments = "[BDF]...",
    .argument = PM_VALUE_BDF,
    .rest = MEMBER(devices),
    .description =
        {
            "Checks the host, and the PCI devices given by address; without one, lists all devices "
            "that can be passed through. Prints the commands that fix what is wrong. Changes "
            "nothing and opens no device.",
            "Each line begins with ok, warning or error. The commands are for root: first those "
            "that fix it now, then those that make it permanent. Run it as the user who will run "
            "the guest, because permissions and limits are of the process that asks; as root it "
            "sees which processes of others have a device.",
            "In the list, what is wrong with a device that is not bound to a driver of VFIO is a "
            "warning: the host may need it.",
        },
    .groups =
        {
            {"Options", option_list, 0, false},
        },
    .examples =
        {
            {"plugmap doctor c1:00.0", "one device", PM_EXIT_OK},
            {"plugmap doctor --json c1:00.0", "the same for programs", PM_EXIT_OK},
        },
    .statuses = {PM_EXIT_WRONG, PM_EXIT_USAGE, PM_EXIT_NOT_READY},
    .no = "a check found an error",
    .see_also = {"plugmap-plan(1)", "plugmap-replay(1)"},
    .main = doctor_main,
};
