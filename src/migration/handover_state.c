/* SPDX-License-Identifier: MIT */
#include "migration/handover_state.h"

#include <inttypes.h>
#include <string.h>

#include "base/error_text.h"
#include "iommu/claim.h"

#define MAX_NAME 255

/* Bytes that an element of a list has at least. */
#define FILE_SIZE   (9 * sizeof(uint64_t))
#define RAM_SIZE    (9 * sizeof(uint64_t))
#define REGION_SIZE (7 * sizeof(uint64_t))
#define RUN_SIZE    (4 * sizeof(uint64_t))

static void clear_region(void *region)
{
    g_free(((PmHandoverRegion *)region)->runs);
}

void pm_handover_state_init(PmHandoverState *state)
{
    *state = (PmHandoverState){0};
    pm_iommu_files_init(&state->files);
    state->rams = g_array_new(FALSE, FALSE, sizeof(PmRamFile));
    state->ram_fds = g_array_new(FALSE, FALSE, sizeof(int));
    state->regions = g_array_new(FALSE, FALSE, sizeof(PmHandoverRegion));
    g_array_set_clear_func(state->regions, clear_region);
}

void pm_handover_state_clear(PmHandoverState *state)
{
    pm_iommu_files_clear(&state->files);
    g_clear_pointer(&state->rams, g_array_unref);
    g_clear_pointer(&state->ram_fds, g_array_unref);
    g_clear_pointer(&state->regions, g_array_unref);
}

/* --- collecting --- */

static uint64_t count_runs(PmIommuClaim *claim)
{
    uint64_t n_runs = 0;
    uint64_t at = 0;
    PmIommuRun run;

    while (pm_iommu_claim_next_run(claim, at, &run)) {
        n_runs++;
        at = run.iova - claim->iova + run.n_blocks * run.block_size;
    }
    return n_runs;
}

static bool copy_runs(PmHandoverRegion *region, PmIommuClaim *claim, GError **error)
{
    uint64_t at = 0;

    region->n_runs = count_runs(claim);
    region->runs = g_try_new(PmIommuRun, MAX(region->n_runs, 1));
    if (region->runs == NULL)
        return pm_fail(error, PM_ERROR_MEMORY, "out of memory for %zu runs of mappings",
                       region->n_runs);
    for (size_t i = 0; i < region->n_runs; i++) {
        (void)pm_iommu_claim_next_run(claim, at, &region->runs[i]);
        at = region->runs[i].iova - claim->iova +
             region->runs[i].n_blocks * region->runs[i].block_size;
    }
    return true;
}

/* @known: of PmRam, in the order of PmHandoverState.rams. */
static bool add_ram(PmHandoverState *state, GPtrArray *known, PmRam *ram, uint32_t *index,
                    GError **error)
{
    int fd = pm_ram_get_fd(ram, NULL);
    PmRamFile file;
    guint found;

    if (!g_ptr_array_find(known, ram, &found)) {
        if (!pm_ram_describe_file(ram, &file, error))
            return false;
        found = known->len;
        g_ptr_array_add(known, ram);
        g_array_append_val(state->rams, file);
        g_array_append_val(state->ram_fds, fd);
    }
    *index = found;
    return true;
}

static bool add_region(PmHandoverState *state, GPtrArray *known, const PmRegion *region,
                       GError **error)
{
    PmHandoverRegion added = {.config = region->config};

    if (region->claim == NULL)
        return pm_fail(error, PM_ERROR_BUSY,
                       "cannot hand over the optional region at 0x%" PRIx64
                       ", which is not mapped: remove it first (pm_mapper_remove())",
                       region->config.address);
    if (!add_ram(state, known, region->config.ram, &added.ram, error) ||
        !copy_runs(&added, region->claim, error))
        return false;
    added.config.ram = NULL;
    g_array_append_val(state->regions, added);
    return true;
}

static bool is_region(const GPtrArray *regions, const PmIommuClaim *claim)
{
    for (guint i = 0; i < regions->len; i++)
        if (((const PmRegion *)regions->pdata[i])->claim == claim)
            return true;
    return false;
}

/* Everything that is mapped must get an owner at the other side. */
static bool check_claims(PmIommu *iommu, const GPtrArray *regions, GError **error)
{
    const PmIommuClaim *other;
    PmIommuClaim *claim;
    bool right;

    pm_iommu_lock(iommu);
    for (claim = pm_claim_find(iommu, 0); claim != NULL && is_region(regions, claim);)
        claim = pm_claim_next(claim);
    other = claim;
    right = other == NULL ||
            pm_fail(error, PM_ERROR_BUSY,
                    "cannot hand over the address space: %s has I/O addresses 0x%" PRIx64
                    "-0x%" PRIx64 ", and is no region of this mapper: release that claim first",
                    other->owner, other->iova, other->last);
    pm_iommu_unlock(iommu);
    return right;
}

static size_t count_fds(const PmHandoverState *state)
{
    size_t n_fds = 1 + state->ram_fds->len;

    for (guint i = 0; i < state->files.files->len; i++)
        n_fds += g_array_index(state->files.files, PmIommuFile, i).fd >= 0;
    return n_fds;
}

static bool check_limits(const PmHandoverState *state, GError **error)
{
    size_t n_fds = count_fds(state);

    for (guint i = 0; i < state->files.files->len; i++) {
        const PmIommuFile *file = &g_array_index(state->files.files, PmIommuFile, i);

        if (file->address != NULL &&
            (strlen(file->address) > MAX_NAME || !g_utf8_validate(file->address, -1, NULL)))
            return pm_fail(error, PM_ERROR_LIMIT,
                           "cannot hand over a device whose name is not UTF-8 of at most %d bytes",
                           MAX_NAME);
    }
    return n_fds <= PM_CHANNEL_MAX_FDS ||
           pm_fail(error, PM_ERROR_LIMIT,
                   "cannot hand over %zu descriptors: a message on a socket has at most %d", n_fds,
                   PM_CHANNEL_MAX_FDS);
}

bool pm_handover_state_collect(PmHandoverState *state, PmMapper *mapper, GError **error)
{
    PmIommu *iommu = pm_mapper_get_iommu(mapper);
    const GPtrArray *regions = pm_mapper_get_regions(mapper);
    g_autoptr(GPtrArray) known = g_ptr_array_new();

    if (!check_claims(iommu, regions, error))
        return false;
    for (guint i = 0; i < regions->len; i++)
        if (!add_region(state, known, regions->pdata[i], error))
            return false;
    pm_iommu_handover_describe(iommu, &state->files);
    return check_limits(state, error);
}

size_t pm_handover_state_list_fds(const PmHandoverState *state, int *fds)
{
    size_t n_fds = 0;

    fds[n_fds++] = state->files.fd;
    for (guint i = 0; i < state->files.files->len; i++) {
        int fd = g_array_index(state->files.files, PmIommuFile, i).fd;

        if (fd >= 0)
            fds[n_fds++] = fd;
    }
    for (guint i = 0; i < state->ram_fds->len; i++)
        fds[n_fds++] = g_array_index(state->ram_fds, int, i);
    return n_fds;
}

/* --- writing --- */

static void put_file(PmWireWriter *writer, const PmIommuFile *file)
{
    pm_wire_put(writer, file->fd >= 0);
    pm_wire_put(writer, file->address != NULL);
    pm_wire_put(writer, file->has_number);
    pm_wire_put(writer, file->joined);
    pm_wire_put(writer, file->number);
    pm_wire_put(writer, file->n_users);
    pm_wire_put(writer, file->group);
    pm_wire_put(writer, file->page_table);
    pm_wire_put_string(writer, file->address != NULL ? file->address : "");
}

static void put_ram(PmWireWriter *writer, const PmRamFile *ram)
{
    pm_wire_put(writer, ram->kind);
    pm_wire_put(writer, ram->size);
    pm_wire_put(writer, ram->page_size);
    pm_wire_put(writer, ram->alignment);
    pm_wire_put(writer, ram->fd_offset);
    pm_wire_put(writer, ram->device);
    pm_wire_put(writer, ram->inode);
    pm_wire_put(writer, ram->file_size);
    pm_wire_put(writer, (uint32_t)ram->seals);
}

static void put_region(PmWireWriter *writer, const PmHandoverRegion *region)
{
    pm_wire_put(writer, region->ram);
    pm_wire_put(writer, region->config.ram_offset);
    pm_wire_put(writer, region->config.size);
    pm_wire_put(writer, region->config.address);
    pm_wire_put(writer, region->config.access);
    pm_wire_put(writer, region->config.flags);
    pm_wire_put(writer, region->n_runs);
    for (size_t i = 0; i < region->n_runs; i++) {
        pm_wire_put(writer, region->runs[i].iova);
        pm_wire_put(writer, region->runs[i].block_size);
        pm_wire_put(writer, region->runs[i].n_blocks);
        pm_wire_put(writer, region->runs[i].ram_offset);
    }
}

void pm_handover_state_write(const PmHandoverState *state, PmWireWriter *writer)
{
    const PmIommuFiles *files = &state->files;

    pm_wire_put(writer, files->backend);
    pm_wire_put(writer, files->is_shared);
    pm_wire_put(writer, files->mapping_limit);
    pm_wire_put(writer, files->ioas);
    pm_wire_put(writer, files->maps_files);
    pm_wire_put(writer, files->page_tables->len);
    for (guint i = 0; i < files->page_tables->len; i++)
        pm_wire_put(writer, g_array_index(files->page_tables, uint32_t, i));
    pm_wire_put(writer, files->files->len);
    for (guint i = 0; i < files->files->len; i++)
        put_file(writer, &g_array_index(files->files, PmIommuFile, i));
    pm_wire_put(writer, state->rams->len);
    for (guint i = 0; i < state->rams->len; i++)
        put_ram(writer, &g_array_index(state->rams, PmRamFile, i));
    pm_wire_put(writer, state->regions->len);
    for (guint i = 0; i < state->regions->len; i++)
        put_region(writer, &g_array_index(state->regions, PmHandoverRegion, i));
}

/* --- reading --- */

/* The descriptors of a message, taken one by one. */
typedef struct {
    PmWireReader wire;
    const PmMessage *message;
    size_t n_fds;
} Reader;

static int take_fd(Reader *reader)
{
    if (reader->n_fds < reader->message->n_fds)
        return reader->message->fds[reader->n_fds++];
    reader->wire.failed = true;
    return -1;
}

static uint32_t get_32(Reader *reader)
{
    return (uint32_t)pm_wire_get_up_to(&reader->wire, UINT32_MAX);
}

static bool get_flag(Reader *reader)
{
    return pm_wire_get_up_to(&reader->wire, 1) != 0;
}

/* A group needs an open file, a device of type1 a group before it. */
static bool is_valid_file(const PmIommuFiles *files, const PmIommuFile *file)
{
    const PmIommuFile *group;

    if (files->backend == PM_IOMMU_IOMMUFD)
        return file->address != NULL && file->fd >= 0;
    if (file->address == NULL)
        return file->fd >= 0 && file->n_users > 0;
    if (file->group >= files->files->len)
        return false;
    group = &g_array_index(files->files, PmIommuFile, file->group);
    return group->address == NULL;
}

/* Groups precede devices, whose numbers of them are those of the list. */
static bool is_ordered(const PmIommuFiles *files, const PmIommuFile *file)
{
    const PmIommuFile *last;

    if (files->files->len == 0)
        return true;
    last = &g_array_index(files->files, PmIommuFile, files->files->len - 1);
    return file->address != NULL || last->address == NULL;
}

static void get_file(Reader *reader, PmIommuFiles *files)
{
    PmIommuFile file = {.fd = -1};
    bool is_open = get_flag(reader);
    bool is_device = get_flag(reader);
    char *address;

    file.has_number = get_flag(reader);
    file.joined = get_flag(reader);
    file.number = get_32(reader);
    file.n_users = get_32(reader);
    file.group = get_32(reader);
    file.page_table = get_32(reader);
    address = pm_wire_get_string(&reader->wire, MAX_NAME);
    if (is_open)
        file.fd = take_fd(reader);
    if (is_device)
        file.address = g_steal_pointer(&address);
    g_free(address);
    if (reader->wire.failed || !is_valid_file(files, &file) || !is_ordered(files, &file)) {
        reader->wire.failed = true;
        g_free(file.address);
        return;
    }
    g_array_append_val(files->files, file);
}

/* Each attached device is one of its group's users. */
static bool counts_add_up(const PmIommuFiles *files)
{
    for (guint i = 0; i < files->files->len && files->backend == PM_IOMMU_TYPE1; i++) {
        const PmIommuFile *group = &g_array_index(files->files, PmIommuFile, i);
        uint32_t n_devices = 0;

        for (guint j = 0; j < files->files->len && group->address == NULL; j++) {
            const PmIommuFile *device = &g_array_index(files->files, PmIommuFile, j);

            n_devices += device->address != NULL && device->group == i;
        }
        if (group->address == NULL && n_devices > group->n_users)
            return false;
    }
    return files->files->len > 0;
}

static void get_files(Reader *reader, PmIommuFiles *files)
{
    size_t n_page_tables;
    size_t n_files;

    files->ioas = get_32(reader);
    files->maps_files = get_flag(reader);
    n_page_tables = pm_wire_get_count(&reader->wire, sizeof(uint64_t));
    for (size_t i = 0; i < n_page_tables && !reader->wire.failed; i++) {
        uint32_t page_table = get_32(reader);

        g_array_append_val(files->page_tables, page_table);
    }
    n_files = pm_wire_get_count(&reader->wire, FILE_SIZE);
    for (size_t i = 0; i < n_files && !reader->wire.failed; i++)
        get_file(reader, files);
    reader->wire.failed = reader->wire.failed || !counts_add_up(files);
}

static void get_ram(Reader *reader, PmHandoverState *state)
{
    PmRamFile ram = {.kind = (PmRamKind)pm_wire_get_up_to(&reader->wire, PM_RAM_DEVICE)};
    int fd;

    ram.size = pm_wire_get(&reader->wire);
    ram.page_size = pm_wire_get(&reader->wire);
    ram.alignment = pm_wire_get(&reader->wire);
    ram.fd_offset = pm_wire_get(&reader->wire);
    ram.device = pm_wire_get(&reader->wire);
    ram.inode = pm_wire_get(&reader->wire);
    ram.file_size = pm_wire_get(&reader->wire);
    ram.seals = (int32_t)get_32(reader);
    fd = take_fd(reader);
    g_array_append_val(state->rams, ram);
    g_array_append_val(state->ram_fds, fd);
}

static bool get_runs(Reader *reader, PmHandoverRegion *region)
{
    region->n_runs = pm_wire_get_count(&reader->wire, RUN_SIZE);
    region->runs = g_try_new(PmIommuRun, MAX(region->n_runs, 1));
    if (region->runs == NULL)
        return false;
    for (size_t i = 0; i < region->n_runs; i++) {
        region->runs[i].iova = pm_wire_get(&reader->wire);
        region->runs[i].block_size = pm_wire_get(&reader->wire);
        region->runs[i].n_blocks = pm_wire_get(&reader->wire);
        region->runs[i].ram_offset = pm_wire_get(&reader->wire);
        region->runs[i].unknown = false;
    }
    return true;
}

static bool get_region(Reader *reader, PmHandoverState *state)
{
    PmHandoverRegion region = {.config = {.struct_size = sizeof(region.config)}};
    bool got;

    region.ram = get_32(reader);
    region.config.ram_offset = pm_wire_get(&reader->wire);
    region.config.size = pm_wire_get(&reader->wire);
    region.config.address = pm_wire_get(&reader->wire);
    region.config.access = (PmIommuAccess)pm_wire_get_up_to(&reader->wire, PM_IOMMU_READ_WRITE);
    region.config.flags = get_32(reader);
    reader->wire.failed = reader->wire.failed || region.ram >= state->rams->len;
    got = get_runs(reader, &region);
    g_array_append_val(state->regions, region);
    return got;
}

static bool get_all(Reader *reader, PmHandoverState *state)
{
    size_t count;

    state->files.backend = (PmIommuBackend)pm_wire_get_up_to(&reader->wire, PM_IOMMU_IOMMUFD);
    state->files.fd = take_fd(reader);
    state->files.is_shared = get_flag(reader);
    state->files.mapping_limit = pm_wire_get(&reader->wire);
    get_files(reader, &state->files);
    count = pm_wire_get_count(&reader->wire, RAM_SIZE);
    for (size_t i = 0; i < count && !reader->wire.failed; i++)
        get_ram(reader, state);
    count = pm_wire_get_count(&reader->wire, REGION_SIZE);
    for (size_t i = 0; i < count && !reader->wire.failed; i++)
        if (!get_region(reader, state))
            return false;
    reader->wire.failed =
        reader->wire.failed || reader->wire.n_left > 0 || reader->n_fds != reader->message->n_fds;
    return true;
}

bool pm_handover_state_read(PmHandoverState *state, const PmMessage *offer, GError **error)
{
    Reader reader = {.wire = {.bytes = offer->payload, .n_left = offer->size}, .message = offer};

    if (!get_all(&reader, state))
        return pm_fail(error, PM_ERROR_MEMORY, "out of memory for the runs of mappings");
    return !reader.wire.failed ||
           pm_fail(error, PM_ERROR_BAD_INPUT,
                   "invalid offer of the other process: %zu bytes and %zu descriptors with "
                   "impossible values, or too few or too many of them",
                   offer->size, offer->n_fds);
}
