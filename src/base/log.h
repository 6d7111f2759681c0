/* SPDX-License-Identifier: MIT */
#ifndef PLUGMAP_SRC_BASE_LOG_H
#define PLUGMAP_SRC_BASE_LOG_H

#include <stdbool.h>

#include <plugmap/log.h>

/* Whether a message of this level is received. */
bool pm_log_wants(GLogLevelFlags level);

void pm_log_pass(GLogLevelFlags level, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Passes a message to the function set with pm_log_set_func(), if it wants it; otherwise the
 * arguments are not evaluated. */
#define pm_log(level, ...)                                                                         \
    do {                                                                                           \
        if (pm_log_wants(level))                                                                   \
            pm_log_pass(level, __VA_ARGS__);                                                       \
    } while (0)

#endif
