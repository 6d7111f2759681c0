/* SPDX-License-Identifier: MIT */
/* Differential fuzzing of the fake's IOAS against an array of pages: the hard part is which
 * areas share pins. */

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
    unsigned area;  /* 0: not mapped */
    unsigned pages; /* the MAP that the memory is from; copies share it */
    unsigned host;  /* index of the page in the memory */
} Slot;

typedef struct {
    Kernel *kernel;
    GRand *rand;
    Slot slots[N_SLOTS];
    unsigned n_areas;
    unsigned n_pages;
    bool attached;
    bool splits; /* by version 1 of the type1 interface */
} Fuzz;

static unsigned any_of(Fuzz *fuzz, unsigned n)
{
    return (unsigned)g_rand_int_range(fuzz->rand, 0, (gint32)n);
}

static bool all_free(const Fuzz *fuzz, unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++)
        if (fuzz->slots[i].area != 0)
            return false;
    return true;
}

static bool same_page(const Slot *one, const Slot *other)
{
    return one->area != 0 && other->area != 0 && one->pages == other->pages &&
           one->host == other->host;
}

/* Counts a page once for all areas that share it. */
static uint64_t n_pinned(const Fuzz *fuzz)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < N_SLOTS && fuzz->attached; i++) {
        bool counted = fuzz->slots[i].area == 0;

        for (unsigned j = 0; j < i && !counted; j++)
            counted = same_page(&fuzz->slots[i], &fuzz->slots[j]);
        n += !counted;
    }
    return n;
}

static void forget(Fuzz *fuzz, unsigned first, unsigned n)
{
    memset(&fuzz->slots[first], 0, n * sizeof(Slot));
}

/* --- steps --- */

static void map(Fuzz *fuzz)
{
    unsigned n = 1 + any_of(fuzz, MAX_MAPPING);
    unsigned first = any_of(fuzz, N_SLOTS - n + 1);
    unsigned host = any_of(fuzz, N_HOST - n + 1);
    int expected = all_free(fuzz, first, n) ? 0 : -EEXIST;

    if (expected == 0 && fuzz->attached && n_pinned(fuzz) + n > LIMIT)
        expected = -ENOMEM;
    assert_int_equal(
        iommufd_map(fuzz->kernel, first * PAGE, fuzz->kernel->memory + host * PAGE, n * PAGE),
        expected);
    if (expected < 0)
        return;
    fuzz->n_areas++;
    fuzz->n_pages++;
    for (unsigned i = 0; i < n; i++)
        fuzz->slots[first + i] = (Slot){fuzz->n_areas, fuzz->n_pages, host + i};
}

/* A copy has as many areas as its source. */
static void note_copy(Fuzz *fuzz, unsigned from, unsigned to, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const Slot *source = &fuzz->slots[from + i];

        fuzz->n_areas += i == 0 || source->area != source[-1].area;
        fuzz->slots[to + i] = (Slot){fuzz->n_areas, source->pages, source->host};
    }
}

static void copy(Fuzz *fuzz)
{
    unsigned n = 1 + any_of(fuzz, MAX_MAPPING);
    unsigned from = any_of(fuzz, N_SLOTS - n + 1);
    unsigned to = any_of(fuzz, N_SLOTS - n + 1);
    struct iommu_ioas_copy request = {
        .size = sizeof(request),
        .flags = IOAS_FIXED,
        .dst_ioas_id = fuzz->kernel->ioas,
        .src_ioas_id = fuzz->kernel->ioas,
        .length = n * PAGE,
        .dst_iova = to * PAGE,
        .src_iova = from * PAGE,
    };
    int expected = all_free(fuzz, to, n) ? 0 : -EEXIST;

    for (unsigned i = 0; i < n; i++)
        if (fuzz->slots[from + i].area == 0)
            expected = -ENOENT;
    assert_int_equal(iommufd_ioctl(fuzz->kernel, IOMMU_IOAS_COPY, &request), expected);
    if (expected == 0)
        note_copy(fuzz, from, to, n);
}

static bool begins_before(const Fuzz *fuzz, unsigned at)
{
    return at > 0 && fuzz->slots[at].area != 0 && fuzz->slots[at].area == fuzz->slots[at - 1].area;
}

/* Removes areas from @first on, up to one that extends past the range. Returns the number of
 * pages, or -1 if there is one. */
static int remove_areas(Fuzz *fuzz, unsigned first, unsigned n)
{
    int n_removed = 0;
    unsigned at = first;

    while (at < first + n) {
        unsigned end = at + 1;

        while (end < N_SLOTS && begins_before(fuzz, end))
            end++;
        if (fuzz->slots[at].area == 0) {
            at++;
            continue;
        }
        if (begins_before(fuzz, at) || end > first + n)
            return -1;
        forget(fuzz, at, end - at);
        n_removed += (int)(end - at);
        at = end;
    }
    return n_removed;
}

static void unmap_areas(Fuzz *fuzz, unsigned first, unsigned n)
{
    uint64_t n_bytes;
    int result = iommufd_unmap(fuzz->kernel, first * PAGE, n * PAGE, &n_bytes);
    int n_removed = remove_areas(fuzz, first, n);

    assert_int_equal(result, n_removed > 0 ? 0 : -ENOENT);
    if (n_removed > 0)
        assert_int_equal(n_bytes, (uint64_t)n_removed * PAGE);
}

/* Exactly these pages: splits areas. */
static void unmap_pages(Fuzz *fuzz, unsigned first, unsigned n)
{
    struct vfio_iommu_type1_dma_unmap unmap = {
        .argsz = sizeof(unmap),
        .iova = first * PAGE,
        .size = n * PAGE,
    };
    uint64_t n_mapped = 0;

    for (unsigned i = first; i < first + n; i++)
        n_mapped += fuzz->slots[i].area != 0;
    assert_int_equal(iommufd_ioctl(fuzz->kernel, VFIO_IOMMU_UNMAP_DMA, &unmap), 0);
    assert_int_equal(unmap.size, n_mapped * PAGE);
    forget(fuzz, first, n);
}

static void unmap(Fuzz *fuzz)
{
    unsigned n = 1 + any_of(fuzz, 3 * MAX_MAPPING);
    unsigned first = any_of(fuzz, N_SLOTS - n + 1);

    if (fuzz->splits)
        unmap_pages(fuzz, first, n);
    else
        unmap_areas(fuzz, first, n);
}

static void attach_or_detach(Fuzz *fuzz)
{
    uint32_t pt_id = fuzz->kernel->ioas;
    int expected;

    if (fuzz->attached) {
        assert_int_equal(cdev_detach(fuzz->kernel, fuzz->kernel->device), 0);
        fuzz->attached = false;
        return;
    }
    fuzz->attached = true;
    expected = n_pinned(fuzz) > LIMIT ? -ENOMEM : 0;
    assert_int_equal(cdev_attach(fuzz->kernel, fuzz->kernel->device, &pt_id), expected);
    fuzz->attached = expected == 0;
}

static void step(Fuzz *fuzz)
{
    switch (any_of(fuzz, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
        map(fuzz);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        copy(fuzz);
        break;
    case 10:
        attach_or_detach(fuzz);
        break;
    default:
        unmap(fuzz);
        break;
    }
}

/* --- checks after each step --- */

static void check_page_table(const Fuzz *fuzz)
{
    uint64_t iova = 0;
    uint64_t size = 0;

    for (unsigned i = 0; i < N_SLOTS; i++) {
        bool found =
            i * PAGE < iova + size ||
            pm_fake_kernel_next_translated(fuzz->kernel->pm, 1, i * PAGE, UINT64_MAX, &iova, &size);
        bool is_mapped = found && i * PAGE >= iova && i * PAGE < iova + size;

        assert_int_equal(is_mapped, fuzz->attached && fuzz->slots[i].area != 0);
    }
}

/* Checks one page by DMA, whose own page counts toward the limit. */
static void check_a_page(Fuzz *fuzz)
{
    unsigned i = any_of(fuzz, N_SLOTS);

    if (fuzz->attached && n_pinned(fuzz) < LIMIT && fuzz->slots[i].area != 0)
        assert_int_equal(device_peek_word(fuzz->kernel, i * PAGE), fuzz->slots[i].host + 1);
}

static void check(Fuzz *fuzz)
{
    PmKernel *kernel = fuzz->kernel->pm;

    assert_int_equal(pm_fake_kernel_get_pinned(kernel), n_pinned(fuzz) * PAGE);
    assert_int_equal(pm_fake_kernel_get_user_locked(kernel), n_pinned(fuzz) * PAGE);
    check_page_table(fuzz);
    if (any_of(fuzz, 8) == 0)
        check_a_page(fuzz);
}

/* --- sequences --- */

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

static void run(PmFakePin pin, bool splits)
{
    PmFakeConfig config = iommufd_fake_config();
    Fuzz fuzz = {.splits = splits};
    unsigned n_steps = random_steps(N_STEPS);

    config.pin = pin;
    config.memlock_limit = LIMIT * PAGE;
    fuzz.kernel = iommufd_new_fake(&config);
    fuzz.rand = random_new("fake_iommufd_random");
    for (unsigned i = 0; i < N_HOST; i++)
        *(uint32_t *)(void *)(fuzz.kernel->memory + i * PAGE) = i + 1;
    if (splits)
        set_version_1(fuzz.kernel);
    for (unsigned i = 0; i < n_steps; i++) {
        step(&fuzz);
        check(&fuzz);
    }
    assert_int_equal(iommufd_unmap(fuzz.kernel, 0, UINT64_MAX, NULL), 0);
    assert_int_equal(pm_fake_kernel_get_pinned(fuzz.kernel->pm), 0);
    g_rand_free(fuzz.rand);
    kernel_free(fuzz.kernel);
}

static void areas_of_the_same_pages_share_pins(void **state)
{
    (void)state;
    run(PM_FAKE_PIN_ACCOUNT, false);
}

static void split_areas_share_pins(void **state)
{
    (void)state;
    run(PM_FAKE_PIN_ACCOUNT, true);
}

static void split_areas_share_held_pages(void **state)
{
    PmFakeConfig config = iommufd_fake_config();
    g_autoptr(PmKernel) kernel = NULL;

    (void)state;
    config.pin = PM_FAKE_PIN_HOLD;
    kernel = pm_fake_kernel_new(&config, NULL);
    if (kernel == NULL) {
        print_message("skipped: no io_uring; run sysctl kernel.io_uring_disabled=0\n");
        skip();
        return;
    }
    run(PM_FAKE_PIN_HOLD, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(areas_of_the_same_pages_share_pins),
        cmocka_unit_test(split_areas_share_pins),
        cmocka_unit_test(split_areas_share_held_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
