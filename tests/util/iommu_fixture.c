/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <plugmap/fake.h>

#include <cmocka.h>

#include <errno.h>

#include "kernel-uapi/iommufd.h"
#include "kernel-uapi/vfio.h"
#include "util/backend_util.h"
#include "util/iommu_fixture.h"

static PmKernel *next_of(PmKernel *kernel)
{
    return ((HookedKernel *)kernel)->next;
}

static int hooked_open(PmKernel *kernel, const char *path, int flags)
{
    const HookedKernel *hooked = (const HookedKernel *)kernel;

    if (hooked->is_sandboxed)
        return -EACCES;
    if (hooked->path != NULL && strcmp(path, hooked->path) == 0)
        return hooked->open_result;
    return hooked->next->ops->open(hooked->next, path, flags);
}

static int hooked_close(PmKernel *kernel, int fd)
{
    const HookedKernel *hooked = (const HookedKernel *)kernel;

    if (hooked->held_fd != 0 && fd == hooked->held_fd)
        return 0;
    return hooked->next->ops->close(hooked->next, fd);
}

/* Both kinds of response end with the last range. */
static void lower_last_iova(HookedKernel *hooked, unsigned long request, void *argument)
{
    const struct iommu_ioas_iova_ranges *ranges = argument;
    const size_t info_size = 120; /* Linux 6.12's, with two ranges */
    uint64_t last = hooked->last_iova;

    if (request == IOMMU_IOAS_IOVA_RANGES)
        ((struct iommu_iova_range *)(uintptr_t)ranges->allowed_iovas)[1].last = last;
    else if (request == VFIO_IOMMU_GET_INFO)
        memcpy((char *)argument + info_size - sizeof last, &last, sizeof last);
    else
        return;
    if (hooked->n_narrow > 0 && --hooked->n_narrow == 0)
        hooked->last_iova = 0;
}

/* As if the devices' IOMMUs were incompatible. */
static bool belongs_to_another(HookedKernel *hooked, int fd,
                               const struct vfio_device_attach_iommufd_pt *attach)
{
    int *owner = &hooked->owners[attach->pt_id % G_N_ELEMENTS(hooked->owners)];

    if (*owner == 0)
        *owner = fd;
    return hooked->apart && *owner != fd;
}

static void count(HookedKernel *hooked, unsigned long request, const void *argument)
{
    const struct iommu_hwpt_set_dirty_tracking *set = argument;

    hooked->n_objects += request == IOMMU_IOAS_ALLOC || request == IOMMU_HWPT_ALLOC;
    hooked->n_objects -= request == IOMMU_DESTROY;
    hooked->n_attached += request == VFIO_DEVICE_ATTACH_IOMMUFD_PT;
    hooked->n_attached -= request == VFIO_DEVICE_DETACH_IOMMUFD_PT;
    if (request == IOMMU_HWPT_SET_DIRTY_TRACKING)
        hooked->n_tracking += set->flags & IOMMU_HWPT_DIRTY_TRACKING_ENABLE ? 1 : -1;
}

static int hooked_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    HookedKernel *hooked = (HookedKernel *)kernel;
    int result;

    hooked->n_probes += backend_is_probe(request, argument);
    if (hooked->request == request)
        return hooked->result;
    if (hooked->answer != NULL && hooked->answer(request, argument, &result))
        return result;
    if (request == VFIO_DEVICE_ATTACH_IOMMUFD_PT && belongs_to_another(hooked, fd, argument))
        return -EINVAL;
    result = hooked->next->ops->ioctl(hooked->next, fd, request, argument);
    if (result == 0)
        count(hooked, request, argument);
    if (request == backend_unmap_request())
        backend_add_to_unmapped(argument, hooked->unmap_size_added);
    if (request == IOMMU_IOAS_ALLOC && result == 0)
        hooked->ioas = ((const struct iommu_ioas_alloc *)argument)->out_ioas_id;
    if ((request == IOMMU_IOAS_ALLOC || request == VFIO_SET_IOMMU) && result == 0)
        hooked->opened = fd;
    if (hooked->change != NULL && result == 0)
        hooked->change(request, argument);
    if (hooked->last_iova != 0 && result == 0)
        lower_last_iova(hooked, request, argument);
    if (request == VFIO_IOMMU_GET_INFO && hooked->hide_capabilities)
        ((struct vfio_iommu_type1_info *)argument)->flags &= ~(uint32_t)VFIO_IOMMU_INFO_CAPS;
    return result;
}

static int hooked_lock_limit(PmKernel *kernel, PmLockedMemory *locked)
{
    return next_of(kernel)->ops->lock_limit(next_of(kernel), locked);
}

static int hooked_locked_memory(PmKernel *kernel, PmLockedMemory *locked)
{
    HookedKernel *hooked = (HookedKernel *)kernel;
    int result = hooked->next->ops->locked_memory(hooked->next, locked);

    hooked->n_locked_queries++;
    locked->used += hooked->locked_by_others;
    locked->pinned += hooked->locked_by_others;
    return hooked->locked_result != 0 ? hooked->locked_result : result;
}

static ssize_t hooked_readlink(PmKernel *kernel, const char *path, char *buffer, size_t size)
{
    if (((const HookedKernel *)kernel)->is_sandboxed)
        return -ENOENT;
    return next_of(kernel)->ops->readlink(next_of(kernel), path, buffer, size);
}

static int hooked_list(PmKernel *kernel, const char *path, GStrv *names)
{
    if (((const HookedKernel *)kernel)->is_sandboxed)
        return -ENOENT;
    return next_of(kernel)->ops->list(next_of(kernel), path, names);
}

static void hooked_free(PmKernel *kernel G_GNUC_UNUSED)
{
}

/* Address spaces do not use the other operations. */
static const PmKernelOps hooked_ops = {
    .struct_size = sizeof(hooked_ops),
    .open = hooked_open,
    .close = hooked_close,
    .ioctl = hooked_ioctl,
    .lock_limit = hooked_lock_limit,
    .locked_memory = hooked_locked_memory,
    .readlink = hooked_readlink,
    .list = hooked_list,
    .free = hooked_free,
};

void hooked_kernel_init(HookedKernel *hooked, PmKernel *next)
{
    *hooked = (HookedKernel){.next = next};
    assert_true(pm_kernel_init(&hooked->parent, &hooked_ops, next, NULL));
}

IommuFixture *iommu_fixture_new(const PmFakeConfig *config)
{
    IommuFixture *fixture = g_new0(IommuFixture, 1);
    GError *error = NULL;

    fixture->kernel = backend_fake_new(config, &error);
    assert_null(error);
    hooked_kernel_init(&fixture->hooked, fixture->kernel);
    fixture->iommu = backend_open(&fixture->hooked.parent, 0, &error);
    assert_null(error);
    fixture->ram = pm_ram_new(PM_RAM_ANONYMOUS, FIXTURE_MEMORY_SIZE, 0, &error);
    assert_null(error);
    fixture->memory = pm_ram_get_host(fixture->ram);
    fixture->claim = fixture_claim(fixture, BASE, FIXTURE_MEMORY_SIZE, BLOCK, &error);
    assert_null(error);
    return fixture;
}

PmIommuClaim *fixture_claim(IommuFixture *fixture, uint64_t iova, uint64_t size,
                            uint64_t block_size, GError **error)
{
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "the test",
        .ram = fixture->ram,
        .iova = iova,
        .size = size,
        .block_size = block_size,
    };

    return pm_iommu_claim_new(fixture->iommu, &config, error);
}

void fixture_drop_claim(IommuFixture *fixture)
{
    g_clear_pointer(&fixture->claim, pm_iommu_claim_unref);
}

void iommu_fixture_free(IommuFixture *fixture)
{
    fixture_drop_claim(fixture);
    g_clear_pointer(&fixture->iommu, pm_iommu_unref);
    assert_int_equal(pm_fake_kernel_get_n_open(fixture->kernel), 0);
    pm_kernel_unref(&fixture->hooked.parent);
    pm_kernel_unref(fixture->kernel);
    pm_ram_unref(fixture->ram);
    g_free(fixture);
}

int iommu_fixture_setup(void **state)
{
    *state = iommu_fixture_new(NULL);
    return 0;
}

int iommu_fixture_teardown(void **state)
{
    iommu_fixture_free(*state);
    return 0;
}

bool fixture_map(IommuFixture *fixture, uint64_t first, uint64_t count, GError **error)
{
    return pm_iommu_claim_map(fixture->claim, first * BLOCK, count * BLOCK, first * BLOCK,
                              PM_IOMMU_READ_WRITE, error);
}

bool fixture_unmap(IommuFixture *fixture, uint64_t first, uint64_t count, GError **error)
{
    return pm_iommu_claim_unmap(fixture->claim, first * BLOCK, count * BLOCK, error);
}

void fixture_map_secretly(IommuFixture *fixture, uint64_t iova, uint64_t size)
{
    struct iommu_ioas_map iommufd = {
        .size = sizeof iommufd,
        .flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
        .ioas_id = fixture->hooked.ioas,
        .user_va = (uintptr_t)fixture->memory,
        .length = size,
        .iova = iova,
    };
    struct vfio_iommu_type1_dma_map type1 = {
        .argsz = sizeof type1,
        .flags = VFIO_DMA_MAP_FLAG_READ,
        .vaddr = (uintptr_t)fixture->memory,
        .iova = iova,
        .size = size,
    };
    void *argument = backend_is_iommufd() ? (void *)&iommufd : (void *)&type1;

    assert_int_equal(fixture->kernel->ops->ioctl(fixture->kernel, fixture->hooked.opened,
                                                 backend_map_request(), argument),
                     0);
}

void fixture_unmap_secretly(IommuFixture *fixture, uint64_t iova, uint64_t size)
{
    struct iommu_ioas_unmap iommufd = {
        .size = sizeof iommufd, .ioas_id = fixture->hooked.ioas, .iova = iova, .length = size};
    struct vfio_iommu_type1_dma_unmap type1 = {.argsz = sizeof type1, .iova = iova, .size = size};
    void *argument = backend_is_iommufd() ? (void *)&iommufd : (void *)&type1;

    assert_int_equal(fixture->kernel->ops->ioctl(fixture->kernel, fixture->hooked.opened,
                                                 backend_unmap_request(), argument),
                     0);
}

void assert_mapped(IommuFixture *fixture, uint64_t count)
{
    assert_int_equal(pm_iommu_get_n_mappings(fixture->iommu), count);
    assert_int_equal(pm_iommu_get_pinned_bytes(fixture->iommu), count * BLOCK);
    assert_int_equal(pm_fake_kernel_get_n_mappings(fixture->kernel, GROUP), count);
    assert_int_equal(backend_get_pinned(fixture->kernel), count * BLOCK);
}

void assert_run(IommuFixture *fixture, uint64_t from, uint64_t first, uint64_t count)
{
    PmIommuRun run;

    assert_true(pm_iommu_next_run(fixture->iommu, BASE + from * BLOCK, &run));
    assert_int_equal(run.iova, BASE + first * BLOCK);
    assert_int_equal(run.block_size, BLOCK);
    assert_int_equal(run.n_blocks, count);
}

void assert_unknown(IommuFixture *fixture, uint64_t first, uint64_t count, const char *words)
{
    uint64_t offset = 0;
    uint64_t size = 0;
    g_autofree char *reason = NULL;

    assert_true(pm_iommu_claim_next_unknown(fixture->claim, 0, &offset, &size, &reason));
    assert_int_equal(offset, first * BLOCK);
    assert_int_equal(size, count * BLOCK);
    if (strstr(reason, words) == NULL)
        fail_msg("'%s'; expected '%s'", reason, words);
}

void assert_all_known(IommuFixture *fixture)
{
    uint64_t offset;
    uint64_t size;

    assert_false(pm_iommu_claim_next_unknown(fixture->claim, 0, &offset, &size, NULL));
}

void assert_error(GError **error, PmError code, const char *words)
{
    assert_non_null(*error);
    if (!g_error_matches(*error, PM_ERROR, (gint)code) || strstr((*error)->message, words) == NULL)
        fail_msg("code %d, '%s'; expected code %d, '%s'", (*error)->code, (*error)->message,
                 (int)code, words);
    g_clear_error(error);
}
