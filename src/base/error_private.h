/* SPDX-License-Identifier: MIT */
/* What an error has beside its errno. */
#ifndef PLUGMAP_SRC_BASE_ERROR_PRIVATE_H
#define PLUGMAP_SRC_BASE_ERROR_PRIVATE_H

#include <plugmap/error.h>

/* Of PM_ERROR, or ignored. Copies @listener. */
void pm_error_set_listener(GError *error, const char *listener);

/* An error of PM_ERROR with the message of @cause, of another domain, which it takes. */
GError *pm_error_new_caused(PmError code, GError *cause);

#endif
