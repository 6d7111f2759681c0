/* SPDX-License-Identifier: MIT */
/* The flags that say what the fake kernel is like. */
#ifndef PLUGMAP_TOOLS_FAKE_OPTIONS_H
#define PLUGMAP_TOOLS_FAKE_OPTIONS_H

#include "tools/backend.h"

/* As given, not parsed; NULL is not given. */
typedef struct {
    char *pin;
    char *linux_version;
    char *iova_bits;
    char *entry_limit;
    char *memlock;
} PmFakeOptions;

/* Adds the flags to a context; @options is filled in when it parses. */
void pm_fake_options_add(PmFakeOptions *options, GOptionContext *context);
void pm_fake_options_clear(PmFakeOptions *options);

/* Whether mapping faults memory in. */
bool pm_fake_options_populate(const PmFakeOptions *options);

/* The kernel of the back end: a fake one, or the host's, for which none of the flags may be given.
 * Errors: PM_ERROR_INVALID_ARGUMENT. */
PmKernel *pm_fake_options_make_kernel(const PmFakeOptions *options, const PmBackend *backend,
                                      GError **error);

#endif
