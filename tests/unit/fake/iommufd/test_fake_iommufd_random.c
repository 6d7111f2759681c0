/* SPDX-License-Identifier: MIT */
/* A random life of an address space of the fake's iommufd, against an array of pages: who shares
 * pins with whom is the hard part. */

#include "util/device_util.h"
#include "util/iommufd_util.h"
#include "util/random_util.h"

#define N_STEPS     20000
#define N_SLOTS     96
#define N_HOST      128
#define LIMIT       72
#define MAX_MAPPING 12

/* One page of the address space. */
typedef struct {
    unsigned area;  /* 0: nothing is mapped */
    unsigned pages; /* which MAP the memory comes from; what copies of it share */
    unsigned host;  /* page of the memory */
} Slot;

typedef struct {
    Kernel *kernel;
    GRand *rand;
    Slot slots[N_SLOTS];
    unsigned n_areas;
    unsigned n_pages;
    bool attached;
    bool splits; /* by version 1 of type1's interface */
} Life;

static unsigned any_of(Life *life, unsigned n)
{
    return (unsigned)g_rand_int_range(life->rand, 0, (gint32)n);
}

static bool all_free(const Life *life, unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++)
        if (life->slots[i].area != 0)
            return false;
    return true;
}

static bool same_page(const Slot *one, const Slot *other)
{
    return one->area != 0 && other->area != 0 && one->pages == other->pages &&
           one->host == other->host;
}

/* A page counts once for all areas that share it. */
static uint64_t n_pinned(const Life *life)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < N_SLOTS && life->attached; i++) {
        bool counted = life->slots[i].area == 0;

        for (unsigned j = 0; j < i && !counted; j++)
            counted = same_page(&life->slots[i], &life->slots[j]);
        n += !counted;
    }
    return n;
}

static void forget(Life *life, unsigned first, unsigned n)
{
    memset(&life->slots[first], 0, n * sizeof(Slot));
}

/* --- steps --- */

static void map(Life *life)
{
    unsigned n = 1 + any_of(life, MAX_MAPPING);
    unsigned first = any_of(life, N_SLOTS - n + 1);
    unsigned host = any_of(life, N_HOST - n + 1);
    int expected = all_free(life, first, n) ? 0 : -EEXIST;

    if (expected == 0 && life->attached && n_pinned(life) + n > LIMIT)
        expected = -ENOMEM;
    assert_int_equal(
        iommufd_map(life->kernel, first * PAGE, life->kernel->memory + host * PAGE, n * PAGE),
        expected);
    if (expected < 0)
        return;
    life->n_areas++;
    life->n_pages++;
    for (unsigned i = 0; i < n; i++)
        life->slots[first + i] = (Slot){life->n_areas, life->n_pages, host + i};
}

/* Each area of the source becomes one. */
static void note_copy(Life *life, unsigned from, unsigned to, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const Slot *source = &life->slots[from + i];

        life->n_areas += i == 0 || source->area != source[-1].area;
        life->slots[to + i] = (Slot){life->n_areas, source->pages, source->host};
    }
}

static void copy(Life *life)
{
    unsigned n = 1 + any_of(life, MAX_MAPPING);
    unsigned from = any_of(life, N_SLOTS - n + 1);
    unsigned to = any_of(life, N_SLOTS - n + 1);
    struct iommu_ioas_copy request = {
        .size = sizeof(request),
        .flags = IOAS_FIXED,
        .dst_ioas_id = life->kernel->ioas,
        .src_ioas_id = life->kernel->ioas,
        .length = n * PAGE,
        .dst_iova = to * PAGE,
        .src_iova = from * PAGE,
    };
    int expected = all_free(life, to, n) ? 0 : -EEXIST;

    for (unsigned i = 0; i < n; i++)
        if (life->slots[from + i].area == 0)
            expected = -ENOENT;
    assert_int_equal(iommufd_ioctl(life->kernel, IOMMU_IOAS_COPY, &request), expected);
    if (expected == 0)
        note_copy(life, from, to, n);
}

static bool begins_before(const Life *life, unsigned at)
{
    return at > 0 && life->slots[at].area != 0 && life->slots[at].area == life->slots[at - 1].area;
}

/* Removes areas from @first on, up to one that reaches out of the range. Returns pages, or -1 if it
 * met one. */
static int remove_areas(Life *life, unsigned first, unsigned n)
{
    int n_removed = 0;
    unsigned at = first;

    while (at < first + n) {
        unsigned end = at + 1;

        while (end < N_SLOTS && begins_before(life, end))
            end++;
        if (life->slots[at].area == 0) {
            at++;
            continue;
        }
        if (begins_before(life, at) || end > first + n)
            return -1;
        forget(life, at, end - at);
        n_removed += (int)(end - at);
        at = end;
    }
    return n_removed;
}

static void unmap_areas(Life *life, unsigned first, unsigned n)
{
    uint64_t n_bytes;
    int result = iommufd_unmap(life->kernel, first * PAGE, n * PAGE, &n_bytes);
    int n_removed = remove_areas(life, first, n);

    assert_int_equal(result, n_removed > 0 ? 0 : -ENOENT);
    if (n_removed > 0)
        assert_int_equal(n_bytes, (uint64_t)n_removed * PAGE);
}

/* Exactly these pages: areas are cut. */
static void unmap_pages(Life *life, unsigned first, unsigned n)
{
    struct vfio_iommu_type1_dma_unmap unmap = {
        .argsz = sizeof(unmap),
        .iova = first * PAGE,
        .size = n * PAGE,
    };
    uint64_t n_mapped = 0;

    for (unsigned i = first; i < first + n; i++)
        n_mapped += life->slots[i].area != 0;
    assert_int_equal(iommufd_ioctl(life->kernel, VFIO_IOMMU_UNMAP_DMA, &unmap), 0);
    assert_int_equal(unmap.size, n_mapped * PAGE);
    forget(life, first, n);
}

static void unmap(Life *life)
{
    unsigned n = 1 + any_of(life, 3 * MAX_MAPPING);
    unsigned first = any_of(life, N_SLOTS - n + 1);

    if (life->splits)
        unmap_pages(life, first, n);
    else
        unmap_areas(life, first, n);
}

static void attach_or_detach(Life *life)
{
    uint32_t pt_id = life->kernel->ioas;
    int expected;

    if (life->attached) {
        assert_int_equal(cdev_detach(life->kernel, life->kernel->device), 0);
        life->attached = false;
        return;
    }
    life->attached = true;
    expected = n_pinned(life) > LIMIT ? -ENOMEM : 0;
    assert_int_equal(cdev_attach(life->kernel, life->kernel->device, &pt_id), expected);
    life->attached = expected == 0;
}

static void step(Life *life)
{
    switch (any_of(life, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
        map(life);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        copy(life);
        break;
    case 10:
        attach_or_detach(life);
        break;
    default:
        unmap(life);
        break;
    }
}

/* --- what has to be true after each --- */

static void check_page_table(const Life *life)
{
    uint64_t iova = 0;
    uint64_t size = 0;

    for (unsigned i = 0; i < N_SLOTS; i++) {
        bool found =
            i * PAGE < iova + size ||
            pm_fake_kernel_next_translated(life->kernel->pm, 1, i * PAGE, UINT64_MAX, &iova, &size);
        bool is_mapped = found && i * PAGE >= iova && i * PAGE < iova + size;

        assert_int_equal(is_mapped, life->attached && life->slots[i].area != 0);
    }
}

/* One page, as the device sees it; which takes a page of the limit. */
static void check_a_page(Life *life)
{
    unsigned i = any_of(life, N_SLOTS);

    if (life->attached && n_pinned(life) < LIMIT && life->slots[i].area != 0)
        assert_int_equal(device_peek_word(life->kernel, i * PAGE), life->slots[i].host + 1);
}

static void check(Life *life)
{
    PmKernel *kernel = life->kernel->pm;

    assert_int_equal(pm_fake_kernel_get_pinned(kernel), n_pinned(life) * PAGE);
    assert_int_equal(pm_fake_kernel_get_user_locked(kernel), n_pinned(life) * PAGE);
    check_page_table(life);
    if (any_of(life, 8) == 0)
        check_a_page(life);
}

/* --- lives --- */

static void set_version_1(Kernel *kernel)
{
    struct iommu_vfio_ioas set = {
        .size = sizeof(set),
        .ioas_id = kernel->ioas,
        .op = IOMMU_VFIO_IOAS_SET,
    };

    assert_int_equal(iommufd_ioctl(kernel, IOMMU_VFIO_IOAS, &set), 0);
    assert_int_equal(iommufd_ioctl(kernel, VFIO_SET_IOMMU, (void *)(uintptr_t)VFIO_TYPE1_IOMMU), 0);
}

static void live(PmFakePin pin, bool splits)
{
    PmFakeConfig config = iommufd_fake_config();
    Life life = {.splits = splits};
    unsigned n_steps = random_steps(N_STEPS);

    config.pin = pin;
    config.memlock_limit = LIMIT * PAGE;
    life.kernel = iommufd_new_fake(&config);
    life.rand = random_new("fake_iommufd_random");
    for (unsigned i = 0; i < N_HOST; i++)
        *(uint32_t *)(void *)(life.kernel->memory + i * PAGE) = i + 1;
    if (splits)
        set_version_1(life.kernel);
    for (unsigned i = 0; i < n_steps; i++) {
        step(&life);
        check(&life);
    }
    assert_int_equal(iommufd_unmap(life.kernel, 0, UINT64_MAX, NULL), 0);
    assert_int_equal(pm_fake_kernel_get_pinned(life.kernel->pm), 0);
    g_rand_free(life.rand);
    kernel_free(life.kernel);
}

static void pins_are_shared_as_pages_are(void **state)
{
    (void)state;
    live(PM_FAKE_PIN_ACCOUNT, false);
}

static void pins_are_shared_where_areas_are_cut(void **state)
{
    (void)state;
    live(PM_FAKE_PIN_ACCOUNT, true);
}

static void held_pages_are_shared_where_areas_are_cut(void **state)
{
    PmFakeConfig config = iommufd_fake_config();
    g_autoptr(PmKernel) kernel = NULL;

    (void)state;
    config.pin = PM_FAKE_PIN_HOLD;
    kernel = pm_fake_kernel_new(&config, NULL);
    if (kernel == NULL) {
        print_message("skipped, because there is no io_uring: sysctl kernel.io_uring_disabled=0\n");
        skip();
        return;
    }
    live(PM_FAKE_PIN_HOLD, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pins_are_shared_as_pages_are),
        cmocka_unit_test(pins_are_shared_where_areas_are_cut),
        cmocka_unit_test(held_pages_are_shared_where_areas_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
