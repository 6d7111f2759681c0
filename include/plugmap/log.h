/* SPDX-License-Identifier: MIT */
/* Messages about what is not an error of a call. The library itself never prints. */
#ifndef PLUGMAP_LOG_H
#define PLUGMAP_LOG_H

#include <plugmap/error.h>

G_BEGIN_DECLS

/**
 * PmLogFunc: receives one message.
 * @level: G_LOG_LEVEL_WARNING, G_LOG_LEVEL_INFO or G_LOG_LEVEL_DEBUG.
 * @message: one line without a newline; valid during the call only.
 *
 * Called in the thread that caused the message. Must not call back into the object that logs.
 */
typedef void (*PmLogFunc)(GLogLevelFlags level, const char *message, void *user_data);

/**
 * Sets the log function of the process; NULL (the default) drops messages. Call it before other
 * threads use the library. @user_data must stay valid until another function is set.
 */
PM_EXPORT void pm_log_set_func(PmLogFunc func, void *user_data);

/**
 * Sets the least important level that the log function receives, in the whole process. Call it
 * before other threads use the library. Messages below it cost a comparison: they are not made.
 *
 * @level: one of
 * - G_LOG_LEVEL_WARNING (the default): what needs attention, such as memory in quarantine.
 * - G_LOG_LEVEL_INFO: also what a VM's log should have: address spaces opened, devices attached and
 *   detached, regions added and removed, and each request that is refused, with the reason.
 * - G_LOG_LEVEL_DEBUG: also each request with its answer, and each map and unmap with its result.
 */
PM_EXPORT void pm_log_set_level(GLogLevelFlags level);

G_END_DECLS

#endif
