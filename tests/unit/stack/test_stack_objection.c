/* SPDX-License-Identifier: MIT */
/* A listener after the mappers objects to an unplug, which must not cost a system call. */
#include "util/either_kernel.h"
#include "util/stack_util.h"

#include <string.h>

#include "util/source_util.h"

#define OBJECTOR "the I/O of the test"

typedef struct {
    bool objects;
    unsigned n_notified;
    unsigned n_canceled;
} Objector;

static bool can_discard(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    const Objector *objector = user_data;

    (void)offset, (void)size;
    if (!objector->objects)
        return true;
    g_set_error(error, PM_ERROR, PM_ERROR_BUSY, "I/O is in flight");
    return false;
}

static bool follow(void *user_data, uint64_t offset, uint64_t size, GError **error)
{
    Objector *objector = user_data;

    (void)offset, (void)size, (void)error;
    objector->n_notified++;
    return true;
}

static void cancel(void *user_data, uint64_t offset, uint64_t size)
{
    Objector *objector = user_data;

    assert_int_equal(offset, 3 * STACK_BLOCK);
    assert_int_equal(size, 7 * STACK_BLOCK);
    objector->n_canceled++;
}

static PmDiscardListener *add_objector(Stack *stack, Objector *objector)
{
    static const PmDiscardListenerOps ops = {.struct_size = sizeof(ops),
                                             .can_discard = can_discard,
                                             .populate = follow,
                                             .discard = follow,
                                             .cancel_discard = cancel};
    PmDiscardListener *listener =
        pm_discard_manager_register(pm_virtio_mem_get_manager(stack->device), &ops, objector,
                                    OBJECTOR, 0, STACK_N_BLOCKS * STACK_BLOCK, NULL);

    assert_non_null(listener);
    return listener;
}

typedef bool (*Unplug)(Stack *stack);

static bool unplug(Stack *stack)
{
    return stack_request(stack, VIRTIO_MEM_REQ_UNPLUG, 3, 7) == VIRTIO_MEM_RESP_ACK;
}

static bool unplug_all(Stack *stack)
{
    return stack_request(stack, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0) == VIRTIO_MEM_RESP_ACK;
}

static bool reset_system(Stack *stack)
{
    return pm_virtio_mem_system_reset(stack->device, NULL);
}

/* Every system call would fail, too. */
static void check_objection(Unplug change)
{
    g_autoptr(Stack) stack = stack_new(NULL);
    Objector objector = {0};
    PmDiscardListener *listener = add_objector(stack, &objector);
    PmDiscardManager *manager = pm_virtio_mem_get_manager(stack->device);
    uint64_t n_calls;
    Snapshot before;

    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, 3, 7), VIRTIO_MEM_RESP_ACK);
    stack_snapshot(stack, &before);
    objector = (Objector){.objects = true};
    n_calls = either_n_calls(stack->kernel, PM_FAKE_CALL_IOCTL);
    assert_false(change(stack));
    assert_int_equal(either_n_calls(stack->kernel, PM_FAKE_CALL_IOCTL), n_calls);
    assert_int_equal(objector.n_notified, 0);
    assert_int_equal(pm_discard_manager_get_quarantined(manager), 0);
    stack_check_unchanged(stack, &before);

    objector.objects = false;
    assert_true(change(stack));
    assert_int_equal(objector.n_notified, 1);
    stack_check(stack);
    assert_true(pm_discard_manager_unregister(manager, listener, NULL));
}

/* One listener agrees, another one objects. */
static void check_canceled(Unplug change)
{
    g_autoptr(Stack) stack = stack_new(NULL);
    Objector agreed = {0};
    Objector objector = {0};
    PmDiscardListener *first = add_objector(stack, &agreed);
    PmDiscardListener *second = add_objector(stack, &objector);
    PmDiscardManager *manager = pm_virtio_mem_get_manager(stack->device);

    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, 3, 7), VIRTIO_MEM_RESP_ACK);
    objector.objects = true;
    assert_false(change(stack));
    assert_int_equal(agreed.n_canceled, 1);
    assert_int_equal(objector.n_canceled, 0);
    objector.objects = false;
    assert_true(change(stack));
    assert_int_equal(agreed.n_canceled, 1);
    assert_true(pm_discard_manager_unregister(manager, first, NULL));
    assert_true(pm_discard_manager_unregister(manager, second, NULL));
}

static void objection_to_unplug_cancels_it_for_the_others(void **state)
{
    (void)state;
    check_canceled(unplug);
}

static void objection_to_unplug_all_cancels_it_for_the_others(void **state)
{
    (void)state;
    check_canceled(unplug_all);
}

static void objection_to_system_reset_cancels_it_for_the_others(void **state)
{
    (void)state;
    check_canceled(reset_system);
}

static void objection_to_unplug_costs_no_call(void **state)
{
    (void)state;
    check_objection(unplug);
}

static void objection_to_unplug_all_costs_no_call(void **state)
{
    (void)state;
    check_objection(unplug_all);
}

static void objection_to_system_reset_costs_no_call(void **state)
{
    (void)state;
    check_objection(reset_system);
}

/* In-flight I/O would hit memory that the host has reused. */
static void memory_under_an_objection_outlives_its_device(void **state)
{
    g_autoptr(PmDiscardManager) manager = NULL;
    Stack *stack = stack_new(NULL);
    Objector agreed = {0};
    Objector objector = {0};
    PmDiscardListener *first = add_objector(stack, &agreed);
    PmDiscardListener *listener = add_objector(stack, &objector);

    (void)state;
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, 3, 7), VIRTIO_MEM_RESP_ACK);
    manager = pm_discard_manager_ref(pm_virtio_mem_get_manager(stack->device));
    objector.objects = true;
    pm_virtio_mem_free(g_steal_pointer(&stack->device));
    assert_int_equal(pm_discard_manager_get_populated(manager), 7 * STACK_BLOCK);
    assert_int_equal(pm_iommu_get_n_mappings(stack->iommus[0]), 7);
    assert_int_equal(agreed.n_canceled, 1);

    assert_true(pm_discard_manager_unregister(manager, first, NULL));
    assert_true(pm_discard_manager_unregister(manager, listener, NULL));
    assert_true(source_discard_all(manager, NULL));
    assert_int_equal(pm_iommu_get_n_mappings(stack->iommus[0]), 0);
    stack_free(stack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objection_to_unplug_costs_no_call),
        cmocka_unit_test(objection_to_unplug_all_costs_no_call),
        cmocka_unit_test(objection_to_system_reset_costs_no_call),
        cmocka_unit_test(objection_to_unplug_cancels_it_for_the_others),
        cmocka_unit_test(objection_to_unplug_all_cancels_it_for_the_others),
        cmocka_unit_test(objection_to_system_reset_cancels_it_for_the_others),
        cmocka_unit_test(memory_under_an_objection_outlives_its_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
