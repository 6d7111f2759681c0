/* SPDX-License-Identifier: MIT */
/* plugmap plan: computes whether a VM fits the limits. */
#include <stdio.h>

#include "base/error_text.h"
#include "plan/plan_report.h"
#include "tools/commands.h"
#include "tools/plan_options.h"
#include "tools/print.h"
#include "tools/privileges.h"
#include "tools/terminal.h"
#include "json/json.h"

/* What there is to report, and to free. */
typedef struct {
    PmPlanInput input;
    PmPlanHost *host;
    PmPlan *plan;
    PmPlanTime time;
    bool is_timed;
} Session;

static void session_clear(Session *session)
{
    g_clear_pointer(&session->plan, pm_plan_free);
    g_clear_pointer(&session->host, pm_plan_host_free);
    pm_plan_input_clear(&session->input);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Session, session_clear)

static PmPlanHost *find_limits(const PmPlanInput *input, GError **error)
{
    g_autoptr(PmKernel) kernel = NULL;

    if (input->bdfs == NULL)
        return pm_plan_assume(&input->machine, &input->given);
    kernel = pm_kernel_host_new();
    return pm_plan_ask(kernel, &input->machine, &input->given,
                       (const char *const *)(void *)input->bdfs, error);
}

static bool run(const PmPlanOptions *options, Session *session, GError **error)
{
    PmNeeds needs = {0};

    if (!pm_plan_options_read(options, &session->input, error))
        return false;
    needs.device = session->input.bdfs != NULL;
    if (!pm_privileges_keep(&needs, error))
        return false;
    session->host = find_limits(&session->input, error);
    if (session->host == NULL)
        return false;
    needs.device = false;
    if (!pm_privileges_keep(&needs, error))
        return false;
    session->plan =
        pm_plan_new(&session->input.machine, session->host, session->input.block_size, error);
    if (session->plan == NULL)
        return false;
    session->is_timed = !options->no_measure;
    if (session->is_timed)
        pm_plan_measure(&session->input.machine, &session->time);
    return true;
}

static char *report_json(const Session *session, const PmPlanReport *report, int status,
                         const GError *error)
{
    const PmJsonHead head = {
        .command = "plan",
        .version = PLUGMAP_VERSION,
        .verdict = session->plan != NULL ? pm_plan_verdict(session->plan) : NULL,
        .exit_status = status,
        .error = error,
    };
    JsonBuilder *builder = pm_json_begin_report(&head);

    if (error == NULL)
        pm_plan_report_json(builder, report);
    return pm_json_end_report(builder);
}

static int print_report(const PmPlanOptions *options, const Session *session, const GError *error)
{
    const PmPlanReport report = {
        .plan = session->plan,
        .time = session->is_timed ? &session->time : NULL,
        .colours = pm_terminal_has_colours(),
    };
    int status = PM_EXIT_OK;
    g_autoptr(GError) failure = NULL;
    g_autofree char *text = NULL;

    if (error != NULL)
        status = pm_exit_status(error);
    else if (!pm_plan_fits(session->plan))
        status = PM_EXIT_WRONG;
    if (options->json)
        text = report_json(session, &report, status, error);
    else if (error == NULL)
        text = pm_plan_report_text(&report);
    if (error != NULL)
        fprintf(stderr, "plugmap plan: %s\n", error->message);
    if (text == NULL || pm_print(text, &failure))
        return status;
    fprintf(stderr, "plugmap plan: %s\n", failure->message);
    return PM_EXIT_USAGE;
}

int pm_plan_main(int argc, char **argv)
{
    g_auto(PmPlanOptions) options = {0};
    g_auto(Session) session = {0};
    g_autoptr(GError) error = NULL;

    if (pm_command_line_parse(&pm_plan_command, &options, argc, argv, &error))
        (void)run(&options, &session, &error);
    else
        options.json = pm_json_is_asked_for(argc, argv); /* GLib resets parsed options on errors */
    return print_report(&options, &session, error);
}
