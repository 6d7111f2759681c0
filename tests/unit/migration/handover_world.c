/* SPDX-License-Identifier: MIT */
#include "handover_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/backend_util.h"

#define OTHER_DEVICE "0000:00:05.0"

/* Devices and groups of the address spaces, as backend_open() counts them. */
static const char *const devices[N_SPACES] = {"0000:00:04.0", "0000:00:06.0"};
static const unsigned indexes[N_SPACES] = {0, 2};
static const unsigned first_mappers[N_SPACES] = {MAIN, MOVED};

bool handover_is_plugged(unsigned block)
{
    return block % 4 < 2;
}

void handover_assert_error(GError **error, PmError code, const char *words)
{
    assert_non_null(*error);
    if (!g_error_matches(*error, PM_ERROR, (gint)code) || strstr((*error)->message, words) == NULL)
        fail_msg("code %d, \"%s\"; expected code %d, \"%s\"", (*error)->code, (*error)->message,
                 (int)code, words);
    g_clear_error(error);
}

/* --- processes --- */

static Process *process_of(PmKernel *kernel)
{
    return (Process *)kernel;
}

/* Its end of the socket closes, and it makes no more calls. */
static void die(Process *process)
{
    process->is_dead = true;
    (void)shutdown(process->socket, SHUT_RDWR);
}

static int process_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    Process *process = process_of(kernel);
    int result;

    if (process->dies_after != 0 && process->n_calls >= process->dies_after && !process->is_dead)
        die(process);
    if (process->is_dead)
        return -EIO;
    process->n_calls++;
    result = process->fake->ops->ioctl(process->fake, fd, request, argument);
    handover_check_dma(process->world);
    return result;
}

static void process_free(PmKernel *kernel G_GNUC_UNUSED)
{
}

static void make_process(Process *process, HandoverWorld *world)
{
    static const PmKernelOps ops = {
        .struct_size = sizeof(ops), .ioctl = process_ioctl, .free = process_free};

    process->fake = world->fake;
    process->world = world;
    process->socket = -1;
    assert_true(pm_kernel_init(&process->parent, &ops, world->fake, NULL));
}

/* --- the world --- */

static void check(bool right, const GError *error)
{
    if (!right)
        fail_msg("%s", error->message);
}

static void add_region(const Side *side, unsigned mapper, PmRam *ram, uint64_t address)
{
    const PmMapperRegion region = {.struct_size = sizeof(region),
                                   .ram = ram,
                                   .size = SIZE,
                                   .address = address,
                                   .access = PM_IOMMU_READ_WRITE};
    g_autoptr(GError) error = NULL;

    check(pm_mapper_add(side->mappers[mapper], &region, &error), error);
}

static bool plug(Side *side, unsigned block, GError **error)
{
    return pm_discard_source_populate(side->source, block * BLOCK, BLOCK, 0, 0, error);
}

static bool unplug(Side *side, unsigned block, GError **error)
{
    return pm_discard_source_discard(side->source, block * BLOCK, BLOCK, 0, error);
}

/* As virtio-mem does it. */
static bool manage(Side *side, bool keep)
{
    const PmDiscardSourceConfig config = {
        .struct_size = sizeof(config),
        .name = "the device",
        .granularity = BLOCK,
        .flags =
            PM_DISCARD_SOURCE_FREES_MEMORY | (keep ? (uint64_t)PM_DISCARD_SOURCE_KEEP_CONTENTS : 0),
    };

    side->manager = pm_discard_manager_new(side->managed, BLOCK, NULL);
    if (side->manager != NULL)
        side->source = pm_discard_manager_add_source(side->manager, &config, NULL);
    return side->source != NULL;
}

static bool plug_all(Side *side, bool differently)
{
    bool plugged = true;

    for (unsigned i = 0; i < N_BLOCKS && plugged; i++)
        plugged = !handover_is_plugged(i) || (differently && i == 0) || plug(side, i, NULL);
    return plugged;
}

static void open_spaces(Side *old)
{
    g_autoptr(GError) error = NULL;

    for (unsigned i = 0; i < N_SPACES; i++) {
        PmIommu *iommu = backend_open(&old->process.parent, indexes[i], &error);

        check(iommu != NULL, error);
        old->iommus[first_mappers[i]] = iommu;
    }
    old->iommus[BESIDE] = pm_iommu_ref(old->iommus[MOVED]);
    for (unsigned i = 0; i < N_MAPPERS; i++)
        old->mappers[i] = pm_mapper_new(old->iommus[i]);
}

static void make_old(HandoverWorld *world)
{
    Side *old = &world->old;

    open_spaces(old);
    old->plain = pm_ram_new(PM_RAM_MEMFD, SIZE, BLOCK, NULL);
    old->managed = pm_ram_new(PM_RAM_MEMFD, SIZE, BLOCK, NULL);
    assert_true(manage(old, false));
    add_region(old, MAIN, old->plain, PLAIN);
    add_region(old, MAIN, old->managed, MANAGED);
    add_region(old, MOVED, old->managed, MANAGED_AGAIN);
    add_region(old, BESIDE, old->plain, PLAIN);
    assert_true(plug_all(old, false));
    for (unsigned i = 0; i < N_BLOCKS; i++)
        if (handover_is_plugged(i))
            memset((char *)pm_ram_get_host(old->managed) + i * BLOCK, (int)i + 1, PM_DMA_PAGE);
    old->owns = true;
}

/* Its descriptor and its scratch are the test's: it works whoever owns the address space. */
static void make_engine(HandoverWorld *world, unsigned space)
{
    g_autoptr(GError) error = NULL;
    int fd = pm_iommu_open_device(world->old.iommus[first_mappers[space]], devices[space], &error);

    check(fd >= 0, error);
    world->devices[space] = dup(fd);
    world->engines[space] = pm_dma_engine_new(world->fake, world->devices[space], devices[space],
                                              pm_ram_get_host(world->old.plain), PLAIN, &error);
    check(world->engines[space] != NULL, error);
}

static void make_engines(HandoverWorld *world)
{
    world->view = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                       pm_ram_get_fd(world->old.managed, NULL), 0);
    assert_ptr_not_equal(world->view, MAP_FAILED);
    for (unsigned i = 0; i < N_SPACES; i++)
        make_engine(world, i);
}

void handover_end_dma(HandoverWorld *world)
{
    for (unsigned i = 0; i < N_SPACES; i++)
        g_clear_pointer(&world->engines[i], pm_dma_engine_free);
}

HandoverWorld *handover_world_new(void)
{
    HandoverWorld *world = g_new0(HandoverWorld, 1);
    g_autoptr(GError) error = NULL;
    PmFakeConfig config;

    pm_fake_config_init(&config);
    config.pin = PM_FAKE_PIN_HOLD;
    config.ioas_map_file = true;
    world->fake = backend_fake_new(&config, &error);
    if (world->fake == NULL) {
        printf("skipped: %s\n", error->message);
        exit(77);
    }
    assert_true(pm_fake_kernel_add_device(world->fake, 2, OTHER_DEVICE, "vfio-pci", NULL));
    assert_true(pm_fake_kernel_add_device(world->fake, 3, devices[1], "vfio-pci", NULL));
    g_mutex_init(&world->lock);
    make_process(&world->old.process, world);
    make_process(&world->new.process, world);
    make_old(world);
    make_engines(world);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, world->sockets), 0);
    world->old.process.socket = world->sockets[0];
    world->new.process.socket = world->sockets[1];
    return world;
}

static void free_side(Side *side)
{
    for (unsigned i = 0; i < N_MAPPERS; i++)
        pm_mapper_free(side->mappers[i]);
    g_clear_pointer(&side->manager, pm_discard_manager_unref);
    pm_ram_unref(side->plain);
    pm_ram_unref(side->managed);
    for (unsigned i = 0; i < N_MAPPERS; i++)
        pm_iommu_unref(side->iommus[i]);
    g_clear_error(&side->error);
    pm_kernel_unref(&side->process.parent);
}

static void close_sockets(HandoverWorld *world)
{
    for (unsigned i = 0; i < 2; i++) {
        if (world->sockets[i] >= 0)
            close(world->sockets[i]);
        world->sockets[i] = -1;
    }
}

/* Whoever owned it, nothing is left. */
void handover_world_free(HandoverWorld *world)
{
    pm_fake_kernel_clear_faults(world->fake);
    handover_end_dma(world);
    for (unsigned i = 0; i < N_SPACES; i++)
        world->fake->ops->close(world->fake, world->devices[i]);
    world->old.process.is_dead = world->new.process.is_dead = false;
    world->old.process.dies_after = world->new.process.dies_after = 0;
    free_side(&world->new);
    free_side(&world->old);
    close_sockets(world);
    munmap(world->view, SIZE);
    assert_int_equal(backend_get_pinned(world->fake), 0);
    assert_int_equal(pm_fake_kernel_get_n_open(world->fake), 0);
    pm_kernel_unref(world->fake);
    g_mutex_clear(&world->lock);
    g_free(world);
}

int handover_world_setup(void **state)
{
    *state = handover_world_new();
    return 0;
}

int handover_world_teardown(void **state)
{
    handover_world_free(*state);
    return 0;
}

/* --- checks --- */

static void check_engine(HandoverWorld *world, unsigned space, unsigned block)
{
    uint64_t address = space == 0 ? MANAGED : MANAGED_AGAIN;
    PmDmaEngine *engine = world->engines[space];
    char data[PM_DMA_PAGE];

    assert_true(pm_dma_engine_read(engine, address + block * BLOCK, data, NULL));
    assert_memory_equal(data, world->view + block * BLOCK, pm_dma_engine_transfer_size(engine));
    assert_int_equal(data[0], (char)(block + 1));
}

/* Faults of the plan must not hit the check. */
void handover_check_dma(HandoverWorld *world)
{
    g_mutex_lock(&world->lock);
    if (world->engines[N_SPACES - 1] != NULL)
        world->n_dma_checks++;
    for (unsigned i = 0; i < N_SPACES && world->engines[N_SPACES - 1] != NULL; i++)
        check_engine(world, i, (world->n_dma_checks + i) % 2 + 4 * (world->n_dma_checks % 4));
    g_mutex_unlock(&world->lock);
}

void handover_assert_audits(const Side *owner)
{
    for (unsigned i = 0; i < N_MAPPERS; i++) {
        g_autoptr(GError) error = NULL;

        check(pm_mapper_audit(owner->mappers[i], NULL, NULL, &error), error);
    }
}

/* type1: fails while a host address is invalid. */
static void assert_attaches(const Side *owner)
{
    for (unsigned i = 0; i < N_SPACES; i++) {
        PmIommu *iommu = owner->iommus[first_mappers[i]];
        g_autoptr(GError) error = NULL;

        check(pm_iommu_attach(iommu, OTHER_DEVICE, &error), error);
        check(pm_iommu_detach(iommu, OTHER_DEVICE, &error), error);
    }
}

static void assert_works(Side *owner)
{
    const unsigned unplugged = 2;
    g_autoptr(GError) error = NULL;

    handover_assert_audits(owner);
    assert_attaches(owner);
    check(plug(owner, unplugged, &error), error);
    handover_assert_audits(owner);
    check(unplug(owner, unplugged, &error), error);
    handover_assert_audits(owner);
}

static void assert_denied(bool result, GError **error)
{
    assert_false(result);
    if (!g_error_matches(*error, PM_ERROR, PM_ERROR_PERMISSION))
        fail_msg("%s", (*error)->message);
    g_clear_error(error);
}

static void assert_is_closed(Side *other)
{
    g_autoptr(GError) error = NULL;

    if (other->mappers[MAIN] == NULL)
        return;
    for (unsigned i = 0; i < N_MAPPERS; i++)
        assert_denied(pm_mapper_audit(other->mappers[i], NULL, NULL, &error), &error);
    assert_denied(plug(other, 2, &error), &error);
    assert_denied(unplug(other, 0, &error), &error);
    assert_denied(pm_ram_discard(other->managed, 0, BLOCK, &error), &error);
    for (unsigned i = 0; i < N_SPACES; i++)
        assert_denied(
            pm_iommu_open_device(other->iommus[first_mappers[i]], devices[i], &error) >= 0, &error);
}

void handover_assert_owner(HandoverWorld *world, Side *owner)
{
    Side *other = owner == &world->old ? &world->new : &world->old;

    assert_true(owner->owns);
    assert_false(other->owns);
    handover_check_dma(world);
    assert_is_closed(other);
    assert_works(owner);
    assert_is_closed(other);
    handover_check_dma(world);
    for (unsigned i = 0; i < N_SPACES; i++)
        assert_int_equal(pm_fake_kernel_get_n_mappings(world->fake, indexes[i] + 1),
                         pm_iommu_get_n_mappings(owner->iommus[first_mappers[i]]));
}

/* --- the handover --- */

void handover_send(Side *old, int socket)
{
    old->owns = !pm_handover_send(old->mappers, N_MAPPERS, socket, &old->error);
}

PmHandover *handover_receive_and_restore(Side *new, int socket)
{
    PmHandover *handover = pm_handover_receive(&new->process.parent, socket, &new->error);

    if (handover == NULL)
        return NULL;
    assert_int_equal(pm_handover_get_n_mappers(handover), N_MAPPERS);
    assert_int_equal(pm_handover_get_n_regions(handover, MAIN), 2);
    new->plain = pm_ram_ref(pm_handover_get_region(handover, MAIN, 0)->ram);
    new->managed = pm_ram_ref(pm_handover_get_region(handover, MAIN, 1)->ram);
    if (manage(new, true) && plug_all(new, new->process.world->plugs_differently))
        return handover;
    /* Out of memory. */
    pm_handover_free(handover);
    return NULL;
}

static gpointer send_in_thread(gpointer data)
{
    HandoverWorld *world = data;

    handover_send(&world->old, world->sockets[0]);
    return NULL;
}

GThread *handover_start_sending(HandoverWorld *world)
{
    return g_thread_new("old", send_in_thread, world);
}

static gpointer run_old(gpointer data)
{
    HandoverWorld *world = data;

    handover_send(&world->old, world->sockets[0]);
    (void)shutdown(world->sockets[0], SHUT_RDWR);
    return NULL;
}

static void run_new(HandoverWorld *world)
{
    Side *new = &world->new;
    PmHandover *handover = handover_receive_and_restore(new, world->sockets[1]);

    if (handover != NULL)
        new->owns = pm_handover_take_over(handover, new->iommus, new->mappers, &new->error);
    pm_handover_free(handover);
    (void)shutdown(world->sockets[1], SHUT_RDWR);
}

/* GLib makes what errors share once, with locks that are invisible to the thread sanitizer. */
static void make_an_error(void)
{
    g_error_free(g_error_new_literal(PM_ERROR, PM_ERROR_KERNEL, ""));
}

void handover_run(HandoverWorld *world)
{
    GThread *thread;

    make_an_error();
    thread = g_thread_new("old", run_old, world);
    run_new(world);
    g_thread_join(thread);
    close_sockets(world);
}
