/* SPDX-License-Identifier: MIT */
/* The options that configure the fake kernel. */
#ifndef PLUGMAP_TOOLS_FAKE_OPTIONS_H
#define PLUGMAP_TOOLS_FAKE_OPTIONS_H

#include "tools/backend.h"
#include "tools/command_line.h"

/* Not parsed; NULL if not given. */
typedef struct {
    char *pin;
    char *linux_version;
    char *iova_bits;
    char *entry_limit;
    char *memlock;
} PmFakeOptions;

/* A group's options; its base is a PmFakeOptions. */
extern const PmOption pm_fake_option_list[];

void pm_fake_options_clear(PmFakeOptions *options);

/* Whether mapping faults memory in. */
bool pm_fake_options_populate(const PmFakeOptions *options);

/* The kernel of the back end: a fake one, or the host's, which supports none of the options.
 * Errors: PM_ERROR_INVALID_ARGUMENT. */
PmKernel *pm_fake_options_make_kernel(const PmFakeOptions *options, const PmBackend *backend,
                                      GError **error);

#endif
