/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "kernel-uapi/vfio.h"

/* The machine may be busy, and emulated. */
#define TIMEOUT_MS 30000

void die(const char *what, const GError *error)
{
    (void)fprintf(stderr, "%s%s%s\n", what, error != NULL ? ": " : "",
                  error != NULL ? error->message : "");
    exit(1);
}

static void open_iommu(World *world, const Options *options)
{
    const PmType1Config type1 = {
        .struct_size = sizeof(type1), .kernel = world->kernel, .device = options->device};
    const PmIommufdConfig iommufd = {
        .struct_size = sizeof(iommufd), .kernel = world->kernel, .device = options->device};
    g_autoptr(GError) error = NULL;

    world->iommu = g_strcmp0(options->backend, "iommufd") == 0
                       ? pm_iommu_iommufd_new(&iommufd, &error)
                       : pm_iommu_type1_new(&type1, &error);
    if (world->iommu == NULL)
        die("opening the address space", error);
}

/* From now on what is plugged is registered. */
static void open_memory(World *world)
{
    PmVirtioMemConfig memory = {.struct_size = sizeof(memory),
                                .address = ADDRESS,
                                .block_size = BLOCK,
                                .requested_size = SIZE};
    const PmBufferRegistryConfig registry = {
        .struct_size = sizeof(registry), .name = "the example's buffers", .iommu = world->iommu};
    g_autoptr(GError) error = NULL;

    world->ram = memory.ram = pm_ram_new(PM_RAM_MEMFD, SIZE, BLOCK, &error);
    if (world->ram == NULL)
        die("reserving memory", error);
    world->memory = pm_virtio_mem_new(&memory, &error);
    if (world->memory == NULL)
        die("making the virtio-mem device", error);
    world->registry = pm_buffer_registry_new(&registry, &error);
    if (world->registry == NULL ||
        !pm_buffer_registry_add_ram(world->registry, world->ram, 0, SIZE, &error))
        die("registering the memory", error);
}

/* The controller needs one address, so that the memory must be contiguous for it, and stays leased
 * as long as the controller runs. */
static uint64_t register_control(World *world)
{
    g_autoptr(GError) error = NULL;
    PmDmaSegment segment;

    world->control =
        mmap(NULL, world->control_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (world->control == MAP_FAILED)
        die("allocating queues", NULL);
    if (!pm_buffer_registry_register(world->registry, world->control, world->control_size, -1, 0,
                                     &error) ||
        !pm_buffer_lease_acquire(world->registry, world->control, world->control_size,
                                 &world->control_lease, &error))
        die("registering the queues", error);
    if (!pm_buffer_lease_next(&world->control_lease, 0, &segment) ||
        segment.length != world->control_size)
        die("the queues are not contiguous", NULL);
    return segment.address;
}

static void open_device(World *world, const Options *options)
{
    g_autoptr(GError) error = NULL;
    int fd = pm_iommu_open_device(world->iommu, options->device, &error);

    if (fd < 0 || !pm_pci_config_open(&world->config, world->kernel, options->device, fd, &error) ||
        !pm_pci_config_enable(&world->config, &error) ||
        !pm_pci_region_open(&world->registers, world->kernel, options->device, fd,
                            VFIO_PCI_BAR0_REGION_INDEX, PM_NVME_REGISTERS_SIZE, &error))
        die("opening the device", error);
    if (!options->poll &&
        !pm_pci_interrupts_enable(&world->interrupts, world->kernel, options->device, fd,
                                  world->n_queues + 1, &error))
        die("enabling interrupts", error);
}

static void open_controller(World *world, const Options *options)
{
    unsigned queue_pages = PM_NVME_QUEUE_PAGES((unsigned)options->depth);
    PmNvmeMemory memory;
    g_autoptr(GError) error = NULL;
    PmNvmeConfig config = {
        .registers = &world->registers,
        .n_queues = world->n_queues,
        .interrupts = options->poll ? NULL : &world->interrupts,
        .timeout_ms = TIMEOUT_MS,
    };

    world->control_size = (PM_NVME_CONTROLLER_PAGES + world->n_queues * queue_pages) * PM_NVME_PAGE;
    memory.address = register_control(world);
    memory.host = world->control;
    config.memory = memory;
    world->controller = pm_nvme_controller_new(&config, &error);
    if (world->controller == NULL)
        die("starting the controller", error);
    for (unsigned i = 0; i < world->n_queues; i++) {
        uint64_t offset = (PM_NVME_CONTROLLER_PAGES + i * queue_pages) * PM_NVME_PAGE;
        const PmNvmeMemory part = {(char *)memory.host + offset, memory.address + offset};

        world->queues[i] =
            pm_nvme_queue_new(world->controller, part, (unsigned)options->depth, &error);
        if (world->queues[i] == NULL)
            die("creating a queue", error);
    }
}

void world_open(World *world, const Options *options)
{
    *world = (World){.n_queues = (unsigned)options->n_threads};
    world->queues = g_new0(PmNvmeQueue *, world->n_queues);
    world->kernel = pm_kernel_host_new();
    open_iommu(world, options);
    open_memory(world);
    open_device(world, options);
    open_controller(world, options);
}

/* The controller first: it must not access what is not mapped for it any more. */
void world_close(World *world)
{
    g_autoptr(GError) error = NULL;

    for (unsigned i = 0; i < world->n_queues; i++)
        pm_nvme_queue_free(world->queues[i]);
    g_free(world->queues);
    pm_nvme_controller_free(world->controller);
    pm_pci_interrupts_disable(&world->interrupts);
    pm_pci_region_close(&world->registers);
    pm_pci_config_close(&world->config);
    pm_buffer_lease_release(&world->control_lease);
    if (!pm_buffer_registry_unregister(world->registry, world->control, world->control_size,
                                       &error) ||
        !pm_buffer_registry_remove_ram(world->registry, world->ram, 0, SIZE, &error))
        die("unregistering memory", error);
    pm_buffer_registry_free(world->registry);
    pm_virtio_mem_free(world->memory);
    pm_ram_unref(world->ram);
    (void)munmap(world->control, world->control_size);
    pm_iommu_unref(world->iommu);
    pm_kernel_unref(world->kernel);
}

PmVirtioMemAnswer world_request(World *world, PmVirtioMemRequestType type, uint64_t block,
                                uint64_t n_blocks)
{
    PmVirtioMemRequest request;
    PmVirtioMemResponse response;
    PmVirtioMemAnswer answer;
    g_autoptr(GError) error = NULL;

    pm_virtio_mem_request_init(&request, type, ADDRESS + block * BLOCK, (uint16_t)n_blocks);
    if (!pm_virtio_mem_handle(world->memory, &request, sizeof(request), &response, sizeof(response),
                              &error) ||
        !pm_virtio_mem_response_decode(&response, &answer, NULL, &error))
        die("the virtio-mem device", error);
    return answer;
}
