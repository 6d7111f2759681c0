/* SPDX-License-Identifier: MIT */
/* What is known, for people: labelled lines, for the screen and the summary. */
#ifndef PLUGMAP_SRC_WATCH_FACTS_H
#define PLUGMAP_SRC_WATCH_FACTS_H

#include "watch/watch.h"

/* New strings, "label     text", in the order of interest; free with g_ptr_array_unref(). */
GPtrArray *pm_watch_facts(const PmWatch *watch);

#endif
