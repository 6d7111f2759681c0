/* SPDX-License-Identifier: MIT */
/* Is there an IOMMU, and does it remap interrupts? */
#include "plan/doctor_checks.h"

#include <string.h>

#include "host/host_files.h"
#include "host/host_iommu.h"
#include "plan/doctor_texts.h"

#define TYPE1_UNSAFE   "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
#define IOMMUFD_UNSAFE "/sys/module/iommufd/parameters/allow_unsafe_interrupts"

/* --- IOMMU --- */

static void find_no_iommu(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    pm_doctor_set(
        finding, PM_DOCTOR_ERROR,
        "none: enable it in the firmware (VT-d, AMD-Vi, SMMU) and on the kernel's command "
        "line");
    pm_doctor_fix_missing_iommu(subject->root, finding);
}

/* The smallest width of all, because any device may be meant; 0: unknown. */
static bool read_smallest(const char *root, GStrv names, unsigned *bits, GError **error)
{
    *bits = 0;
    for (char **name = names; *name != NULL; name++) {
        unsigned of_one;

        if (!pm_host_iommu_read_bits(root, *name, &of_one, error))
            return false;
        if (of_one != 0 && (*bits == 0 || of_one < *bits))
            *bits = of_one;
    }
    return true;
}

static bool has_groups(const char *root)
{
    g_auto(GStrv) groups = pm_host_list(root, "/sys/kernel/iommu_groups", NULL);

    return groups != NULL && groups[0] != NULL;
}

static void describe_iommus(GStrv names, unsigned bits, PmDoctorFinding *finding)
{
    unsigned n_units = g_strv_length(names);
    const char *kind = pm_host_iommu_kind(names[0]);
    g_autofree char *reach = pm_doctor_reach(bits);

    pm_doctor_add_fact(finding, "units", n_units);
    if (bits != 0)
        pm_doctor_add_fact(finding, "address_bits", bits);
    pm_doctor_set(finding, PM_DOCTOR_OK, "%s, %u unit%s, %s", kind, n_units,
                  n_units == 1 ? "" : "s", reach);
}

void pm_doctor_check_iommu(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    GError *error = NULL;
    g_auto(GStrv) names = pm_host_iommu_list(subject->root, &error);
    unsigned bits;

    if (names == NULL || !read_smallest(subject->root, names, &bits, &error)) {
        pm_doctor_set_error(finding, error);
        return;
    }
    if (names[0] == NULL || !has_groups(subject->root))
        find_no_iommu(subject, finding);
    else
        describe_iommus(names, bits, finding);
}

/* --- interrupt remapping --- */

static bool read_flag(const char *root, const char *path, bool *flag, GError **error)
{
    *flag = false;
    return !pm_host_exists(root, path) || pm_host_read_flag(root, path, flag, error);
}

static bool is_unsafe_allowed(const char *root, bool *allowed, GError **error)
{
    bool type1;
    bool iommufd;

    if (!read_flag(root, TYPE1_UNSAFE, &type1, error) ||
        !read_flag(root, IOMMUFD_UNSAFE, &iommufd, error))
        return false;
    *allowed = type1 || iommufd;
    return true;
}

static void find_no_remapping(const PmDoctorSubject *subject, bool allowed,
                              PmDoctorFinding *finding)
{
    if (allowed)
        pm_doctor_set(finding, PM_DOCTOR_WARNING,
                      "not remapped, but allow_unsafe_interrupts is set: a guest can inject "
                      "interrupts into the host");
    else
        pm_doctor_set(finding, PM_DOCTOR_ERROR,
                      "not remapped: VFIO refuses devices (EPERM). Enable interrupt remapping or "
                      "x2APIC in the firmware, and remove intremap=off and nointremap from the "
                      "kernel's command line; for trusted guests allow it");
    pm_doctor_fix(finding, "cat /proc/cmdline; dmesg | grep -i remap");
    if (allowed) {
        pm_doctor_fix_boot(finding, "grep -r allow_unsafe_interrupts /etc/modprobe.d");
        return;
    }
    if (pm_host_exists(subject->root, TYPE1_UNSAFE))
        pm_doctor_fix(finding, "echo Y >" TYPE1_UNSAFE);
    if (pm_host_exists(subject->root, IOMMUFD_UNSAFE))
        pm_doctor_fix(finding, "echo Y >" IOMMUFD_UNSAFE);
    pm_doctor_fix_boot(finding, "echo 'options vfio_iommu_type1 allow_unsafe_interrupts=1' "
                                ">/etc/modprobe.d/vfio-unsafe-interrupts.conf");
}

/* On x86 the kernel prefixes the chips of remapped interrupts with IR-; the timer's IO-APIC is
 * always there. Arm's ITS isolates devices as well, and its chips have ITS- before PCI-MSI.
 * Elsewhere nothing in /proc says it. */
void pm_doctor_check_interrupts(const PmDoctorSubject *subject, PmDoctorFinding *finding)
{
    GError *error = NULL;
    g_autofree char *text = pm_host_read(subject->root, "/proc/interrupts", &error);
    bool allowed = false;

    if (text == NULL || !is_unsafe_allowed(subject->root, &allowed, &error)) {
        pm_doctor_set_error(finding, error);
        return;
    }
    if (strstr(text, "IR-") != NULL) {
        pm_doctor_set(finding, PM_DOCTOR_OK, "remapped");
    } else if (strstr(text, "ITS-") != NULL) {
        pm_doctor_set(finding, PM_DOCTOR_OK, "isolated by the interrupt translation service");
    } else if (strstr(text, "IO-APIC") != NULL || strstr(text, "PCI-MSI") != NULL) {
        find_no_remapping(subject, allowed, finding);
    } else {
        pm_doctor_set(finding, PM_DOCTOR_WARNING,
                      "unknown: /proc/interrupts does not show whether they are remapped");
        pm_doctor_fix(finding, "dmesg | grep -i -e remap -e ITS");
    }
}
