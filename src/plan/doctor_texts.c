/* SPDX-License-Identifier: MIT */
#include "plan/doctor_texts.h"

#include <string.h>

#include <plugmap/size.h>

#include "host/host_files.h"

char *pm_doctor_reach(unsigned bits)
{
    g_autofree char *size = NULL;

    if (bits == 0)
        return g_strdup("I/O address width not in sysfs");
    if (bits >= 64)
        return g_strdup("64-bit I/O addresses");
    size = pm_size_format(UINT64_C(1) << bits);
    return g_strdup_printf("%u-bit I/O addresses (%s)", bits, size);
}

/* Intel's is off by default in some kernels; the others need no option. */
void pm_doctor_fix_missing_iommu(const char *root, PmDoctorFinding *finding)
{
    g_autofree char *cpuinfo = pm_host_read(root, "/proc/cpuinfo", NULL);

    pm_doctor_fix(finding, "dmesg | grep -i -e DMAR -e IOMMU -e AMD-Vi -e SMMU");
    if (cpuinfo != NULL && strstr(cpuinfo, "GenuineIntel") != NULL) {
        pm_doctor_fix_boot(finding,
                           "echo 'GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX intel_iommu=on\"' "
                           ">/etc/default/grub.d/iommu.cfg");
        pm_doctor_fix_boot(finding, "update-grub");
    }
    pm_doctor_fix_boot(finding, "systemctl reboot --firmware-setup");
}

/* driverctl keeps the override over reboots. */
void pm_doctor_fix_binding(PmDoctorFinding *finding, const char *address, const char *driver)
{
    pm_doctor_fix(finding, "modprobe vfio-pci");
    pm_doctor_fix(finding, "echo vfio-pci >/sys/bus/pci/devices/%s/driver_override", address);
    if (driver != NULL)
        pm_doctor_fix(finding, "echo %s >/sys/bus/pci/devices/%s/driver/unbind", address, address);
    pm_doctor_fix(finding, "echo %s >/sys/bus/pci/drivers_probe", address);
    pm_doctor_fix_boot(finding, "driverctl set-override %s vfio-pci", address);
}
