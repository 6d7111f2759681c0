/* SPDX-License-Identifier: MIT */
/* Requests of guests. */
#include "stack_fuzz_steps.h"

#include <inttypes.h>
#include <string.h>

#include "kernel-uapi/virtio_mem.h"
#include "stack_fuzz_check.h"
#include "util/request_util.h"

#define DEVICE_ADDRESS (64 * PM_GIB)

typedef struct {
    unsigned ram;
    unsigned first;
    unsigned n_blocks;
    bool plug;
} Request;

/* NULL if there is none. */
static FuzzRam *pick_device(FuzzWorld *world, unsigned *index)
{
    unsigned start = fuzz_pick_ram(world);

    for (unsigned i = 0; i < FUZZ_N_RAMS; i++) {
        *index = (start + i) % FUZZ_N_RAMS;
        if (world->rams[*index].device != NULL)
            return &world->rams[*index];
    }
    return NULL;
}

static int send(FuzzRam *ram, uint16_t type, unsigned first, unsigned n_blocks)
{
    uint64_t address = pm_virtio_mem_get_address(ram->device) + first * ram->block_size;
    int answer = send_request(ram->device, type, address, n_blocks, NULL);

    assert_true(answer >= 0);
    return answer;
}

static bool any_is(const bool *blocks, bool value, const Request *request)
{
    return memchr(&blocks[request->first], value, request->n_blocks) != NULL;
}

/* Usually a valid range. */
static Request pick_request(FuzzWorld *world, const FuzzRam *ram, unsigned index, bool plug)
{
    Request request = {.ram = index, .first = fuzz_pick(world, FUZZ_N_BLOCKS), .plug = plug};
    unsigned wanted = 1 + fuzz_pick(world, FUZZ_N_BLOCKS / 2);

    if (fuzz_chance(world, 1, 16)) {
        request.n_blocks = MIN(wanted, FUZZ_N_BLOCKS - request.first);
        return request;
    }
    for (unsigned i = 0; i < FUZZ_N_BLOCKS && ram->plugged[request.first] == plug; i++)
        request.first = (request.first + 1) % FUZZ_N_BLOCKS;
    do
        request.n_blocks++;
    while (request.n_blocks < wanted && request.first + request.n_blocks < FUZZ_N_BLOCKS &&
           ram->plugged[request.first + request.n_blocks] != plug);
    return request;
}

/* Blocks that regions map without a reservation. */
static uint64_t count_overcommitted(const FuzzWorld *world, unsigned space, const Request *request)
{
    const FuzzRegion *region = NULL;
    uint64_t n_blocks = 0;

    while ((region = fuzz_next_region(&world->spaces[space], region)) != NULL) {
        unsigned first = MAX(region->first, request->first);
        unsigned end = MIN(region->first + region->n_blocks, request->first + request->n_blocks);

        if (region->ram == request->ram && !region->strict && first < end)
            n_blocks += end - first;
    }
    return n_blocks;
}

/* Regions with a reservation never exceed the limits. */
static void check_refusal(const FuzzWorld *world, const FuzzView *before, const Request *request)
{
    const FuzzRam *ram = &world->rams[request->ram];
    const GError *refusal;
    PmRefusal cause = pm_virtio_mem_last_refusal(ram->device, &refusal);
    uint64_t n_bytes = fuzz_bytes_in_use(world, before);
    bool full = false;

    for (unsigned i = 0; i < FUZZ_N_SPACES; i++) {
        uint64_t n_more = count_overcommitted(world, i, request);

        n_bytes += n_more * ram->block_size;
        full |= fuzz_mappings_in_use(world, before, i) + n_more > world->entry_limit;
    }
    if (request->plug && ((cause == PM_REFUSAL_LIMIT && full) ||
                          (cause == PM_REFUSAL_LOCKED_MEMORY && n_bytes > world->memlock_limit)))
        return;
    fuzz_fail(world, "it was refused: %s", refusal != NULL ? refusal->message : "but why?");
}

/* Blocks quarantined only for their memory leave quarantine when it has been discarded.
 */
static int expect_of_quarantine(const FuzzWorld *world, const FuzzView *before,
                                const Request *request)
{
    bool lost[FUZZ_N_BLOCKS] = {false};

    if (!any_is(before->rams[request->ram].quarantined, true, request))
        return VIRTIO_MEM_RESP_ACK;
    fuzz_find_lost(world, before, request->ram, lost);
    return any_is(lost, true, request) ? VIRTIO_MEM_RESP_BUSY : VIRTIO_MEM_RESP_ACK;
}

static void check_answer(const FuzzWorld *world, const FuzzView *before, const Request *request,
                         int answer)
{
    const FuzzRam *ram = &world->rams[request->ram];
    const FuzzRamView *view = &before->rams[request->ram];
    int expected;

    if (request->plug && view->n_plugged + request->n_blocks > FUZZ_N_BLOCKS)
        expected = VIRTIO_MEM_RESP_NACK;
    else if (any_is(ram->plugged, request->plug, request))
        expected = VIRTIO_MEM_RESP_ERROR;
    else
        expected = expect_of_quarantine(world, before, request);
    if (answer == VIRTIO_MEM_RESP_BUSY && expected == VIRTIO_MEM_RESP_ACK) {
        if (!world->faulty)
            check_refusal(world, before, request);
    } else if (answer != expected) {
        fuzz_fail(world, "the answer is %d and not %d", answer, expected);
    }
}

static bool plug_or_unplug(FuzzWorld *world, const FuzzView *before, bool plug)
{
    unsigned index;
    FuzzRam *ram = pick_device(world, &index);
    Request request;
    int answer;

    if (ram == NULL)
        return false;
    request = pick_request(world, ram, index, plug);
    fuzz_say(world, "%s of blocks %u to %u of RAM %u", plug ? "plug" : "unplug", request.first,
             request.first + request.n_blocks - 1, index);
    answer = send(ram, plug ? VIRTIO_MEM_REQ_PLUG : VIRTIO_MEM_REQ_UNPLUG, request.first,
                  request.n_blocks);
    check_answer(world, before, &request, answer);
    if (answer != VIRTIO_MEM_RESP_ACK)
        return false;
    memset(&ram->plugged[request.first], plug, request.n_blocks);
    return true;
}

bool fuzz_plug(FuzzWorld *world, const FuzzView *before)
{
    return plug_or_unplug(world, before, true);
}

bool fuzz_unplug(FuzzWorld *world, const FuzzView *before)
{
    return plug_or_unplug(world, before, false);
}

/* Unplugs everything, including quarantined blocks. */
static bool end_of_everything(FuzzWorld *world, unsigned index, bool done, const char *message)
{
    FuzzRam *ram = &world->rams[index];

    if (!done) {
        if (!world->faulty)
            fuzz_fail(world, "it was refused: %s", message);
        return false;
    }
    memset(ram->plugged, false, sizeof(ram->plugged));
    if (pm_discard_manager_get_quarantined(ram->manager) != 0)
        fuzz_fail(world, "blocks are still in quarantine");
    return true;
}

bool fuzz_unplug_all(FuzzWorld *world, const FuzzView *before)
{
    unsigned index;
    FuzzRam *ram = pick_device(world, &index);
    const GError *refusal;
    int answer;

    (void)before;
    if (ram == NULL)
        return false;
    fuzz_say(world, "unplug all of RAM %u", index);
    answer = send(ram, VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0);
    (void)pm_virtio_mem_last_refusal(ram->device, &refusal);
    return end_of_everything(world, index, answer == VIRTIO_MEM_RESP_ACK,
                             refusal != NULL ? refusal->message : NULL);
}

bool fuzz_reset(FuzzWorld *world, const FuzzView *before)
{
    unsigned index;
    FuzzRam *ram = pick_device(world, &index);
    g_autoptr(GError) error = NULL;
    bool done;

    (void)before;
    if (ram == NULL)
        return false;
    fuzz_say(world, "reset of RAM %u", index);
    done = pm_virtio_mem_system_reset(ram->device, &error);
    return end_of_everything(world, index, done, done ? "" : error->message);
}

/* --- devices --- */

/* Memory that is or may be mapped must not be discarded. */
bool fuzz_new_device(FuzzWorld *world, const FuzzView *before)
{
    unsigned index = fuzz_pick_ram(world);
    FuzzRam *ram = &world->rams[index];
    bool in_use = ram->device != NULL || fuzz_has_region(world, index);
    PmVirtioMemConfig config = {
        .struct_size = sizeof(config),
        .ram = ram->ram,
        .address = DEVICE_ADDRESS,
        .block_size = ram->block_size,
        .requested_size = FUZZ_N_BLOCKS * ram->block_size,
        .prefault_threads = fuzz_chance(world, 1, 4),
    };
    g_autoptr(GError) error = NULL;
    PmVirtioMem *device;

    (void)before;
    fuzz_say(world, "new device of RAM %u%s", index, in_use ? ", which is in use" : "");
    device = pm_virtio_mem_new(&config, &error);
    if (device != NULL && (in_use || fuzz_has_ghost(world, index, true)))
        fuzz_fail(world, "RAM that is mapped has got a new device");
    if (device == NULL && !in_use && !fuzz_has_ghost(world, index, false))
        fuzz_fail(world, "RAM that nobody uses does not get a device: %s", error->message);
    if (device == NULL) {
        if (!g_error_matches(error, PM_ERROR, PM_ERROR_BUSY))
            fuzz_fail(world, "code %d: %s", error->code, error->message);
        return false;
    }
    ram->device = device;
    ram->manager = pm_virtio_mem_get_manager(device);
    return true;
}

/* Regions keep memory that was not discarded. */
bool fuzz_free_device(FuzzWorld *world, const FuzzView *before)
{
    unsigned index;
    FuzzRam *ram = pick_device(world, &index);

    (void)before;
    if (ram == NULL)
        return false;
    fuzz_say(world, "end of the device of RAM %u", index);
    g_clear_pointer(&ram->device, pm_virtio_mem_free);
    fuzz_forget_manager(world, index);
    if (ram->manager != NULL && pm_discard_manager_get_populated(ram->manager) == 0)
        memset(ram->plugged, false, sizeof(ram->plugged));
    else if (ram->manager != NULL && !world->faulty)
        fuzz_fail(world, "blocks are still populated");
    return true;
}
