/* SPDX-License-Identifier: MIT */
/* Operations on an open device: config space, registers (QEMU's edu) and interrupts. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kernel-uapi/vfio.h"
#include "world.h"

#define REGION(index)      ((uint64_t)(index) << 40)
#define MAX_BYTES          16
#define CONFIG_BAR0        0x10
#define CONFIG_LINE        0x3c
#define CONFIG_MSI_ADDRESS 0x44
#define CONFIG_MEMORY      0x50 /* from here to the end */
#define CONFIG_END         0x100
#define REG_LIVENESS       0x04
#define REG_FACTORIAL      0x08
#define REG_STATUS         0x20
#define REG_IRQ_ACK        0x64
#define REG_DMA            0x80
#define REG_DMA_COMMAND    0x98
#define REG_DMA_END        0xa0
#define COMMAND_REGISTER   0x04
#define NO_FILE            100000 /* a descriptor that is not open */

static const char all_ones[4] = {-1, -1, -1, -1};

static bool get_device(const World *world, const Op *op, int *fds)
{
    for (int i = 0; i < N_SIDES; i++)
        fds[i] = world->sides[i].devices[op->slot];
    return fds[HOST] >= 0 && fds[FAKE] >= 0;
}

static int make_event(void)
{
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (event < 0) {
        perror("differential: eventfd");
        exit(2);
    }
    return event;
}

/* Both sides must get equal arguments, so they share this descriptor; it refers to the eventfd of
 * the side that is called. */
static int event_of_all(void)
{
    static int event = -1;

    if (event < 0)
        event = make_event();
    return event;
}

/* A real kernel waits for this one to unmask INTx; nothing signals it. */
static int quiet_event(void)
{
    static int event = -1;

    if (event < 0)
        event = make_event();
    return event;
}

/* New ones for each sequence, so that old signals do not count. */
void world_make_events(World *world)
{
    for (int i = 0; i < N_SIDES; i++)
        world->sides[i].event = make_event();
}

void world_close_events(World *world)
{
    for (int i = 0; i < N_SIDES; i++)
        (void)close(world->sides[i].event);
}

void world_choose_event(const World *world, int side)
{
    (void)dup3(world->sides[side].event, event_of_all(), O_CLOEXEC);
}

void world_compare_events(World *world)
{
    uint64_t counts[N_SIDES] = {0, 0};

    for (int i = 0; i < N_SIDES; i++) {
        if (read(world->sides[i].event, &counts[i], sizeof counts[i]) < 0)
            counts[i] = 0;
    }
    if (counts[HOST] > 0)
        world_count(world, "interrupt", 0);
    if (counts[HOST] != counts[FAKE])
        world_differ(world, "interrupts: host %" PRIu64 ", fake %" PRIu64, counts[HOST],
                     counts[FAKE]);
}

/* Values that differ between machines: the firmware sets the address of BAR 0 and the interrupt
 * line, and the kernel leaves its values in MSI's address and data until they are written. */
static bool is_machine_specific(const World *world, uint64_t offset)
{
    return (offset >= CONFIG_BAR0 && offset < CONFIG_BAR0 + 4) || offset == CONFIG_LINE ||
           (world->kind == SEQUENCE_FILES && offset >= CONFIG_MSI_ADDRESS &&
            offset < CONFIG_MEMORY);
}

static char *in_hex(const char *bytes, size_t size)
{
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < size; i++)
        g_string_append_printf(text, "%02x", bytes[i] & 0xff);
    return g_string_free(text, FALSE);
}

static void read_region(World *world, const int *fds, const Op *op, uint64_t region)
{
    char seen[N_SIDES][MAX_BYTES] = {{0}};
    ssize_t results[N_SIDES];

    for (int i = 0; i < N_SIDES; i++) {
        PmKernel *kernel = world->sides[i].kernel;

        results[i] =
            kernel->ops->pread(kernel, fds[i], seen[i], op->size, REGION(region) + op->iova);
        for (uint64_t j = 0; region == VFIO_PCI_CONFIG_REGION_INDEX && j < op->size; j++) {
            if (is_machine_specific(world, op->iova + j))
                seen[i][j] = 0;
        }
    }
    world_count(world, "read of a region", (int)results[HOST]);
    if (results[HOST] != results[FAKE] || memcmp(seen[HOST], seen[FAKE], MAX_BYTES) != 0) {
        g_autofree char *by_host = in_hex(seen[HOST], op->size);
        g_autofree char *by_fake = in_hex(seen[FAKE], op->size);

        world_differ(world, "reading region %u at 0x%x: host %zd, %s; fake %zd, %s",
                     (unsigned)region, (unsigned)op->iova, results[HOST], by_host, results[FAKE],
                     by_fake);
    }
}

/* Returns the host's result. */
static ssize_t write_region(World *world, const int *fds, uint64_t region, uint64_t offset,
                            const void *data, size_t size)
{
    ssize_t results[N_SIDES];

    for (int i = 0; i < N_SIDES; i++) {
        PmKernel *kernel = world->sides[i].kernel;

        results[i] = kernel->ops->pwrite(kernel, fds[i], data, size, REGION(region) + offset);
    }
    world_count(world, "write to a region", (int)results[HOST]);
    if (results[HOST] != results[FAKE])
        world_differ(world, "writing %zu bytes to region %u at 0x%x: host %zd, fake %zd", size,
                     (unsigned)region, (unsigned)offset, results[HOST], results[FAKE]);
    return results[HOST];
}

/* QEMU's I/O APIC forgets an INTx that is asserted before it is set up, so the device deasserts it
 * first; false if that fails. */
static bool prepare_to_set_up(World *world, const int *fds, const Op *op)
{
    const uint32_t set_up = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;

    return op->other != VFIO_PCI_INTX_IRQ_INDEX || (op->flags & set_up) != set_up ||
           write_region(world, fds, VFIO_PCI_BAR0_REGION_INDEX, REG_IRQ_ACK, all_ones, 4) == 4;
}

/* The data is an eventfd, none, or a boolean. */
static void set_irqs(World *world, const Op *op)
{
    bool unmasks = (op->flags & VFIO_IRQ_SET_ACTION_UNMASK) != 0;
    const int data[] = {unmasks ? quiet_event() : event_of_all(), -1, 1, 0, NO_FILE};
    const int32_t words[6] = {(int32_t)op->argsz, (int32_t)op->flags, (int32_t)op->other,
                              (int32_t)op->iova,  (int32_t)op->size,  data[op->host]};
    int fds[N_SIDES];

    if (get_device(world, op, fds) && prepare_to_set_up(world, fds, op))
        (void)world_ioctl(world, fds, VFIO_DEVICE_SET_IRQS, words, sizeof words, op);
}

/* Never write to registers that start a transfer, which takes 0.1 s and may abort QEMU, or a
 * calculation, whose end is not deterministic. */
static bool starts_something(const Op *op)
{
    return (op->iova < REG_DMA_END && op->iova + op->size > REG_DMA_COMMAND) ||
           (op->iova < REG_FACTORIAL + 4 && op->iova + op->size > REG_FACTORIAL);
}

static void use_region(World *world, const Op *op)
{
    char data[MAX_BYTES];
    int fds[N_SIDES];

    if (!get_device(world, op, fds))
        return;
    if (op->flags == 0) {
        read_region(world, fds, op, op->other);
        return;
    }
    if (op->other == VFIO_PCI_BAR0_REGION_INDEX && starts_something(op))
        return;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(op->host >> (8 * (i % 8)));
    (void)write_region(world, fds, op->other, op->iova, data, op->size);
}

/* A real device keeps its state, so each sequence starts and leaves it in a known one. */
void world_clean_device(World *world)
{
    static const char zeros[CONFIG_END];
    static const char memory_enabled[2] = {0x03, 0x01};
    const uint64_t config = VFIO_PCI_CONFIG_REGION_INDEX;
    int fds[N_SIDES];

    if (!get_device(world, &(Op){0}, fds))
        return;
    (void)write_region(world, fds, config, CONFIG_MSI_ADDRESS, zeros,
                       CONFIG_END - CONFIG_MSI_ADDRESS);
    (void)write_region(world, fds, config, COMMAND_REGISTER, memory_enabled, sizeof memory_enabled);
    (void)write_region(world, fds, 0, REG_LIVENESS, zeros, 4);
    (void)write_region(world, fds, 0, REG_STATUS, zeros, 4);
    (void)write_region(world, fds, 0, REG_IRQ_ACK, all_ones, 4);
    for (uint64_t at = REG_DMA; at < REG_DMA_COMMAND; at += 8)
        (void)write_region(world, fds, 0, at, zeros, 4);
}

void world_do_device(World *world, const Op *op)
{
    if (op->kind == OP_SET_IRQS)
        set_irqs(world, op);
    else
        use_region(world, op);
}
