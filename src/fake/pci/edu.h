/* SPDX-License-Identifier: MIT */
/*
 * A PCI device that behaves like QEMU's edu (1234:11e8): configuration space, BAR0 registers, and a
 * DMA engine with a 4 KiB buffer at device address 0x40000. DMA completes at once, where QEMU takes
 * 100 ms.
 */
#ifndef PLUGMAP_SRC_FAKE_PCI_EDU_H
#define PLUGMAP_SRC_FAKE_PCI_EDU_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct PmEdu PmEdu;

/* The device's DMA and interrupts. */
typedef struct {
    void (*read)(void *user_data, uint64_t iova, void *buffer, uint64_t size);
    void (*write)(void *user_data, uint64_t iova, const void *buffer, uint64_t size);
    /* INTx changes its state. */
    void (*set_intx)(void *user_data, bool asserted, bool disabled);
    void (*send_message)(void *user_data);
} PmEduBus;

PmEdu *pm_edu_new(const PmEduBus *bus, void *user_data);
void pm_edu_free(PmEdu *edu);

/* What vfio-pci does on first open and last close of a device: COMMAND becomes 0x0103, with bus
 * mastering off. */
void pm_edu_enable(PmEdu *edu);
void pm_edu_disable(PmEdu *edu);

/* Accesses of 1, 2, 4 or 8 bytes, naturally aligned, inside the 256 bytes. */
uint64_t pm_edu_config_read(PmEdu *edu, uint32_t offset, unsigned size);
void pm_edu_config_write(PmEdu *edu, uint32_t offset, uint64_t value, unsigned size);

/* The COMMAND register's memory bit; without it BAR0 does not respond. */
bool pm_edu_memory_enabled(const PmEdu *edu);

/* vfio-pci has set MSI up or torn it down: the device interrupts by messages or by INTx, which
 * the STATUS register shows. */
void pm_edu_set_up_msi(PmEdu *edu, bool is_set_up);

/* Accesses of 1, 2, 4 or 8 bytes, naturally aligned, inside the 1 MiB. */
uint64_t pm_edu_bar_read(PmEdu *edu, uint32_t offset, unsigned size);
void pm_edu_bar_write(PmEdu *edu, uint32_t offset, uint64_t value, unsigned size);

#endif
