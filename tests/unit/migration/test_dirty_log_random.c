/* SPDX-License-Identifier: MIT */
/*
 * Random writes of a device and of the CPU, plugs, unplugs, removed regions and failing calls,
 * against a model of single pages: whenever the log is read, every page that changed is reported,
 * or stays to be reported, and none that is discarded.
 */
#include "dirty_world.h"

#include <errno.h>
#include <string.h>

#include "util/random_util.h"
#include "util/request_util.h"

#define N_STEPS 4000

/* Pages of one RAM. */
typedef struct {
    PmRam *ram;
    uint64_t n_pages;
    bool populated[N_PAGES];
    bool must[N_PAGES]; /* changed since it was last reported */
    bool may[N_PAGES];  /* may be reported because its mapping was gone, or its read failed */
    bool cpu[N_PAGES];
} Model;

typedef struct {
    DirtyWorld *world;
    GRand *random;
    Model managed;
    Model plain;
    bool is_plain_mapped;
} Run;

static uint64_t below(Run *run, uint64_t n)
{
    return (uint64_t)g_rand_int_range(run->random, 0, (gint32)n);
}

static void set(bool *pages, uint64_t first, uint64_t count, bool value)
{
    memset(pages + first, value, count);
}

/* --- steps --- */

static void write_by_device(Run *run)
{
    uint64_t page = below(run, N_PAGES);
    uint64_t plain = below(run, PLAIN_COUNT);

    dirty_world_write(run->world, page);
    if (run->managed.populated[page])
        run->managed.must[page] = true;
    dirty_world_write_at(run->world, PLAIN_ADDRESS + plain * PAGE);
    if (run->is_plain_mapped)
        run->plain.must[PLAIN_FIRST + plain] = true;
}

/* Also of unplugged pages: a VMM's own tracking may report them. */
static void write_by_cpu(Run *run)
{
    run->managed.cpu[below(run, N_PAGES)] = true;
    run->plain.cpu[below(run, PLAIN_PAGES)] = true;
}

static void maybe_fail(Run *run)
{
    const PmFakeCall calls[] = {PM_FAKE_CALL_MAP, PM_FAKE_CALL_UNMAP, PM_FAKE_CALL_IOCTL};

    if (below(run, 4) == 0)
        either_fail(run->world->kernel, calls[below(run, 3)], 1 + below(run, 3), ENOMEM);
}

/* Plugs or unplugs; a failure leaves everything as it was, but may have unmapped. */
static void change_blocks(Run *run, unsigned type)
{
    uint64_t first = below(run, N_BLOCKS);
    uint64_t count = 1 + below(run, MIN(N_BLOCKS - first, 4));
    bool plug = type == PM_VIRTIO_MEM_PLUG;
    Model *model = &run->managed;
    int answer;

    maybe_fail(run);
    answer = send_request(run->world->device, type, ADDRESS + first * BLOCK, count, NULL);
    either_clear_faults(run->world->kernel);
    first *= BLOCK_PAGES;
    count *= BLOCK_PAGES;
    if (answer != PM_VIRTIO_MEM_ACK) {
        set(model->may, first, count, true);
        return;
    }
    set(model->populated, first, count, plug);
    set(model->must, first, count, plug);
    set(model->may, first, count, plug);
}

static void change_region(Run *run)
{
    const PmMapperRegion region = dirty_world_region(run->world->plain, PLAIN_FIRST * PAGE,
                                                     PLAIN_COUNT * PAGE, PLAIN_ADDRESS);
    bool changed;

    maybe_fail(run);
    changed = run->is_plain_mapped ? pm_mapper_remove(run->world->mapper, PLAIN_ADDRESS, NULL)
                                   : pm_mapper_add(run->world->mapper, &region, NULL);
    either_clear_faults(run->world->kernel);
    run->is_plain_mapped ^= changed;
    set(run->plain.may, PLAIN_FIRST, PLAIN_COUNT, true);
}

/* --- reading --- */

static bool is_set(const uint64_t *bitmap, uint64_t bit)
{
    return bitmap[bit / 64] >> bit % 64 & 1;
}

/* Checks one page of the bitmap, and takes what it reports out of the model. */
static void check_page(Run *run, Model *model, uint64_t at, uint64_t end, bool reported, bool read)
{
    bool is_populated = false;
    bool must = false;
    bool may = !run->world->tracks || !read;

    for (uint64_t i = at; i < end; i++) {
        is_populated = is_populated || model->populated[i];
        must = must || (model->populated[i] && model->must[i]);
        may = may || model->may[i] || model->cpu[i];
    }
    if (reported && !is_populated)
        fail_msg("page %u is discarded, and dirty", (unsigned)at);
    if (read && must && !reported)
        fail_msg("page %u was written, and is clean", (unsigned)at);
    if (reported && !must && !may)
        fail_msg("page %u is dirty for no reason", (unsigned)at);
    if (reported)
        set(model->must, at, end - at, false);
    set(model->may, at, end - at, !read);
    set(model->cpu, at, end - at, false);
}

static void read_log(Run *run, Model *model)
{
    uint64_t n_at_once = UINT64_C(1) << below(run, 9);
    uint64_t bitmap[N_WORDS] = {0};
    bool read;

    for (uint64_t i = 0; i < model->n_pages; i++)
        if (model->cpu[i])
            bitmap[i / n_at_once / 64] |= UINT64_C(1) << i / n_at_once % 64;
    maybe_fail(run);
    read = pm_dirty_log_read(run->world->log, model->ram, n_at_once * PAGE, bitmap, NULL, NULL);
    either_clear_faults(run->world->kernel);
    for (uint64_t i = 0; i < model->n_pages; i += n_at_once)
        check_page(run, model, i, MIN(i + n_at_once, model->n_pages), is_set(bitmap, i / n_at_once),
                   read);
}

static void take_step(Run *run)
{
    switch (below(run, 8)) {
    case 0:
        change_blocks(run, PM_VIRTIO_MEM_PLUG);
        break;
    case 1:
        change_blocks(run, PM_VIRTIO_MEM_UNPLUG);
        break;
    case 2:
        change_region(run);
        break;
    case 3:
        write_by_cpu(run);
        break;
    case 4:
        read_log(run, &run->managed);
        break;
    case 5:
        read_log(run, &run->plain);
        break;
    default:
        write_by_device(run);
    }
}

static void no_change_is_missed_and_no_discarded_page_counts(void **state)
{
    Run run = {.world = *state, .random = random_new("dirty_log_random")};
    unsigned n_steps = random_steps(N_STEPS);

    run.managed.ram = run.world->ram;
    run.managed.n_pages = N_PAGES;
    run.plain.ram = run.world->plain;
    run.plain.n_pages = PLAIN_PAGES;
    run.is_plain_mapped = true;
    set(run.plain.populated, 0, PLAIN_PAGES, true);
    set(run.plain.must, 0, PLAIN_PAGES, true);
    for (unsigned i = 0; i < n_steps; i++)
        take_step(&run);
    g_rand_free(run.random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_change_is_missed_and_no_discarded_page_counts,
                                        dirty_world_setup, dirty_world_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
