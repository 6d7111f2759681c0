/* SPDX-License-Identifier: MIT */
#include "tools/backend.h"

#include "base/error_text.h"
#include "tools/trace_options.h"

/* The device of a new fake kernel. */
#define FAKE_DEVICE "0000:00:04.0"

enum {
    FAKE,
    FAKE_IOMMUFD,
    TYPE1,
    IOMMUFD,
    AUTO
};

const char *const pm_backend_names[] = {
    [FAKE] = "fake",   [FAKE_IOMMUFD] = "fake-iommufd",
    [TYPE1] = "type1", [IOMMUFD] = "iommufd",
    [AUTO] = "auto",   NULL,
};

/* Rejects options that would have no effect. */
static bool check_device(int chosen, const char *device, GError **error)
{
    bool fake = chosen == FAKE || chosen == FAKE_IOMMUFD;

    if (fake && device != NULL)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "--backend %s does not support --device: drop one of them",
                       pm_backend_names[chosen]);
    if (!fake && device == NULL)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                       "--backend %s requires --device BDF, a device bound to vfio-pci",
                       pm_backend_names[chosen]);
    return true;
}

char *pm_backend_complete_address(const char *device)
{
    g_autofree char *lower = device != NULL ? g_ascii_strdown(device, -1) : NULL;

    if (lower != NULL && g_regex_match_simple("^[0-9a-f]{2}:[0-9a-f]{2}\\.[0-7]$", lower, 0, 0))
        return g_strconcat("0000:", lower, NULL);
    return g_steal_pointer(&lower);
}

bool pm_backend_choose(PmBackend *backend, const char *text, const char *device, GError **error)
{
    int chosen = device != NULL ? AUTO : FAKE;

    *backend = (PmBackend){.address = pm_backend_complete_address(device)};
    backend->device = backend->address;
    if ((text != NULL && !pm_option_choose("--backend", text, pm_backend_names, &chosen, error)) ||
        !check_device(chosen, device, error))
        return false;
    if (chosen == AUTO) {
        backend->iommu = pm_iommu_choose_backend(NULL, backend->device, &backend->reason);
        chosen = backend->iommu == PM_IOMMU_IOMMUFD ? IOMMUFD : TYPE1;
    }
    backend->name = pm_backend_names[chosen];
    backend->fake = chosen == FAKE || chosen == FAKE_IOMMUFD;
    backend->iommu =
        chosen == IOMMUFD || chosen == FAKE_IOMMUFD ? PM_IOMMU_IOMMUFD : PM_IOMMU_TYPE1;
    if (backend->fake)
        backend->device = FAKE_DEVICE;
    return true;
}

void pm_backend_clear(PmBackend *backend)
{
    g_free(backend->reason);
    g_free(backend->address);
}
