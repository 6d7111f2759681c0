/* SPDX-License-Identifier: MIT */
#include "util/stack_util.h"
#include "util/mapper_util.h"
#include "util/request_util.h"

#include <string.h>

#include <plugmap/fake.h>

#include "replay/replay_audit.h"
#include "util/either_kernel.h"

static PmKernel *make_kernel(const PmFakeConfig *config)
{
    PmFakeConfig populating;

    pm_fake_config_init(&populating);
    if (config != NULL)
        populating = *config;
    populating.pin = PM_FAKE_PIN_POPULATE;
    return either_kernel_new(&populating);
}

Stack *stack_new(const PmFakeConfig *config)
{
    Stack *stack = g_new0(Stack, 1);
    PmVirtioMemConfig device_config = {
        .struct_size = sizeof(device_config),
        .address = STACK_ADDRESS,
        .block_size = STACK_BLOCK,
        .requested_size = STACK_N_BLOCKS * STACK_BLOCK,
    };

    stack->kernel = make_kernel(config);
    stack->ram = pm_ram_new(PM_RAM_MEMFD, STACK_N_BLOCKS * STACK_BLOCK, STACK_BLOCK, NULL);
    assert_non_null(stack->ram);
    device_config.ram = stack->ram;
    stack->device = pm_virtio_mem_new(&device_config, NULL);
    assert_non_null(stack->device);
    for (unsigned i = 0; i < STACK_N_MAPPERS; i++) {
        stack->iommus[i] = either_open(stack->kernel, i);
        stack->mappers[i] = pm_mapper_new(stack->iommus[i]);
        assert_true(mapper_add_all(stack->mappers[i], STACK_ADDRESS, stack->ram,
                                   PM_MAPPER_OVERCOMMIT, NULL));
    }
    return stack;
}

void stack_free(Stack *stack)
{
    either_clear_faults(stack->kernel);
    for (unsigned i = 0; i < STACK_N_MAPPERS; i++)
        pm_mapper_free(stack->mappers[i]);
    pm_virtio_mem_free(stack->device);
    pm_ram_unref(stack->ram);
    for (unsigned i = 0; i < STACK_N_MAPPERS; i++)
        pm_iommu_unref(stack->iommus[i]);
    either_assert_nothing_left(stack->kernel);
    pm_kernel_unref(stack->kernel);
    g_free(stack);
}

int stack_request(Stack *stack, uint16_t type, uint64_t first, uint16_t n_blocks)
{
    int answer =
        send_request(stack->device, type, STACK_ADDRESS + first * STACK_BLOCK, n_blocks, NULL);

    assert_true(answer >= 0);
    return answer;
}

void stack_check(Stack *stack)
{
    uint64_t plugged = pm_virtio_mem_get_plugged_size(stack->device);

    for (unsigned i = 0; i < STACK_N_MAPPERS; i++) {
        g_autofree PmAuditScope *everything = pm_audit_scope_new(stack->device);
        const PmReplayAuditSubject subject = {
            .scope = everything,
            .device = stack->device,
            .iommu = stack->iommus[i],
            .mapper = stack->mappers[i],
            .fake = either_is_real() ? NULL : stack->kernel,
            .group = i + 1,
            .all_resident = true,
        };

        for (size_t j = 0; j < PM_REPLAY_N_AUDITS; j++) {
            g_autoptr(GError) error = NULL;

            if (pm_replay_audits[j].applies(&subject) &&
                !pm_replay_audits[j].check(&subject, &error))
                fail_msg("%s", error->message);
        }
    }
    assert_int_equal(either_pinned(stack->kernel), STACK_N_MAPPERS * plugged);
}

void stack_snapshot(Stack *stack, Snapshot *snapshot)
{
    PmDiscardManager *manager = pm_virtio_mem_get_manager(stack->device);

    memset(snapshot, 0, sizeof(*snapshot));
    pm_virtio_mem_config_read(stack->device, 0, snapshot->config, sizeof(snapshot->config));
    for (uint64_t block = 0; block < STACK_N_BLOCKS; block++)
        snapshot->populated[block] =
            pm_discard_manager_is_populated(manager, block * STACK_BLOCK, STACK_BLOCK);
    for (unsigned i = 0; i < STACK_N_MAPPERS; i++) {
        snapshot->n_mappings[i] = pm_iommu_get_n_mappings(stack->iommus[i]);
        snapshot->pinned[i] = pm_iommu_get_pinned_bytes(stack->iommus[i]);
        snapshot->kernel_mappings[i] = either_n_mappings(stack->kernel, i, stack->iommus[i]);
    }
    snapshot->locked = either_pinned(stack->kernel);
    assert_true(
        pm_ram_resident(stack->ram, 0, STACK_N_BLOCKS * STACK_BLOCK, &snapshot->resident, NULL));
}

void stack_check_unchanged(Stack *stack, const Snapshot *before)
{
    Snapshot now;

    stack_snapshot(stack, &now);
    assert_memory_equal(&now, before, sizeof(now));
    stack_check(stack);
}
