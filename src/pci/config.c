/* SPDX-License-Identifier: MIT */
#include "pci/config.h"

#include "kernel-uapi/vfio.h"

#define CONFIG_ID      0x00
#define CONFIG_COMMAND 0x04
#define COMMAND_MEMORY 0x2
#define COMMAND_MASTER 0x4
#define CONFIG_SIZE    0x100

bool pm_pci_config_open(PmPciConfig *config, PmKernel *kernel, const char *device, int fd,
                        GError **error)
{
    *config = (PmPciConfig){0};
    return pm_pci_region_open(&config->region, kernel, device, fd, VFIO_PCI_CONFIG_REGION_INDEX,
                              CONFIG_SIZE, error);
}

bool pm_pci_config_read_id(const PmPciConfig *config, uint32_t *id, GError **error)
{
    uint64_t value;

    if (!pm_pci_region_read(&config->region, CONFIG_ID, 4, &value, error))
        return false;
    *id = (uint32_t)value;
    return true;
}

bool pm_pci_config_enable(PmPciConfig *config, GError **error)
{
    config->is_enabled =
        pm_pci_region_read(&config->region, CONFIG_COMMAND, 2, &config->command, error) &&
        pm_pci_region_write(&config->region, CONFIG_COMMAND, 2,
                            config->command | COMMAND_MEMORY | COMMAND_MASTER, error);
    return config->is_enabled;
}

void pm_pci_config_close(PmPciConfig *config)
{
    if (config->is_enabled)
        (void)pm_pci_region_write(&config->region, CONFIG_COMMAND, 2, config->command, NULL);
    config->is_enabled = false;
    pm_pci_region_close(&config->region);
}
