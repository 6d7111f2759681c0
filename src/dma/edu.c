/* SPDX-License-Identifier: MIT */
/* QEMU's edu device (hw/misc/edu.c). A transfer takes 100 ms; the fake kernel's edu completes at
 * once. */
#include <time.h>

#include "base/error_text.h"
#include "dma/engine.h"

#define REGISTER_SOURCE      0x80
#define REGISTER_DESTINATION 0x88
#define REGISTER_COUNT       0x90
#define REGISTER_COMMAND     0x98
#define COMMAND_START        0x1 /* reads as set until the transfer completes */
#define COMMAND_TO_MEMORY    0x2
#define BUFFER               0x40000
/* QEMU 7.2 aborts on a transfer of the whole 4096-byte buffer. */
#define TRANSFER_SIZE        4088

#define POLL_NS   1000000
#define MAX_POLLS 5000

static bool wait_until_done(PmDmaEngine *engine, GError **error)
{
    const struct timespec pause = {.tv_nsec = POLL_NS};

    for (unsigned n_polls = 0; n_polls < MAX_POLLS; n_polls++) {
        uint64_t command;

        if (!pm_pci_region_read(&engine->registers, REGISTER_COMMAND, 4, &command, error))
            return false;
        if ((command & COMMAND_START) == 0)
            return true;
        engine->is_slow = true;
        nanosleep(&pause, NULL);
    }
    return pm_fail(error, PM_ERROR_DEVICE, "edu: transfer timed out after %u ms", MAX_POLLS);
}

/* edu accepts 64-bit addresses only as a single access. */
static bool transfer(PmDmaEngine *engine, uint64_t source, uint64_t destination, uint32_t command,
                     GError **error)
{
    const PmPciRegion *registers = &engine->registers;

    return pm_pci_region_write(registers, REGISTER_SOURCE, 8, source, error) &&
           pm_pci_region_write(registers, REGISTER_DESTINATION, 8, destination, error) &&
           pm_pci_region_write(registers, REGISTER_COUNT, 4, TRANSFER_SIZE, error) &&
           pm_pci_region_write(registers, REGISTER_COMMAND, 4, COMMAND_START | command, error) &&
           wait_until_done(engine, error);
}

static bool edu_move(PmDmaEngine *engine, uint64_t from_iova, uint64_t to_iova, GError **error)
{
    return transfer(engine, from_iova, BUFFER, 0, error) &&
           transfer(engine, BUFFER, to_iova, COMMAND_TO_MEMORY, error);
}

static bool edu_start(PmDmaEngine *engine, GError **error)
{
    return wait_until_done(engine, error);
}

static void edu_stop(PmDmaEngine *engine)
{
    (void)wait_until_done(engine, NULL);
}

const PmDmaEngineKind pm_edu_engine = {
    .name = "edu",
    .pci_id = 0x11e81234,
    .transfer_size = TRANSFER_SIZE,
    .registers_size = 0x100000,
    .size = sizeof(PmDmaEngine),
    .start = edu_start,
    .move = edu_move,
    .stop = edu_stop,
};
