/* SPDX-License-Identifier: MIT */
#include "vm_stack.h"
#include "util/mapper_util.h"
#include "util/request_util.h"

#include <string.h>

void vm_check(bool right, const GError *error)
{
    if (!right)
        fail_msg("%s", error->message);
}

uint64_t vm_meminfo(const char *name)
{
    g_autofree char *text = NULL;
    g_autofree char *key = g_strdup_printf("\n%s:", name);
    const char *line;

    assert_true(g_file_get_contents("/proc/meminfo", &text, NULL, NULL));
    line = strstr(text, key);
    assert_non_null(line);
    return g_ascii_strtoull(line + strlen(key), NULL, 10);
}

PmIommu *vm_open_iommu(void)
{
    const PmType1Config type1 = {.struct_size = sizeof(type1), .device = DEVICE};
    const PmIommufdConfig iommufd = {.struct_size = sizeof(iommufd), .device = DEVICE};
    bool use_iommufd = g_strcmp0(g_getenv("PLUGMAP_BACKEND"), "iommufd") == 0;
    g_autoptr(GError) error = NULL;
    PmIommu *iommu =
        use_iommufd ? pm_iommu_iommufd_new(&iommufd, &error) : pm_iommu_type1_new(&type1, &error);

    vm_check(iommu != NULL, error);
    return iommu;
}

PmRam *vm_make_ram(const Memory *memory)
{
    g_autoptr(GError) error = NULL;
    PmRam *ram =
        pm_ram_new(memory->kind, N_BLOCKS * memory->block_size, memory->block_size, &error);

    vm_check(ram != NULL, error);
    return ram;
}

void vm_stack_set_up(Stack *stack, const Memory *memory)
{
    PmVirtioMemConfig config = {.struct_size = sizeof(config),
                                .address = ADDRESS,
                                .block_size = memory->block_size,
                                .requested_size = N_BLOCKS * memory->block_size};
    g_autoptr(GError) error = NULL;

    stack->memory = memory;
    stack->n_pool_free = vm_meminfo("HugePages_Free");
    stack->ram = config.ram = vm_make_ram(memory);
    stack->iommu = vm_open_iommu();
    stack->device = pm_virtio_mem_new(&config, &error);
    vm_check(stack->device != NULL, error);
    stack->mapper = pm_mapper_new(stack->iommu);
    vm_check(mapper_add_all(stack->mapper, ADDRESS, stack->ram, PM_MAPPER_STRICT, &error), error);
}

void vm_stack_tear_down(Stack *stack)
{
    pm_mapper_free(stack->mapper);
    pm_virtio_mem_free(stack->device);
    pm_iommu_unref(stack->iommu);
    pm_ram_unref(stack->ram);
}

void vm_request(Stack *stack, const Step *step)
{
    uint64_t address = ADDRESS + step->first * stack->memory->block_size;
    const GError *refusal;
    int answer = send_request(stack->device, step->request, address, step->n_blocks, NULL);

    pm_virtio_mem_last_refusal(stack->device, &refusal);
    if (answer != VIRTIO_MEM_RESP_ACK)
        fail_msg("request %u at block %u: %s", step->request, step->first,
                 refusal != NULL ? refusal->message : "");
}
