/* SPDX-License-Identifier: MIT */
/* What was watched, at the end. */
#ifndef PLUGMAP_SRC_WATCH_SUMMARY_H
#define PLUGMAP_SRC_WATCH_SUMMARY_H

#include "watch/watch.h"
#include "json/json.h"

/* For people: labelled lines; a new string that ends with a newline. @colours: use ANSI colours. */
char *pm_watch_summary(const PmWatch *watch, bool colours);

/* For programs: docs/schema/watch.json. @watch: NULL if the command did not get that far. Returns a
 * new string: one JSON object and a newline. */
char *pm_watch_summary_json(const PmWatch *watch, const PmJsonHead *head);

#endif
