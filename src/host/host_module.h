/* SPDX-License-Identifier: MIT */
/* Modules of the running kernel. */
#ifndef PLUGMAP_SRC_HOST_HOST_MODULE_H
#define PLUGMAP_SRC_HOST_HOST_MODULE_H

#include <stdbool.h>

#include <plugmap/error.h>

/*
 * @PM_HOST_MODULE_LOADED: now.
 * @PM_HOST_MODULE_BUILT_IN: part of the kernel.
 * @PM_HOST_MODULE_AVAILABLE: modprobe can load it.
 * @PM_HOST_MODULE_MISSING: the kernel was built without it, or its package is not installed.
 * @PM_HOST_MODULE_UNKNOWN: not loaded, and the list of the kernel's modules is missing.
 */
typedef enum {
    PM_HOST_MODULE_LOADED,
    PM_HOST_MODULE_BUILT_IN,
    PM_HOST_MODULE_AVAILABLE,
    PM_HOST_MODULE_MISSING,
    PM_HOST_MODULE_UNKNOWN,
} PmHostModule;

/* @name: with '-' or '_', whatever the file has. Errors: those of pm_host_read(), except for files
 * that are missing. */
bool pm_host_module_find(const char *root, const char *name, PmHostModule *state, GError **error);

/* Whether it needs no loading. */
bool pm_host_module_is_there(PmHostModule state);

/* "loaded". */
const char *pm_host_module_name(PmHostModule state);

#endif
