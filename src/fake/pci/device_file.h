/* SPDX-License-Identifier: MIT */
/* System calls on a vfio-pci device file. The caller (the fake kernel) holds its lock and
 * manages lifetimes. */
#ifndef PLUGMAP_SRC_FAKE_PCI_DEVICE_FILE_H
#define PLUGMAP_SRC_FAKE_PCI_DEVICE_FILE_H

#include <sys/types.h>

#include <plugmap/fake.h>

#include "fake/pci/edu.h"

int pm_device_file_ioctl(PmFakeLinux version, unsigned long request, void *argument);
ssize_t pm_device_file_pread(PmEdu *edu, PmFakeLinux version, void *buffer, size_t size,
                             uint64_t offset);
ssize_t pm_device_file_pwrite(PmEdu *edu, PmFakeLinux version, const void *buffer, size_t size,
                              uint64_t offset);

#endif
