/* SPDX-License-Identifier: MIT */
/* Labelled lines of a report. */
#ifndef PLUGMAP_SRC_TEXT_LINE_H
#define PLUGMAP_SRC_TEXT_LINE_H

#include <stdbool.h>

#include <glib.h>

/* Columns, with the blank after the label. */
#define PM_TEXT_LABEL_WIDTH 10

/* Appends a labelled line, newline included. */
void pm_text_line(GString *text, const char *label, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The same with the label "verdict", in green or red if @colours. */
void pm_text_verdict(GString *text, bool good, bool colours, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

#endif
