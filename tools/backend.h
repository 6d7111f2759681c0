/* SPDX-License-Identifier: MIT */
/* What --backend and --device mean. */
#ifndef PLUGMAP_TOOLS_BACKEND_H
#define PLUGMAP_TOOLS_BACKEND_H

#include <plugmap/plugmap.h>

/*
 * @name: of what was chosen: fake, fake-iommufd, type1 or iommufd.
 * @fake: the fake kernel, instead of the host's.
 * @device: PCI address, with its domain. @device_file: its own file, if sysfs is not to be asked.
 * @reason: why; only if nobody said which (auto).
 */
typedef struct {
    const char *name;
    bool fake;
    PmIommuBackend iommu;
    const char *device;
    const char *device_file;
    char *reason;
    char *address; /* owns @device, if it is no fake one */
} PmBackend;

/* The values of --backend, for its help. */
#define PM_BACKENDS "fake, fake-iommufd, type1, iommufd or auto"

/*
 * @text: what --backend says, or NULL: auto with a device, fake without. @device: what --device
 * says, with or without a domain, or NULL. Errors: PM_ERROR_INVALID_ARGUMENT.
 */
bool pm_backend_choose(PmBackend *backend, const char *text, const char *device, GError **error);
void pm_backend_clear(PmBackend *backend);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmBackend, pm_backend_clear)

#endif
