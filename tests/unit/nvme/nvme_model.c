/* SPDX-License-Identifier: MIT */
#include "nvme_model.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kernel-uapi/vfio.h"

#define STATUS_FAILED 0x4

static void *at(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

static void complete(ModelQueue *queue, unsigned number, unsigned id, uint32_t result,
                     unsigned status)
{
    PmNvmeCompletion *entry = (PmNvmeCompletion *)at(queue->completions) + queue->tail;

    *entry = (PmNvmeCompletion){.result = result,
                                .submission_head = (uint16_t)queue->head,
                                .queue = (uint16_t)number,
                                .id = (uint16_t)id,
                                .status = (uint16_t)(status << 1 | queue->phase)};
    queue->tail = (queue->tail + 1) % queue->n_entries;
    queue->phase ^= queue->tail == 0;
    if (queue->event >= 0)
        assert_int_equal(eventfd_write(queue->event, 1), 0);
}

static void identify(const Model *model, const PmNvmeCommand *command)
{
    static const char serial[] = "serial 7";
    static const char name[] = "model of a controller \x01";
    uint8_t *data = at(command->prp[0]);

    memset(data, 0, PM_NVME_PAGE);
    if (command->arguments[0] == PM_NVME_IDENTIFY_CONTROLLER) {
        memset(data + 4, ' ', 60);
        memcpy(data + 4, serial, sizeof serial - 1);
        memcpy(data + 24, name, sizeof name - 1);
        data[77] = (uint8_t)model->max_transfer_shift;
    } else if (command->namespace_id == 1) {
        *(uint64_t *)(void *)data = MODEL_DISK_SIZE >> model->block_shift;
        data[26] = 1;
        data[128 + 4 + 2] = (uint8_t)model->block_shift;
    }
}

static void create(Model *model, const PmNvmeCommand *command)
{
    ModelQueue *queue = &model->queues[command->arguments[0] & 0xffff];
    bool interrupt = (command->arguments[1] & PM_NVME_QUEUE_INTERRUPT) != 0;

    assert_in_range(command->arguments[0] & 0xffff, 1, MODEL_N_QUEUES - 1);
    assert_true((command->arguments[1] & PM_NVME_QUEUE_CONTIGUOUS) != 0);
    if (command->opcode == PM_NVME_ADMIN_CREATE_COMPLETION) {
        assert_false(queue->has_completions);
        *queue = (ModelQueue){.completions = command->prp[0],
                              .n_entries = 1 + (command->arguments[0] >> 16),
                              .phase = 1,
                              .has_completions = true,
                              .event = interrupt ? model->events[command->arguments[1] >> 16] : -1};
    } else {
        assert_true(queue->has_completions);
        assert_int_equal(command->arguments[1] >> 16, command->arguments[0] & 0xffff);
        assert_int_equal(queue->n_entries, 1 + (command->arguments[0] >> 16));
        queue->commands = command->prp[0];
        queue->has_commands = true;
    }
}

static uint32_t administer(Model *model, const PmNvmeCommand *command)
{
    switch (command->opcode) {
    case PM_NVME_ADMIN_IDENTIFY:
        identify(model, command);
        return 0;
    case PM_NVME_ADMIN_SET_FEATURES:
        assert_int_equal(command->arguments[0], PM_NVME_FEATURE_QUEUES);
        return (model->n_granted_queues - 1) << 16 | (model->n_granted_queues - 1);
    case PM_NVME_ADMIN_DELETE_COMPLETION:
        model->queues[command->arguments[0]].has_completions = false;
        return 0;
    default:
        create(model, command);
        return 0;
    }
}

/* Copies page by page, as the PRPs say. */
static void transfer(Model *model, const PmNvmeCommand *command)
{
    uint64_t size = (uint64_t)(command->arguments[2] + 1) << model->block_shift;
    uint8_t *disk = model->disk + ((command->arguments[0] | (uint64_t)command->arguments[1] << 32)
                                   << model->block_shift);
    uint64_t page = command->prp[0];
    uint64_t n_first = MIN(size, PM_NVME_PAGE - page % PM_NVME_PAGE);
    bool has_list = size > n_first + PM_NVME_PAGE;
    const uint64_t *next = has_list ? at(command->prp[1]) : &command->prp[1];

    for (uint64_t n = n_first; size > 0; n = MIN(size, PM_NVME_PAGE)) {
        if (command->opcode == PM_NVME_WRITE)
            memcpy(disk, at(page), n);
        else
            memcpy(at(page), disk, n);
        disk += n;
        size -= n;
        page = size > 0 ? *next++ : 0;
        assert_int_equal(page % PM_NVME_PAGE, 0);
    }
}

static void execute(Model *model, unsigned number, const PmNvmeCommand *command)
{
    ModelQueue *queue = &model->queues[number];
    uint32_t result = 0;

    if (model->fail_opcode == command->opcode && model->fail_queue == number) {
        complete(queue, number, command->id, 0, STATUS_FAILED);
        return;
    }
    if (number == 0)
        result = administer(model, command);
    else
        transfer(model, command);
    complete(queue, number, model->wrong_id ? command->id + 1U : command->id, result, 0);
}

/* With @reverse a command waits for the next one. */
static void take(Model *model, unsigned number, const PmNvmeCommand *command)
{
    if (number > 0 && model->drop)
        return;
    if (number > 0 && model->reverse && model->held == NULL) {
        model->held = &model->queues[number];
        model->held_command = *command;
        return;
    }
    execute(model, number, command);
    if (model->held != NULL) {
        model->held = NULL;
        execute(model, number, &model->held_command);
    }
}

static void ring(Model *model, unsigned doorbell, unsigned value)
{
    ModelQueue *queue = &model->queues[doorbell / 2];

    assert_in_range(doorbell / 2, 0, MODEL_N_QUEUES - 1);
    assert_in_range(value, 0, queue->n_entries - 1);
    if (doorbell % 2 == 1)
        return;
    while (queue->head != value) {
        const PmNvmeCommand *command = (PmNvmeCommand *)at(queue->commands) + queue->head;

        queue->head = (queue->head + 1) % queue->n_entries;
        take(model, doorbell / 2, command);
    }
}

static void configure(Model *model, uint32_t configuration)
{
    bool enabled = (configuration & PM_NVME_CONFIGURATION_ENABLE) != 0;

    model->configuration = configuration;
    model->status = enabled && !model->never_ready ? PM_NVME_STATUS_READY : 0;
    if (enabled && model->ready_fails)
        model->status = PM_NVME_STATUS_FATAL;
    for (unsigned i = enabled ? 1 : 0; i < MODEL_N_QUEUES; i++)
        model->queues[i] = (ModelQueue){.commands = model->queues[i].commands,
                                        .completions = model->queues[i].completions,
                                        .event = -1};
    model->queues[0].phase = 1;
    model->queues[0].n_entries = 1 + (model->admin_sizes & 0xfff);
}

static bool fails(Model *model)
{
    return model->fail_access > 0 && --model->fail_access == 0;
}

static ssize_t read_register(PmKernel *kernel, int fd, void *buffer, size_t size, uint64_t offset)
{
    Model *model = (Model *)kernel;
    uint64_t value = offset == PM_NVME_CAPABILITIES ? model->capabilities : model->status;

    (void)fd;
    if (fails(model))
        return -EIO;
    memcpy(buffer, &value, size);
    return (ssize_t)size;
}

static ssize_t write_register(PmKernel *kernel, int fd, const void *buffer, size_t size,
                              uint64_t offset)
{
    Model *model = (Model *)kernel;
    unsigned doorbell_size = 4U << (model->capabilities >> 32 & 0xf);
    uint64_t value = 0;

    (void)fd;
    if (fails(model))
        return -EIO;
    memcpy(&value, buffer, size);
    if (offset >= PM_NVME_DOORBELLS)
        ring(model, (unsigned)(offset - PM_NVME_DOORBELLS) / doorbell_size, (unsigned)value);
    else if (offset == PM_NVME_CONFIGURATION)
        configure(model, (uint32_t)value);
    else if (offset == PM_NVME_ADMIN_SIZES)
        model->admin_sizes = (uint32_t)value;
    else if (offset == PM_NVME_ADMIN_COMMANDS)
        model->queues[0].commands = value;
    else if (offset == PM_NVME_ADMIN_COMPLETIONS)
        model->queues[0].completions = value;
    return (ssize_t)size;
}

static int answer_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    struct vfio_region_info *info = argument;

    (void)kernel;
    (void)fd;
    assert_int_equal(request, VFIO_DEVICE_GET_REGION_INFO);
    info->size = MODEL_N_REGISTERS;
    return 0;
}

static const PmKernelOps ops = {.struct_size = sizeof(ops),
                                .ioctl = answer_ioctl,
                                .pread = read_register,
                                .pwrite = write_register};

void model_init(Model *model)
{
    *model = (Model){.capabilities = UINT64_C(1) << 24 | 63,
                     .block_shift = 9,
                     .n_granted_queues = MODEL_N_QUEUES - 1};
    model->disk = g_malloc0(MODEL_DISK_SIZE);
    assert_true(pm_kernel_init(&model->parent, &ops, NULL, NULL));
    assert_true(pm_pci_region_open(&model->registers, &model->parent, "the model", 7, 0,
                                   PM_NVME_REGISTERS_SIZE, NULL));
}

void model_clear(Model *model)
{
    pm_pci_region_close(&model->registers);
    pm_kernel_unref(&model->parent);
    g_free(model->disk);
}

PmNvmeMemory model_memory(unsigned n_pages)
{
    size_t size = (size_t)n_pages * PM_NVME_PAGE;
    void *host = aligned_alloc(PM_NVME_PAGE, size);

    assert_non_null(host);
    memset(host, 0xa5, size); /* so that old phase tags would be seen */
    return (PmNvmeMemory){host, (uintptr_t)host};
}
