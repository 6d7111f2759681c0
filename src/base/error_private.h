/* SPDX-License-Identifier: MIT */
/* Setters of an error's listener and cause. */
#ifndef PLUGMAP_SRC_BASE_ERROR_PRIVATE_H
#define PLUGMAP_SRC_BASE_ERROR_PRIVATE_H

#include <plugmap/error.h>

/* Ignores errors of other domains than PM_ERROR. Copies @listener. */
void pm_error_set_listener(GError *error, const char *listener);

/* Creates a PM_ERROR with the message of @cause, an error of another domain. Takes ownership of
 * @cause. */
GError *pm_error_new_caused(PmError code, GError *cause);

#endif
