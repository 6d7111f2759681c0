/* SPDX-License-Identifier: MIT */
/* Inspecting a kernel that is not a fake one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <plugmap/fake.h>

static bool never(uint64_t iova G_GNUC_UNUSED, uint64_t size G_GNUC_UNUSED,
                  const void *host G_GNUC_UNUSED, PmIommuAccess access G_GNUC_UNUSED,
                  void *user_data G_GNUC_UNUSED)
{
    return false;
}

static void ask_everything(PmKernel *kernel)
{
    g_autoptr(GError) error = NULL;
    PmFakeDmaFault fault = {.iova = 7};
    uint64_t run_iova = 7;
    uint64_t run_size = 7;

    pm_fake_kernel_set_entry_limit(kernel, 1);
    pm_fake_kernel_set_memlock(kernel, 0, true);
    pm_fake_kernel_fail(kernel, PM_FAKE_CALL_ANY, 1, 5);
    pm_fake_kernel_shorten_unmap(kernel, 1);
    pm_fake_kernel_clear_faults(kernel);
    assert_false(pm_fake_kernel_add_device(kernel, 1, "0000:00:05.0", "vfio-pci", &error));
    assert_true(g_error_matches(error, PM_ERROR, PM_ERROR_INVALID_ARGUMENT));
    assert_int_equal(pm_fake_kernel_get_n_calls(kernel, PM_FAKE_CALL_ANY), 0);
    assert_int_equal(pm_fake_kernel_get_locked(kernel), 0);
    assert_int_equal(pm_fake_kernel_get_user_locked(kernel), 0);
    assert_int_equal(pm_fake_kernel_get_pinned(kernel), 0);
    assert_int_equal(pm_fake_kernel_get_n_open(kernel), 0);
    assert_int_equal(pm_fake_kernel_get_n_mappings(kernel, 1), 0);
    assert_true(pm_fake_kernel_foreach_mapping(kernel, 1, never, NULL));
    assert_false(pm_fake_kernel_next_translated(kernel, 1, 0, UINT64_MAX, &run_iova, &run_size));
    assert_int_equal(pm_fake_kernel_get_n_dma_faults(kernel), 0);
    assert_false(pm_fake_kernel_last_dma_fault(kernel, &fault));
    assert_int_equal(run_iova + run_size + fault.iova, 21);
}

static void inspecting_the_host_kernel_finds_nothing(void **state)
{
    g_autoptr(PmKernel) host = pm_kernel_host_new();

    (void)state;
    ask_everything(host);
}

static void inspecting_a_forwarding_kernel_finds_nothing(void **state)
{
    static const PmKernelOps nothing = {.struct_size = sizeof(nothing)};
    g_autoptr(PmKernel) fake = pm_fake_kernel_new(NULL, NULL);
    PmKernel around;

    (void)state;
    assert_true(pm_kernel_init(&around, &nothing, fake, NULL));
    ask_everything(&around);
    pm_kernel_unref(&around);
}

static void inspecting_null_finds_nothing(void **state)
{
    (void)state;
    ask_everything(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inspecting_the_host_kernel_finds_nothing),
        cmocka_unit_test(inspecting_a_forwarding_kernel_finds_nothing),
        cmocka_unit_test(inspecting_null_finds_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
