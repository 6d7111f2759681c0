/* SPDX-License-Identifier: MIT */
/* Names of PCI devices and of their drivers. */
#ifndef PLUGMAP_SRC_VFIO_PCI_NAMES_H
#define PLUGMAP_SRC_VFIO_PCI_NAMES_H

#include <stdbool.h>

#include <plugmap/error.h>

/* "0000:00:04.0": 4 to 8 digits of domain, then bus, device and function, in lower case. */
bool pm_pci_is_address(const char *text);

/* The same with an error: PM_ERROR_INVALID_ARGUMENT. */
bool pm_pci_check_address(const char *text, GError **error);

/* Whether a driver is vfio-pci, or a variant such as mlx5_vfio_pci. @driver: NULL: none. */
bool pm_pci_is_vfio_driver(const char *driver);

/* Whether a device with this driver makes its group not viable; drivers that do no DMA of their own
 * do not. @driver: NULL: none. */
bool pm_pci_keeps_group_from_user(const char *driver);

#endif
