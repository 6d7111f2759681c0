/* SPDX-License-Identifier: MIT */
/* plugmap plan: computes whether a VM fits the limits. */
#include <stdio.h>

#include "base/error_text.h"
#include "plan/plan_report.h"
#include "plan/trace_plan_report.h"
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
    PmTrace *trace;
    PmTracePlan *trace_plan; /* instead of @plan */
    PmPlanTime time;
    bool is_timed;
} Session;

static void session_clear(Session *session)
{
    g_clear_pointer(&session->plan, pm_plan_free);
    g_clear_pointer(&session->trace_plan, pm_trace_plan_free);
    g_clear_pointer(&session->trace, pm_trace_free);
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

static bool plan_machine(const PmPlanOptions *options, Session *session, GError **error)
{
    session->plan =
        pm_plan_new(&session->input.machine, session->host, session->input.block_size, error);
    if (session->plan == NULL)
        return false;
    session->is_timed = !options->no_measure;
    if (session->is_timed)
        pm_plan_measure(&session->input.machine, &session->time);
    return true;
}

static bool load_trace(const PmPlanOptions *options, Session *session, GError **error)
{
    session->trace = pm_trace_options_load(&options->trace, options->rest[0], error);
    if (session->trace == NULL)
        return false;
    if (session->trace->warning != NULL)
        fprintf(stderr, "plugmap plan: warning: %s\n", session->trace->warning);
    return true;
}

static bool plan_trace(Session *session, GError **error)
{
    session->trace_plan =
        pm_trace_plan_new(session->trace, &session->input.machine, session->host, error);
    return session->trace_plan != NULL;
}

static bool run(const PmPlanOptions *options, Session *session, GError **error)
{
    bool has_trace = options->rest != NULL;
    PmNeeds needs = {0};

    if (!pm_plan_options_read(options, &session->input, error))
        return false;
    needs.device = session->input.bdfs != NULL;
    needs.input = has_trace ? options->rest[0] : NULL;
    if (!pm_privileges_keep(&needs, error))
        return false;
    if (has_trace && !load_trace(options, session, error))
        return false;
    session->host = find_limits(&session->input, error);
    if (session->host == NULL || !pm_privileges_keep(&(PmNeeds){0}, error))
        return false;
    return has_trace ? plan_trace(session, error) : plan_machine(options, session, error);
}

static bool fits(const Session *session)
{
    return session->plan != NULL ? pm_plan_fits(session->plan)
                                 : pm_trace_plan_fits(session->trace_plan);
}

static char *report_json(const Session *session, const PmPlanReport *report, int status,
                         const GError *error)
{
    const PmJsonHead head = {
        .command = "plan",
        .version = PLUGMAP_VERSION,
        .verdict = status == PM_EXIT_OK ? "fits" : "does-not-fit",
        .exit_status = status,
        .error = error,
    };
    JsonBuilder *builder = pm_json_begin_report(&head);

    if (session->trace != NULL) {
        pm_json_begin_list(builder, "warnings");
        if (session->trace->warning != NULL)
            pm_json_add_text_element(builder, session->trace->warning);
        json_builder_end_array(builder);
    }
    if (error == NULL && session->plan != NULL)
        pm_plan_report_json(builder, report);
    else if (error == NULL)
        pm_trace_plan_json(builder, session->trace_plan);
    return pm_json_end_report(builder);
}

static char *report_text(const Session *session, const PmPlanReport *report)
{
    return session->plan != NULL ? pm_plan_report_text(report)
                                 : pm_trace_plan_text(session->trace_plan, report->colours);
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
    else if (!fits(session))
        status = PM_EXIT_WRONG;
    if (options->json)
        text = report_json(session, &report, status, error);
    else if (error == NULL)
        text = report_text(session, &report);
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
