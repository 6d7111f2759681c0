/* SPDX-License-Identifier: MIT */
#ifndef PLUGMAP_SRC_BASE_LOG_H
#define PLUGMAP_SRC_BASE_LOG_H

#include <plugmap/log.h>

/* Passes a message to the function set with pm_log_set_func(), if any. */
void pm_log(GLogLevelFlags level, const char *format, ...) G_GNUC_PRINTF(2, 3);

#endif
