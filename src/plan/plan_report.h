/* SPDX-License-Identifier: MIT */
/* A plan as text and as JSON (docs/schema/plan.json). */
#ifndef PLUGMAP_SRC_PLAN_PLAN_REPORT_H
#define PLUGMAP_SRC_PLAN_PLAN_REPORT_H

#include <json-glib/json-glib.h>

#include "plan/plan.h"
#include "plan/plug_time.h"

/* @time: NULL: it was not to be measured. @colours: of the terminal. */
typedef struct {
    const PmPlan *plan;
    const PmPlanTime *time;
    bool colours;
} PmPlanReport;

/* A new string. */
char *pm_plan_report_text(const PmPlanReport *report);

/* Adds members to the object that @builder is in. */
void pm_plan_report_json(JsonBuilder *builder, const PmPlanReport *report);

/* Its limits, which the plan of a trace has, too. */
void pm_plan_limits_json(JsonBuilder *builder, const PmPlanHost *host);

#endif
