/* SPDX-License-Identifier: MIT */
/* Getters of PmIommu do not wait for a MAP of another thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include <plugmap/fake.h>
#include <plugmap/iommu_claim.h>

#include "util/backend_util.h"
#include "util/devices_util.h"

/* A kernel whose MAP, if slow, ends only when the test allows it. */
typedef struct {
    PmKernel parent;
    PmKernel *next;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool slow;
    bool in_map;
    bool may_end;
} SlowKernel;

typedef struct {
    PmIommuClaim *claim;
    bool mapped;
} Mapping;

static int slow_ioctl(PmKernel *kernel, int fd, unsigned long request, void *argument)
{
    SlowKernel *slow = (SlowKernel *)kernel;

    pthread_mutex_lock(&slow->lock);
    if (slow->slow && request == backend_map_request()) {
        slow->in_map = true;
        pthread_cond_broadcast(&slow->changed);
        while (!slow->may_end)
            pthread_cond_wait(&slow->changed, &slow->lock);
    }
    pthread_mutex_unlock(&slow->lock);
    return slow->next->ops->ioctl(slow->next, fd, request, argument);
}

static const PmKernelOps slow_ops = {.struct_size = sizeof(slow_ops), .ioctl = slow_ioctl};

static void init_slow(SlowKernel *slow, PmKernel *next)
{
    *slow = (SlowKernel){
        .next = next,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
    };
    assert_true(pm_kernel_init(&slow->parent, &slow_ops, next, NULL));
}

static void wait_until_in_map(SlowKernel *slow)
{
    pthread_mutex_lock(&slow->lock);
    while (!slow->in_map)
        pthread_cond_wait(&slow->changed, &slow->lock);
    pthread_mutex_unlock(&slow->lock);
}

static void set(SlowKernel *slow, bool *what)
{
    pthread_mutex_lock(&slow->lock);
    *what = true;
    pthread_cond_broadcast(&slow->changed);
    pthread_mutex_unlock(&slow->lock);
}

static void *map_second_block(void *user_data)
{
    Mapping *mapping = user_data;

    mapping->mapped =
        pm_iommu_claim_map(mapping->claim, BLOCK, BLOCK, BLOCK, PM_IOMMU_READ_WRITE, NULL);
    return NULL;
}

static PmIommuClaim *map_first_block(PmIommu *iommu)
{
    g_autoptr(PmRam) ram = pm_ram_new(PM_RAM_ANONYMOUS, 2 * BLOCK, 0, NULL);
    const PmIommuClaimConfig config = {
        .struct_size = sizeof(config),
        .owner = "the test",
        .ram = ram,
        .iova = BASE,
        .size = 2 * BLOCK,
        .block_size = BLOCK,
    };
    PmIommuClaim *claim = pm_iommu_claim_new(iommu, &config, NULL);

    assert_true(pm_iommu_claim_map(claim, 0, BLOCK, 0, PM_IOMMU_READ_WRITE, NULL));
    return claim;
}

/* Hangs if one of them waits for the MAP. */
static void ask_everything(PmIommu *iommu, PmIommuClaim *claim)
{
    size_t n_ranges;

    assert_int_equal(pm_iommu_get_n_mappings(iommu), 1);
    assert_int_equal(pm_iommu_get_pinned_bytes(iommu), BLOCK);
    assert_true(pm_iommu_get_mapping_limit(iommu) > 1);
    assert_true((pm_iommu_get_page_sizes(iommu) & 4096) != 0);
    assert_non_null(pm_iommu_get_iova_ranges(iommu, &n_ranges));
    assert_true(pm_iommu_check_range(iommu, BASE, BLOCK, NULL));
    assert_true(pm_iommu_has_device(iommu, SECOND));
    assert_false(pm_iommu_has_device(iommu, "0000:00:1f.0"));
    assert_true(pm_iommu_open_device(iommu, SECOND, NULL) >= 0);
    assert_true(pm_iommu_get_kvm_fd(iommu, SECOND, NULL) >= 0);
    assert_int_equal(pm_iommu_claim_get_iova(claim), BASE);
    assert_int_equal(pm_iommu_claim_get_size(claim), 2 * BLOCK);
    assert_int_equal(pm_iommu_claim_get_block_size(claim), BLOCK);
    assert_string_equal(pm_iommu_claim_get_owner(claim), "the test");
}

static void getters_do_not_wait_for_a_map(void **state)
{
    Devices *devices = *state;
    Devices slow_devices = *devices;
    SlowKernel slow;
    Mapping mapping = {0};
    PmIommu *iommu;
    pthread_t thread;

    init_slow(&slow, devices->kernel);
    slow_devices.kernel = &slow.parent;
    iommu = devices_open(&slow_devices, SECOND);
    mapping.claim = map_first_block(iommu);
    set(&slow, &slow.slow);
    assert_int_equal(pthread_create(&thread, NULL, map_second_block, &mapping), 0);
    wait_until_in_map(&slow);
    ask_everything(iommu, mapping.claim);
    set(&slow, &slow.may_end);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(mapping.mapped);
    assert_int_equal(pm_iommu_get_n_mappings(iommu), 2);
    assert_int_equal(pm_iommu_get_pinned_bytes(iommu), 2 * BLOCK);
    pm_iommu_claim_unref(mapping.claim);
    pm_iommu_unref(iommu);
    pm_kernel_unref(&slow.parent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(getters_do_not_wait_for_a_map, devices_setup,
                                        devices_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
