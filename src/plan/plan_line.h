/* SPDX-License-Identifier: MIT */
/* Lines of the plans' text. */
#ifndef PLUGMAP_SRC_PLAN_PLAN_LINE_H
#define PLUGMAP_SRC_PLAN_PLAN_LINE_H

#include <stdbool.h>

#include <glib.h>

/* Appends a labelled line, newline included. */
void pm_plan_line(GString *text, const char *label, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The same with the label "verdict", in green or red if @colours. */
void pm_plan_line_verdict(GString *text, bool good, bool colours, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

#endif
