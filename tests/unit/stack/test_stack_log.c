/* SPDX-License-Identifier: MIT */
/* What the library logs at which level. */
#include "util/stack_util.h"

#include <string.h>

typedef struct {
    GLogLevelFlags least;
    GString *text;
} Log;

static void append(GLogLevelFlags level, const char *message, void *user_data)
{
    Log *log = user_data;

    log->least = MAX(log->least, level);
    g_string_append_printf(log->text, "%s\n", message);
}

/* What is logged at @level while blocks are plugged, one of them twice, and unplugged. */
static Log log_requests(GLogLevelFlags level)
{
    Log log = {.text = g_string_new(NULL)};
    Stack *stack;

    pm_log_set_level(level);
    pm_log_set_func(append, &log);
    stack = stack_new(NULL);
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, 1, 2), VIRTIO_MEM_RESP_ACK);
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_PLUG, 2, 1), VIRTIO_MEM_RESP_ERROR);
    assert_int_equal(stack_request(stack, VIRTIO_MEM_REQ_UNPLUG, 1, 2), VIRTIO_MEM_RESP_ACK);
    assert_true(pm_mapper_remove(stack->mappers[0], STACK_ADDRESS, NULL));
    stack_free(stack);
    pm_log_set_func(NULL, NULL);
    pm_log_set_level(G_LOG_LEVEL_WARNING);
    return log;
}

static unsigned count(const Log *log, const char *words)
{
    unsigned n = 0;

    for (const char *at = log->text->str; (at = strstr(at, words)) != NULL; at += strlen(words))
        n++;
    return n;
}

static void requests_cause_no_warnings(void **state)
{
    Log log = log_requests(G_LOG_LEVEL_WARNING);

    (void)state;
    assert_int_equal(count(&log, "virtio-mem: block_size 64K is below 1M"), 1);
    assert_int_equal(count(&log, "\n"), 1);
    g_string_free(log.text, TRUE);
}

static void info_has_address_spaces_regions_and_refusals(void **state)
{
    Log log = log_requests(G_LOG_LEVEL_INFO);

    (void)state;
    assert_int_equal(log.least, G_LOG_LEVEL_INFO);
    assert_int_equal(count(&log, "opened an address space"), STACK_N_MAPPERS);
    assert_int_equal(count(&log, "added the region of 0x200000 bytes at 0x100000000\n"),
                     STACK_N_MAPPERS);
    assert_int_equal(count(&log, "PLUG of 1 block at 0x100020000 refused: "), 1);
    assert_int_equal(count(&log, "removed the region at 0x100000000\n"), 1);
    assert_int_equal(count(&log, "\n"), STACK_N_MAPPERS * 2 + 3); /* and the warning */
    g_string_free(log.text, TRUE);
}

static void debug_has_each_request_and_call(void **state)
{
    Log log = log_requests(G_LOG_LEVEL_DEBUG);

    (void)state;
    assert_int_equal(log.least, G_LOG_LEVEL_DEBUG);
    assert_int_equal(count(&log, "PLUG, address 0x100010000, blocks 2: ack\n"),
                     2); /* UNPLUG, too */
    assert_int_equal(count(&log, "PLUG, address 0x100020000, blocks 1: error\n"), 1);
    assert_int_equal(count(&log, "map of 0x20000 bytes at I/O address 0x100010000 ("),
                     STACK_N_MAPPERS);
    assert_int_equal(count(&log, ": 2 of 2 blocks, ok\n"), STACK_N_MAPPERS);
    assert_int_equal(
        count(&log, "unmap of 0x20000 bytes at I/O address 0x100010000: 0x20000 bytes, ok\n"),
        STACK_N_MAPPERS);
    g_string_free(log.text, TRUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_cause_no_warnings),
        cmocka_unit_test(info_has_address_spaces_regions_and_refusals),
        cmocka_unit_test(debug_has_each_request_and_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
