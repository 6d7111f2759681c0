/* SPDX-License-Identifier: MIT */
/* How to configure what a plan needs, as lines that can be copied. */
#ifndef PLUGMAP_SRC_PLAN_WAYS_H
#define PLUGMAP_SRC_PLAN_WAYS_H

#include "plan/plan.h"

/* @where: "QEMU". @text: the line; or, if @is_note, why there is none. */
typedef struct {
    const char *where;
    char *text;
    bool is_note;
} PmPlanLine;

/* @name: for programs: "blocks", "entry-limit", "iommufd", "locked-memory", "addresses",
 * "huge-pages". @title: for people. @lines: of PmPlanLine. */
typedef struct {
    const char *name;
    char *title;
    GArray *lines;
} PmPlanWay;

/* Of PmPlanWay *; frees them with it. */
GPtrArray *pm_plan_find_ways(const PmPlan *plan);

#endif
