/* SPDX-License-Identifier: MIT */
/* The plan of a trace as text and as JSON (docs/schema/plan.json). */
#ifndef PLUGMAP_SRC_PLAN_TRACE_PLAN_REPORT_H
#define PLUGMAP_SRC_PLAN_TRACE_PLAN_REPORT_H

#include <json-glib/json-glib.h>

#include "plan/trace_plan.h"

/* A new string. @colours: of the terminal. */
char *pm_trace_plan_text(const PmTracePlan *plan, bool colours);

/* Adds members to the object that @builder is in. */
void pm_trace_plan_json(JsonBuilder *builder, const PmTracePlan *plan);

#endif
