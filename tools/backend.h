/* SPDX-License-Identifier: MIT */
/* The --backend and --device options. */
#ifndef PLUGMAP_TOOLS_BACKEND_H
#define PLUGMAP_TOOLS_BACKEND_H

#include <plugmap/plugmap.h>

/*
 * @name: fake, fake-iommufd, type1 or iommufd.
 * @fake: use the fake kernel instead of the host's.
 * @device: PCI address, with its domain.
 * @reason: why it was chosen; set only for auto.
 */
typedef struct {
    const char *name;
    bool fake;
    PmIommuBackend iommu;
    const char *device;
    char *reason;
    char *address; /* owns @device, unless it is the fake one */
} PmBackend;

/* The values of --backend; ends with NULL. */
extern const char *const pm_backend_names[];

/*
 * @text: argument of --backend; NULL: auto with a device, else fake. @device: argument of --device,
 * with or without a domain, or NULL. Errors: PM_ERROR_INVALID_ARGUMENT.
 */
bool pm_backend_choose(PmBackend *backend, const char *text, const char *device, GError **error);

/* A PCI address as people write it, lower case and with the domain, which lspci omits if there is
 * only one; a new string. NULL for NULL. */
char *pm_backend_complete_address(const char *device);

void pm_backend_clear(PmBackend *backend);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmBackend, pm_backend_clear)

#endif
