/* SPDX-License-Identifier: MIT */
/* What is refused before anything changes, and what the new side refuses. */
#include "handover_world.h"

#include <errno.h>
#include <plugmap/discard_policy.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel-uapi/vfio.h"
#include "util/backend_util.h"

/* Nothing was called that changes the address space, and the mapper works. */
static void assert_refused(HandoverWorld *world, PmError code, const char *words)
{
    g_autoptr(GError) error = NULL;

    assert_false(pm_handover_check(world->old.mappers, N_MAPPERS, &error));
    handover_assert_error(&error, code, words);
    assert_false(pm_handover_send(world->old.mappers, N_MAPPERS, world->sockets[0], &error));
    handover_assert_error(&error, code, words);
    assert_false(pm_handover_send(world->old.mappers, N_MAPPERS, world->sockets[0], NULL));
    handover_check_dma(world);
}

static void add_region(HandoverWorld *world, PmRam *ram)
{
    const PmMapperRegion region = {.struct_size = sizeof(region),
                                   .ram = ram,
                                   .size = pm_ram_get_size(ram),
                                   .address = 2 * PM_GIB,
                                   .access = PM_IOMMU_READ_WRITE};

    assert_true(pm_mapper_add(world->old.mappers[MAIN], &region, NULL));
    pm_ram_unref(ram);
}

static void anonymous_ram_is_refused(void **state)
{
    add_region(*state, pm_ram_new(PM_RAM_ANONYMOUS, BLOCK, 0, NULL));
    assert_refused(*state, PM_ERROR_UNSUPPORTED, "which has no file");
}

static void private_mapping_is_refused(void **state)
{
    HandoverWorld *world = *state;
    PmRamAdoption adoption = {.struct_size = sizeof(adoption), .size = BLOCK, .has_fd = true};

    adoption.fd = memfd_create("private", MFD_CLOEXEC);
    assert_int_equal(ftruncate(adoption.fd, (off_t)BLOCK), 0);
    adoption.host = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE, adoption.fd, 0);
    add_region(world, pm_ram_adopt(&adoption, NULL));
    assert_refused(world, PM_ERROR_UNSUPPORTED, "is a private mapping of its file");
    assert_true(pm_mapper_remove(world->old.mappers[MAIN], 2 * PM_GIB, NULL));
    munmap(adoption.host, BLOCK);
    close(adoption.fd);
}

static void claims_without_a_region_are_refused(void **state)
{
    HandoverWorld *world = *state;
    const PmIommuClaimConfig config = {.struct_size = sizeof(config),
                                       .owner = "the ring",
                                       .ram = world->old.plain,
                                       .iova = 2 * PM_GIB,
                                       .size = BLOCK,
                                       .block_size = BLOCK};
    g_autoptr(PmIommuClaim) claim = pm_iommu_claim_new(world->old.iommus[MAIN], &config, NULL);

    assert_non_null(claim);
    assert_refused(world, PM_ERROR_BUSY, "the ring has I/O addresses 0x80000000-0x8000ffff");
}

/* The new process would discard what somebody here has pinned. */
static void ram_that_others_have_pinned_is_refused(void **state)
{
    HandoverWorld *world = *state;
    PmRam *ram = world->old.managed;
    uint64_t claim = pm_ram_claim_discards(ram, PM_DISCARD_DISABLE_UNCOORDINATED, "the network",
                                           BLOCK, BLOCK, NULL);

    assert_int_not_equal(claim, 0);
    assert_refused(world, PM_ERROR_BUSY, "the network relies on 0x10000 bytes at offset 0x10000");
    assert_true(pm_ram_release_discards(ram, claim, NULL));
    assert_true(pm_handover_check(world->old.mappers, N_MAPPERS, NULL));
}

static void unknown_blocks_are_refused(void **state)
{
    HandoverWorld *world = *state;

    pm_fake_kernel_shorten_unmap(world->fake, 1);
    assert_false(pm_discard_source_discard(world->old.source, 0, 2 * BLOCK, 0, NULL));
    assert_refused(world, PM_ERROR_QUARANTINED, "I/O address 0x40000000 is in quarantine");
}

static int no_vaddr(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    PmKernel *fake = ((Process *)kernel)->fake;

    if (request == VFIO_CHECK_EXTENSION && (uintptr_t)argument == VFIO_UPDATE_VADDR)
        return 0;
    return fake->ops->ioctl(fake, fd, request, argument);
}

/* With mediated devices. */
static int busy_vaddr(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    PmKernel *fake = ((Process *)kernel)->fake;
    const struct vfio_iommu_type1_dma_unmap *unmap = argument;

    if (request == VFIO_IOMMU_UNMAP_DMA && unmap->flags & VFIO_DMA_UNMAP_FLAG_VADDR)
        return -EBUSY;
    return fake->ops->ioctl(fake, fd, request, argument);
}

static void answer_with(HandoverWorld *world, int (*answer)(PmKernel *, int, unsigned long, void *))
{
    ((PmKernelOps *)(uintptr_t)world->old.process.parent.ops)->ioctl = answer;
}

static void kernel_without_vaddr_is_refused(void **state)
{
    answer_with(*state, no_vaddr);
    assert_refused(*state, PM_ERROR_UNSUPPORTED, "VFIO_UPDATE_VADDR");
}

static void mediated_device_is_refused(void **state)
{
    answer_with(*state, busy_vaddr);
    assert_refused(*state, PM_ERROR_UNSUPPORTED, "it has a mediated device");
}

static void linux_6_12_is_refused(void **state)
{
    g_autoptr(GError) error = NULL;
    PmKernel *fake = backend_fake_new(NULL, NULL);
    PmIommu *iommu = backend_open(fake, 0, NULL);
    PmMapper *mapper = pm_mapper_new(iommu);

    (void)state;
    assert_false(pm_handover_check(&mapper, 1, &error));
    handover_assert_error(&error, PM_ERROR_UNSUPPORTED,
                          "the kernel lacks IOMMU_IOAS_CHANGE_PROCESS (Linux 6.13)");
    pm_mapper_free(mapper);
    pm_iommu_unref(iommu);
    pm_kernel_unref(fake);
}

static void other_descriptors_are_refused(void **state)
{
    HandoverWorld *world = *state;
    int pair[2];
    g_autoptr(GError) error = NULL;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_false(pm_handover_send(world->old.mappers, N_MAPPERS, pair[0], &error));
    handover_assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "is not a Unix stream socket");
    assert_null(pm_handover_receive(world->fake, -1, &error));
    handover_assert_error(&error, PM_ERROR_INVALID_ARGUMENT, "is not a Unix stream socket");
    close(pair[0]);
    close(pair[1]);
}

static void other_state_of_the_device_is_refused(void **state)
{
    HandoverWorld *world = *state;

    world->plugs_differently = true;
    handover_run(world);
    handover_assert_error(&world->new.error, PM_ERROR_AUDIT,
                          "8 blocks are mapped, but its RAM has 7");
    handover_assert_error(&world->old.error, PM_ERROR_AUDIT,
                          "the receiver of the handover failed: ");
    handover_assert_owner(world, &world->old);
}

static void dropped_offer_changes_nothing(void **state)
{
    HandoverWorld *world = *state;
    GThread *thread = handover_start_sending(world);
    PmHandover *handover = handover_receive_and_restore(&world->new, world->sockets[1]);

    assert_non_null(handover);
    pm_handover_free(handover);
    g_thread_join(thread);
    handover_assert_error(&world->old.error, PM_ERROR_BUSY, "it dropped the offer");
    handover_assert_owner(world, &world->old);
}

static void memory_is_not_discarded_before_it_is_taken_over(void **state)
{
    HandoverWorld *world = *state;
    GThread *thread = handover_start_sending(world);
    PmHandover *handover = handover_receive_and_restore(&world->new, world->sockets[1]);
    g_autoptr(GError) error = NULL;

    assert_false(pm_ram_discard(world->new.managed, 0, BLOCK, &error));
    handover_assert_error(&error, PM_ERROR_PERMISSION, "another process is still handing it over");
    assert_false(pm_discard_source_discard(world->new.source, 0, BLOCK, 0, &error));
    handover_assert_error(&error, PM_ERROR_PERMISSION, "another process is still handing it over");
    pm_handover_free(handover);
    g_thread_join(thread);
    handover_check_dma(world);
}

static void nothing_can_be_mapped_between_offer_and_decision(void **state)
{
    HandoverWorld *world = *state;
    GThread *thread = handover_start_sending(world);
    PmHandover *handover = handover_receive_and_restore(&world->new, world->sockets[1]);
    const PmIommuClaimConfig config = {.struct_size = sizeof(config),
                                       .owner = "the ring",
                                       .ram = world->old.plain,
                                       .iova = 2 * PM_GIB,
                                       .size = BLOCK,
                                       .block_size = BLOCK};
    g_autoptr(GError) error = NULL;

    assert_null(pm_iommu_claim_new(world->old.iommus[MAIN], &config, &error));
    handover_assert_error(&error, PM_ERROR_BUSY, "is being handed over");
    assert_false(pm_iommu_attach(world->old.iommus[MAIN], "0000:00:05.0", &error));
    handover_assert_error(&error, PM_ERROR_BUSY, "is being handed over");
    pm_handover_free(handover);
    g_thread_join(thread);
    handover_assert_owner(world, &world->old);
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, handover_world_setup, handover_world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(anonymous_ram_is_refused),
        TEST(private_mapping_is_refused),
        TEST(claims_without_a_region_are_refused),
        TEST(ram_that_others_have_pinned_is_refused),
        TEST(unknown_blocks_are_refused),
        BACKEND_TYPE1_ONLY(TEST(kernel_without_vaddr_is_refused)),
        BACKEND_TYPE1_ONLY(TEST(mediated_device_is_refused)),
        BACKEND_IOMMUFD_ONLY(cmocka_unit_test(linux_6_12_is_refused)),
        TEST(other_descriptors_are_refused),
        TEST(other_state_of_the_device_is_refused),
        TEST(dropped_offer_changes_nothing),
        TEST(memory_is_not_discarded_before_it_is_taken_over),
        TEST(nothing_can_be_mapped_between_offer_and_decision),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
