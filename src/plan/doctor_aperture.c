/* SPDX-License-Identifier: MIT */
/* Which I/O addresses can the device use? */
#include "plan/doctor_checks.h"

#include <inttypes.h>

#include "host/host_iommu.h"
#include "host/host_regions.h"
#include "plan/doctor_texts.h"

static const PmHostRegion *find_direct(const GArray *regions)
{
    for (guint i = 0; i < regions->len; i++) {
        const PmHostRegion *region = &g_array_index(regions, PmHostRegion, i);

        if (region->is_direct)
            return region;
    }
    return NULL;
}

static void find_required(const PmHostRegion *region, PmDoctorFinding *finding)
{
    pm_doctor_set(
        finding, PM_DOCTOR_ERROR,
        "the firmware requires 0x%" PRIx64 "-0x%" PRIx64
        " to be mapped one to one: VFIO refuses the device. Switch off the firmware's use "
        "of it (legacy USB, management controller), or ask the vendor",
        region->first, region->last);
    pm_doctor_fix(finding, "dmesg | grep -i -e RMRR -e '1:1'");
    pm_doctor_fix_boot(finding, "systemctl reboot --firmware-setup");
}

static void describe(const GArray *regions, unsigned bits, PmDoctorFinding *finding)
{
    uint64_t last = bits == 0 || bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    g_autofree char *ranges = pm_host_regions_describe_rest(regions, last);
    g_autofree char *reach = pm_doctor_reach(bits);

    if (bits != 0)
        pm_doctor_add_fact(finding, "address_bits", bits);
    pm_doctor_set(finding, PM_DOCTOR_OK, "%s: %s", reach, ranges);
}

void pm_doctor_check_aperture(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    const PmHostDevice *device = subject->device;
    g_autoptr(GArray) regions = NULL;
    GError *error = NULL;
    unsigned bits = 0;

    if (!device->has_group)
        return;
    regions = pm_host_regions_read(subject->root, device->group, &error);
    if (regions == NULL || (device->iommu != NULL &&
                            !pm_host_iommu_read_bits(subject->root, device->iommu, &bits, &error)))
        pm_doctor_set_error(finding, error);
    else if (find_direct(regions) != NULL)
        find_required(find_direct(regions), finding);
    else
        describe(regions, bits, finding);
}
