/* SPDX-License-Identifier: MIT */
/* Messages about what is not an error of a call. The library itself never prints. */
#ifndef PLUGMAP_LOG_H
#define PLUGMAP_LOG_H

#include <plugmap/error.h>

G_BEGIN_DECLS

/**
 * PmLogFunc: receives one message.
 * @level: G_LOG_LEVEL_WARNING (needs attention) or G_LOG_LEVEL_INFO.
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

G_END_DECLS

#endif
