/* SPDX-License-Identifier: MIT */
/* Whatever a child made by fork(2) does with its copies must not affect the parent. Results are
 * ignored in the child: the test continues in the parent. */
#include "stack_fuzz_steps.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel-uapi/virtio_mem.h"
#include "util/mapper_util.h"
#include "util/request_util.h"

static void send(PmVirtioMem *device, uint16_t type, uint64_t offset)
{
    (void)send_request(device, type, pm_virtio_mem_get_address(device) + offset, 1, NULL);
}

static void use_rams(FuzzWorld *world)
{
    for (unsigned i = 0; i < FUZZ_N_RAMS; i++) {
        FuzzRam *ram = &world->rams[i];
        PmVirtioMemConfig config = {
            .struct_size = sizeof(config), .ram = ram->ram, .block_size = ram->block_size};

        (void)pm_ram_discard(ram->ram, 0, ram->block_size, NULL);
        (void)pm_ram_populate(ram->ram, 0, ram->block_size, 1, NULL);
        if (ram->device == NULL) {
            ram->device = pm_virtio_mem_new(&config, NULL);
            continue;
        }
        for (unsigned block = 0; block < FUZZ_N_BLOCKS; block++) {
            send(ram->device, VIRTIO_MEM_REQ_PLUG, block * ram->block_size);
            send(ram->device, VIRTIO_MEM_REQ_UNPLUG, block * ram->block_size);
        }
        send(ram->device, VIRTIO_MEM_REQ_UNPLUG_ALL, 0);
        (void)pm_virtio_mem_system_reset(ram->device, NULL);
    }
}

static void use_spaces(FuzzWorld *world)
{
    for (unsigned i = 0; i < FUZZ_N_SPACES; i++) {
        FuzzSpace *space = &world->spaces[i];

        (void)pm_iommu_settle(space->iommu, NULL);
        (void)pm_iommu_audit(space->iommu, NULL, 0, NULL);
        for (unsigned j = 0; j < FUZZ_N_SPARES; j++) {
            (void)pm_iommu_attach(space->iommu, fuzz_spare_device(j), NULL);
            (void)pm_iommu_detach(space->iommu, fuzz_spare_device(j), NULL);
        }
        for (unsigned j = 0; j < FUZZ_N_MAPPERS; j++) {
            FuzzMapper *mapper = &space->mappers[j];

            (void)pm_mapper_audit(mapper->mapper, NULL, NULL, NULL);
            (void)mapper_add_all(mapper->mapper, FUZZ_BASE, world->rams[0].ram, PM_MAPPER_STRICT,
                                 NULL);
            if (mapper->n_regions > 0)
                (void)pm_mapper_remove(mapper->mapper, mapper->regions[0].address, NULL);
        }
    }
}

static void free_rams(FuzzWorld *world)
{
    for (unsigned i = 0; i < FUZZ_N_RAMS; i++) {
        g_clear_pointer(&world->rams[i].device, pm_virtio_mem_free);
        pm_ram_unref(world->rams[i].ram);
    }
}

static void free_spaces(FuzzWorld *world)
{
    for (unsigned i = 0; i < FUZZ_N_SPACES; i++) {
        for (unsigned j = 0; j < FUZZ_N_MAPPERS; j++)
            pm_mapper_free(world->spaces[i].mappers[j].mapper);
        pm_iommu_unref(world->spaces[i].iommu);
    }
}

/* Runs in the child. */
static void live(FuzzWorld *world, unsigned kind)
{
    static void (*const lives[][4])(FuzzWorld *) = {
        {use_rams, use_spaces, free_rams, free_spaces},
        {free_rams, free_spaces},
        {free_spaces, free_rams},
        {use_spaces, use_rams, free_spaces},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lives[kind]) && lives[kind][i] != NULL; i++)
        lives[kind][i](world);
}

bool fuzz_fork(FuzzWorld *world, const FuzzView *before)
{
    unsigned kind = fuzz_pick(world, 4);
    int status;
    pid_t child;

    (void)before;
    fuzz_say(world, "a child of kind %u", kind);
    (void)fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        live(world, kind);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0)
        fuzz_fail(world, "the child ended with status 0x%x", (unsigned)status);
    return false;
}
