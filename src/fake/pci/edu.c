/* SPDX-License-Identifier: MIT */
#include "fake/pci/edu.h"

#include <stdbool.h>
#include <string.h>

/* Configuration space: a type 0 header (PCI 3.0, section 6.1) and an MSI capability (6.8.1). */
#define CONFIG_SIZE            256
#define CONFIG_COMMAND         0x04
#define CONFIG_STATUS          0x06
#define CONFIG_CACHE_LINE_SIZE 0x0c
#define CONFIG_BAR0            0x10
#define CONFIG_CAPABILITIES    0x34
#define CONFIG_INTERRUPT_LINE  0x3c
#define CONFIG_MSI             0x40
#define CONFIG_MSI_CONTROL     (CONFIG_MSI + 2)
#define CONFIG_MSI_ADDRESS     (CONFIG_MSI + 4)
#define CONFIG_MEMORY          (CONFIG_MSI + 16) /* no capability there: plain memory */
#define STATUS_INTERRUPT       0x0008
#define STATUS_CAPABILITIES    0x0010
#define CAPABILITY_MSI         0x05
#define MSI_64_BIT             0x0080
#define MSI_ENABLE             0x0001
#define MSI_CONTROL_WRITABLE   0x008f /* the bits that a device with one vector has */
#define COMMAND_MEMORY         0x0002
#define COMMAND_BUS_MASTER     0x0004
#define COMMAND_INTX_DISABLE   0x0400
#define COMMAND_WRITABLE       0x0507 /* I/O, memory, bus master, SERR, interrupt disable */
#define COMMAND_AFTER_OPEN     0x0103

/* BAR0 (QEMU docs/specs/edu). Accesses below 0x80 are of 4 bytes, others of 4 or 8. */
#define BAR0_SIZE           0x100000
#define REG_ID              0x00
#define REG_LIVENESS        0x04
#define REG_FACTORIAL       0x08
#define REG_STATUS          0x20
#define REG_IRQ_STATUS      0x24
#define REG_IRQ_RAISE       0x60
#define REG_IRQ_ACK         0x64
#define REG_DMA_SOURCE      0x80
#define REG_DMA_DESTINATION 0x88
#define REG_DMA_COUNT       0x90
#define REG_DMA_COMMAND     0x98

#define ID                   0x010000edU
#define STATUS_IRQ_FACTORIAL 0x80U
#define IRQ_FACTORIAL        0x001U
#define IRQ_DMA              0x100U
#define DMA_START            0x1U
#define DMA_FROM_DEVICE      0x2U
#define DMA_IRQ              0x4U

/* The device's buffer, at one end of every transfer. */
#define BUFFER_ADDRESS 0x40000U
#define BUFFER_SIZE    4096U

struct PmEdu {
    const PmEduBus *bus;
    void *user_data;
    uint8_t config[CONFIG_SIZE];
    uint8_t buffer[BUFFER_SIZE];
    uint32_t liveness;
    uint32_t factorial;
    uint32_t status;
    uint32_t irq_status;
    bool msi_is_set_up; /* by vfio-pci */
    bool msi_enabled;   /* in the device; @config may differ */
    bool intx_asserted;
    uint64_t dma_source;
    uint64_t dma_destination;
    uint64_t dma_count;
    uint64_t dma_command;
};

static uint64_t get_le(const uint8_t *bytes, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static void put_le(uint8_t *bytes, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

static bool has_command(const PmEdu *edu, uint64_t bits)
{
    return (get_le(edu->config + CONFIG_COMMAND, 2) & bits) != 0;
}

static void init_header(PmEdu *edu)
{
    memset(edu->config, 0, CONFIG_MEMORY);
    put_le(edu->config + 0x00, 2, 0x1234);
    put_le(edu->config + 0x02, 2, 0x11e8);
    edu->config[0x08] = 0x10;              /* revision */
    put_le(edu->config + 0x0a, 2, 0x00ff); /* class: unclassified */
    put_le(edu->config + CONFIG_STATUS, 2, STATUS_CAPABILITIES);
    put_le(edu->config + 0x2c, 2, 0x1af4);
    put_le(edu->config + 0x2e, 2, 0x1100);
    edu->config[CONFIG_CAPABILITIES] = CONFIG_MSI;
    edu->config[0x3d] = 1; /* interrupt pin A */
    edu->config[CONFIG_MSI] = CAPABILITY_MSI;
    put_le(edu->config + CONFIG_MSI_CONTROL, 2, MSI_64_BIT);
}

PmEdu *pm_edu_new(const PmEduBus *bus, void *user_data)
{
    PmEdu *edu = g_new0(PmEdu, 1);

    edu->bus = bus;
    edu->user_data = user_data;
    init_header(edu);
    return edu;
}

void pm_edu_free(PmEdu *edu)
{
    g_free(edu);
}

static void report_intx(const PmEdu *edu)
{
    edu->bus->set_intx(edu->user_data, edu->intx_asserted, has_command(edu, COMMAND_INTX_DISABLE));
}

/* vfio-pci gives each user a virtual header, initially the device's. */
void pm_edu_enable(PmEdu *edu)
{
    init_header(edu);
    put_le(edu->config + CONFIG_COMMAND, 2, COMMAND_AFTER_OPEN);
    report_intx(edu);
}

void pm_edu_disable(PmEdu *edu)
{
    put_le(edu->config + CONFIG_COMMAND, 2, 0);
}

uint64_t pm_edu_config_read(PmEdu *edu, uint32_t offset, unsigned size)
{
    edu->config[CONFIG_STATUS] = STATUS_CAPABILITIES | (edu->intx_asserted ? STATUS_INTERRUPT : 0);
    return get_le(edu->config + offset, size);
}

static void set_intx(PmEdu *edu, bool asserted)
{
    edu->intx_asserted = asserted;
    report_intx(edu);
}

/* Enabling MSI deasserts INTx. */
static void set_msi_enabled(PmEdu *edu, bool enabled)
{
    edu->msi_enabled = enabled;
    set_intx(edu, edu->intx_asserted && !enabled);
}

void pm_edu_set_up_msi(PmEdu *edu, bool is_set_up)
{
    if (edu->msi_is_set_up != is_set_up)
        set_msi_enabled(edu, is_set_up);
    edu->msi_is_set_up = is_set_up;
}

/* MSI leaves INTx alone: it writes to memory, by DMA. */
static void raise_irq(PmEdu *edu, uint32_t irqs)
{
    edu->irq_status |= irqs;
    if (edu->irq_status == 0)
        return;
    if (edu->msi_enabled && has_command(edu, COMMAND_BUS_MASTER))
        edu->bus->send_message(edu->user_data);
    if (!edu->msi_enabled)
        set_intx(edu, true);
}

static void lower_irq(PmEdu *edu, uint32_t irqs)
{
    edu->irq_status &= ~irqs;
    if (edu->irq_status == 0 && !edu->msi_enabled)
        set_intx(edu, false);
}

/* Linux, vfio_pci_config.c, vfio_msi_config_write: a write that touches the control register, or
 * ends where it begins, sets the device's enable bit; only once vfio-pci has set MSI up. */
static void enable_msi(PmEdu *edu, uint32_t offset, unsigned size)
{
    uint8_t *control = &edu->config[CONFIG_MSI_CONTROL];

    if (offset < CONFIG_MSI || offset > CONFIG_MSI_CONTROL || offset + size < CONFIG_MSI_CONTROL)
        return;
    if (!edu->msi_is_set_up)
        *control &= (uint8_t)~MSI_ENABLE;
    set_msi_enabled(edu, *control & MSI_ENABLE);
}

/* Changes only bits that vfio-pci lets a driver write. */
void pm_edu_config_write(PmEdu *edu, uint32_t offset, uint64_t value, unsigned size)
{
    uint8_t writable[CONFIG_SIZE] = {0};

    put_le(writable + CONFIG_COMMAND, 2, COMMAND_WRITABLE);
    writable[CONFIG_CACHE_LINE_SIZE] = 0xff;
    put_le(writable + CONFIG_BAR0, 4, ~(uint64_t)(BAR0_SIZE - 1));
    writable[CONFIG_INTERRUPT_LINE] = 0xff;
    put_le(writable + CONFIG_MSI_CONTROL, 2, MSI_CONTROL_WRITABLE);
    memset(writable + CONFIG_MSI_ADDRESS, 0xff, CONFIG_SIZE - CONFIG_MSI_ADDRESS);
    for (unsigned i = 0; i < size; i++) {
        uint8_t mask = writable[offset + i];
        uint8_t byte = (uint8_t)(value >> (8 * i));

        edu->config[offset + i] = (uint8_t)((edu->config[offset + i] & ~mask) | (byte & mask));
    }
    enable_msi(edu, offset, size);
    report_intx(edu);
}

/* Whether the device's end of a transfer is inside the buffer. QEMU 7.2 aborts if not; this
 * device ignores the transfer. */
static bool in_buffer(uint64_t address, uint64_t count)
{
    return address >= BUFFER_ADDRESS && count <= BUFFER_SIZE &&
           address - BUFFER_ADDRESS <= BUFFER_SIZE - count;
}

static void transfer(PmEdu *edu)
{
    bool from_device = edu->dma_command & DMA_FROM_DEVICE;
    uint64_t device_address = from_device ? edu->dma_source : edu->dma_destination;

    if (has_command(edu, COMMAND_BUS_MASTER) && edu->dma_count > 0 &&
        in_buffer(device_address, edu->dma_count)) {
        uint8_t *place = edu->buffer + (device_address - BUFFER_ADDRESS);

        if (from_device)
            edu->bus->write(edu->user_data, edu->dma_destination, place, edu->dma_count);
        else
            edu->bus->read(edu->user_data, edu->dma_source, place, edu->dma_count);
    }
    edu->dma_command &= ~(uint64_t)DMA_START;
    if (edu->dma_command & DMA_IRQ)
        raise_irq(edu, IRQ_DMA);
}

static uint32_t factorial(uint32_t n)
{
    uint32_t result = 1;

    /* From 34! on, factorials are 0 modulo 2^32, so this bounds the loop for any number a guest
     * writes. */
    for (uint32_t i = 2; i <= MIN(n, 34); i++)
        result *= i;
    return result;
}

static uint64_t *dma_register(PmEdu *edu, uint32_t offset)
{
    switch (offset) {
    case REG_DMA_SOURCE:
        return &edu->dma_source;
    case REG_DMA_DESTINATION:
        return &edu->dma_destination;
    case REG_DMA_COUNT:
        return &edu->dma_count;
    case REG_DMA_COMMAND:
        return &edu->dma_command;
    default:
        return NULL;
    }
}

bool pm_edu_memory_enabled(const PmEdu *edu)
{
    return has_command(edu, COMMAND_MEMORY);
}

static bool bar_access_is_decoded(uint32_t offset, unsigned size)
{
    return size == 4 || (size == 8 && offset >= REG_DMA_SOURCE);
}

uint64_t pm_edu_bar_read(PmEdu *edu, uint32_t offset, unsigned size)
{
    uint64_t all_ones = UINT64_MAX >> (64 - 8 * size);
    const uint64_t *dma = dma_register(edu, offset);

    if (size < 4)
        return 0; /* QEMU's bus rejects these before the device sees them */
    if (!bar_access_is_decoded(offset, size))
        return all_ones;
    if (dma != NULL)
        return *dma & all_ones;
    switch (offset) {
    case REG_ID:
        return ID;
    case REG_LIVENESS:
        return edu->liveness;
    case REG_FACTORIAL:
        return edu->factorial;
    case REG_STATUS:
        return edu->status;
    case REG_IRQ_STATUS:
        return edu->irq_status;
    default:
        return all_ones;
    }
}

void pm_edu_bar_write(PmEdu *edu, uint32_t offset, uint64_t value, unsigned size)
{
    uint64_t *dma = dma_register(edu, offset);

    if (!bar_access_is_decoded(offset, size))
        return;
    if (dma != NULL) {
        if (offset == REG_DMA_COMMAND && (value & DMA_START) == 0)
            return;
        *dma = value;
        if (offset == REG_DMA_COMMAND)
            transfer(edu);
        return;
    }
    switch (offset) {
    case REG_LIVENESS:
        edu->liveness = ~(uint32_t)value;
        break;
    case REG_FACTORIAL:
        edu->factorial = factorial((uint32_t)value);
        if (edu->status & STATUS_IRQ_FACTORIAL)
            raise_irq(edu, IRQ_FACTORIAL);
        break;
    case REG_STATUS:
        edu->status = (uint32_t)value & STATUS_IRQ_FACTORIAL;
        break;
    case REG_IRQ_RAISE:
        raise_irq(edu, (uint32_t)value);
        break;
    case REG_IRQ_ACK:
        lower_irq(edu, (uint32_t)value);
        break;
    default:
        break;
    }
}
