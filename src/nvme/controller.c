/* SPDX-License-Identifier: MIT */
#include "nvme/controller.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "pci/fail.h"

#define N_ADMIN_ENTRIES 4 /* one command is in flight at a time */
#define POLL_US         100

/* The pages of PmNvmeConfig.memory. */
enum {
    RING_PAGE,
    DATA_PAGE = 2
};

struct PmNvmeController {
    PmNvmeConfig config;
    uint64_t capabilities;
    PmNvmeRing admin;
    PmNvmeIdentity identity;
    unsigned n_rings; /* created, of I/O queues */
};

static const char *name(const PmNvmeController *controller)
{
    return controller->config.registers->device;
}

static uint64_t doorbell_size(const PmNvmeController *controller)
{
    return UINT64_C(4) << (controller->capabilities >> 32 & 0xf);
}

/* In milliseconds. */
static unsigned ready_timeout(const PmNvmeController *controller)
{
    unsigned own = (unsigned)(controller->capabilities >> 24 & 0xff) * 500;

    return MAX(own, controller->config.timeout_ms);
}

static bool wait_for_ready(const PmNvmeController *controller, bool ready, GError **error)
{
    int64_t end = g_get_monotonic_time() + INT64_C(1000) * ready_timeout(controller);
    uint64_t status;

    for (;;) {
        bool late = g_get_monotonic_time() >= end;

        if (!pm_pci_region_read(controller->config.registers, PM_NVME_STATUS, 4, &status, error))
            return false;
        if (((status & PM_NVME_STATUS_READY) != 0) == ready)
            return true;
        if (late || (ready && (status & PM_NVME_STATUS_FATAL) != 0))
            break;
        g_usleep(POLL_US);
    }
    return pm_pci_fail(error, PM_ERROR_DEVICE, "%s: controller does not %s: CSTS 0x%x",
                       name(controller), ready ? "become ready" : "stop", (unsigned)status);
}

static bool set_enabled(const PmNvmeController *controller, bool enabled, GError **error)
{
    uint32_t configuration =
        enabled ? PM_NVME_CONFIGURATION_ENTRIES | PM_NVME_CONFIGURATION_ENABLE : 0;

    return pm_pci_region_write(controller->config.registers, PM_NVME_CONFIGURATION, 4,
                               configuration, error) &&
           wait_for_ready(controller, enabled, error);
}

static bool read_capabilities(PmNvmeController *controller, GError **error)
{
    unsigned min_page_shift;

    if (!pm_pci_region_read(controller->config.registers, PM_NVME_CAPABILITIES, 8,
                            &controller->capabilities, error))
        return false;
    min_page_shift = 12 + (unsigned)(controller->capabilities >> 48 & 0xf);
    return min_page_shift == 12 ||
           pm_pci_fail(error, PM_ERROR_UNSUPPORTED, "%s: unsupported pages of at least 2^%u bytes",
                       name(controller), min_page_shift);
}

/* Doorbells must be inside the registers: their place is what the device says. */
static bool check_doorbells(const PmNvmeController *controller, GError **error)
{
    uint64_t end = PM_NVME_DOORBELLS +
                   2 * (UINT64_C(1) + controller->config.n_queues) * doorbell_size(controller);

    return end <= controller->config.registers->size ||
           pm_pci_fail(error, PM_ERROR_UNSUPPORTED,
                       "%s: doorbells of %u queues end at 0x%" PRIx64 ", registers at 0x%" PRIx64,
                       name(controller), controller->config.n_queues, end,
                       controller->config.registers->size);
}

static bool start(PmNvmeController *controller, GError **error)
{
    const PmPciRegion *registers = controller->config.registers;
    PmNvmeMemory memory = controller->config.memory;

    pm_nvme_ring_init(&controller->admin, registers, 0, memory, doorbell_size(controller),
                      N_ADMIN_ENTRIES, controller->config.timeout_ms);
    return pm_pci_region_write(registers, PM_NVME_ADMIN_SIZES, 4,
                               (N_ADMIN_ENTRIES - 1) << 16 | (N_ADMIN_ENTRIES - 1), error) &&
           pm_pci_region_write(registers, PM_NVME_ADMIN_COMMANDS, 8, memory.address, error) &&
           pm_pci_region_write(registers, PM_NVME_ADMIN_COMPLETIONS, 8,
                               memory.address + PM_NVME_PAGE, error) &&
           set_enabled(controller, true, error);
}

/* @what: of PM_NVME_IDENTIFY_*. Returns 4 KiB, or NULL. */
static const uint8_t *identify(PmNvmeController *controller, unsigned what, GError **error)
{
    PmNvmeMemory memory = controller->config.memory;
    uint8_t *data = (uint8_t *)memory.host + DATA_PAGE * PM_NVME_PAGE;
    uint32_t namespace_id =
        what == PM_NVME_IDENTIFY_NAMESPACE ? controller->config.namespace_id : 0;
    const PmNvmeCommand command = {
        .opcode = PM_NVME_ADMIN_IDENTIFY,
        .namespace_id = GUINT32_TO_LE(namespace_id),
        .prp = {GUINT64_TO_LE(memory.address + DATA_PAGE * PM_NVME_PAGE)},
        .arguments = {GUINT32_TO_LE(what)},
    };

    memset(data, 0, PM_NVME_PAGE);
    return pm_nvme_ring_execute(&controller->admin, &command, NULL, error) ? data : NULL;
}

static bool read_identity(PmNvmeController *controller, GError **error)
{
    const uint8_t *data = identify(controller, PM_NVME_IDENTIFY_CONTROLLER, error);

    if (data == NULL)
        return false;
    pm_nvme_identity_read_controller(&controller->identity, data);
    data = identify(controller, PM_NVME_IDENTIFY_NAMESPACE, error);
    return data != NULL &&
           pm_nvme_identity_read_namespace(&controller->identity, data, name(controller), error);
}

static bool request_queues(PmNvmeController *controller, GError **error)
{
    unsigned n = controller->config.n_queues;
    const PmNvmeCommand command = {
        .opcode = PM_NVME_ADMIN_SET_FEATURES,
        .arguments = {GUINT32_TO_LE(PM_NVME_FEATURE_QUEUES),
                      GUINT32_TO_LE((n - 1) << 16 | (n - 1))},
    };
    uint32_t granted;
    unsigned n_granted;

    if (n == 0)
        return true;
    if (!pm_nvme_ring_execute(&controller->admin, &command, &granted, error))
        return false;
    n_granted = 1 + MIN(granted >> 16, granted & 0xffff);
    return n_granted >= n ||
           pm_pci_fail(error, PM_ERROR_UNSUPPORTED, "%s: has %u I/O queue pairs, must have %u",
                       name(controller), n_granted, n);
}

PmNvmeController *pm_nvme_controller_new(const PmNvmeConfig *config, GError **error)
{
    PmNvmeController *controller = g_new0(PmNvmeController, 1);

    controller->config = *config;
    if (config->namespace_id == 0)
        controller->config.namespace_id = 1;
    if (config->timeout_ms == 0)
        controller->config.timeout_ms = PM_NVME_TIMEOUT_MS;
    if (read_capabilities(controller, error) && check_doorbells(controller, error) &&
        set_enabled(controller, false, error) && start(controller, error) &&
        request_queues(controller, error) && read_identity(controller, error))
        return controller;
    pm_nvme_controller_free(controller);
    return NULL;
}

void pm_nvme_controller_free(PmNvmeController *controller)
{
    if (controller == NULL)
        return;
    (void)set_enabled(controller, false, NULL);
    g_free(controller);
}

const PmNvmeIdentity *pm_nvme_controller_get_identity(const PmNvmeController *controller)
{
    return &controller->identity;
}

uint32_t pm_nvme_controller_get_namespace_id(const PmNvmeController *controller)
{
    return controller->config.namespace_id;
}

/* @flags: the second argument. */
static bool create_queue(PmNvmeController *controller, uint8_t opcode, const PmNvmeRing *ring,
                         uint64_t address, uint32_t flags, GError **error)
{
    const PmNvmeCommand command = {
        .opcode = opcode,
        .prp = {GUINT64_TO_LE(address)},
        .arguments = {GUINT32_TO_LE((ring->n_entries - 1) << 16 | ring->number),
                      GUINT32_TO_LE(flags)},
    };

    return pm_nvme_ring_execute(&controller->admin, &command, NULL, error);
}

static void delete_completion_queue(PmNvmeController *controller, const PmNvmeRing *ring)
{
    const PmNvmeCommand command = {
        .opcode = PM_NVME_ADMIN_DELETE_COMPLETION,
        .arguments = {GUINT32_TO_LE(ring->number)},
    };

    (void)pm_nvme_ring_execute(&controller->admin, &command, NULL, NULL);
}

static bool create_queues(PmNvmeController *controller, PmNvmeMemory memory, const PmNvmeRing *ring,
                          GError **error)
{
    uint32_t interrupt =
        controller->config.interrupts == NULL ? 0 : PM_NVME_QUEUE_INTERRUPT | ring->number << 16;

    if (!create_queue(controller, PM_NVME_ADMIN_CREATE_COMPLETION, ring,
                      memory.address + PM_NVME_PAGE, PM_NVME_QUEUE_CONTIGUOUS | interrupt, error))
        return false;
    if (create_queue(controller, PM_NVME_ADMIN_CREATE_SUBMISSION, ring, memory.address,
                     PM_NVME_QUEUE_CONTIGUOUS | ring->number << 16, error))
        return true;
    delete_completion_queue(controller, ring);
    return false;
}

static bool check_entries(const PmNvmeController *controller, unsigned n_entries, GError **error)
{
    unsigned supported = 1 + (unsigned)(controller->capabilities & 0xffff);
    unsigned max = MIN(PM_NVME_RING_MAX_ENTRIES, supported);

    if (controller->n_rings == controller->config.n_queues)
        return pm_pci_fail(error, PM_ERROR_LIMIT, "%s: all of %u queue pairs are in use",
                           name(controller), controller->config.n_queues);
    return (n_entries >= 2 && n_entries <= max) ||
           pm_pci_fail(error, PM_ERROR_LIMIT, "%s: invalid queues of %u entries: must be 2 to %u",
                       name(controller), n_entries, max);
}

bool pm_nvme_controller_create_ring(PmNvmeController *controller, PmNvmeMemory memory,
                                    unsigned n_entries, PmNvmeRing *ring, GError **error)
{
    const PmPciInterrupts *interrupts = controller->config.interrupts;
    unsigned number = controller->n_rings + 1;

    if (!check_entries(controller, n_entries, error))
        return false;
    pm_nvme_ring_init(ring, controller->config.registers, number, memory, doorbell_size(controller),
                      n_entries, controller->config.timeout_ms);
    if (interrupts != NULL)
        ring->event = pm_pci_interrupts_get_event(interrupts, number);
    if (!create_queues(controller, memory, ring, error))
        return false;
    controller->n_rings++;
    return true;
}
