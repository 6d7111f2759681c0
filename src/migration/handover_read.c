/* SPDX-License-Identifier: MIT */
#include "migration/handover_state.h"

#include "base/error_text.h"

/* Bytes that an element of a list has at least. */
#define SPACE_SIZE  (7 * sizeof(uint64_t))
#define FILE_SIZE   (9 * sizeof(uint64_t))
#define RAM_SIZE    (9 * sizeof(uint64_t))
#define MAPPER_SIZE (2 * sizeof(uint64_t))
#define REGION_SIZE (7 * sizeof(uint64_t))
#define RUN_SIZE    (4 * sizeof(uint64_t))

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
    address = pm_wire_get_string(&reader->wire, PM_HANDOVER_MAX_NAME);
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

static bool get_region(Reader *reader, const PmHandoverState *state, PmHandoverMapper *mapper)
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
    g_array_append_val(mapper->regions, region);
    return got;
}

static bool get_mapper(Reader *reader, PmHandoverState *state)
{
    PmHandoverMapper *mapper = pm_handover_state_add_mapper(state);
    size_t n_regions;

    mapper->space = get_32(reader);
    reader->wire.failed = reader->wire.failed || mapper->space >= state->spaces->len;
    n_regions = pm_wire_get_count(&reader->wire, REGION_SIZE);
    for (size_t i = 0; i < n_regions && !reader->wire.failed; i++)
        if (!get_region(reader, state, mapper))
            return false;
    return true;
}

static void get_space(Reader *reader, PmHandoverState *state)
{
    PmIommuFiles *files = pm_handover_state_add_space(state);

    files->backend = (PmIommuBackend)pm_wire_get_up_to(&reader->wire, PM_IOMMU_IOMMUFD);
    files->fd = take_fd(reader);
    files->is_shared = get_flag(reader);
    files->mapping_limit = pm_wire_get(&reader->wire);
    get_files(reader, files);
}

/* One without a mapper would be taken over by nobody. */
static bool is_mapped(const PmHandoverState *state, uint32_t space)
{
    for (guint i = 0; i < state->mappers->len; i++)
        if (pm_handover_state_mapper(state, i)->space == space)
            return true;
    return false;
}

static bool are_all_mapped(const PmHandoverState *state)
{
    for (guint i = 0; i < state->spaces->len; i++)
        if (!is_mapped(state, i))
            return false;
    return true;
}

static bool get_all(Reader *reader, PmHandoverState *state)
{
    size_t count = pm_wire_get_count(&reader->wire, SPACE_SIZE);

    for (size_t i = 0; i < count && !reader->wire.failed; i++)
        get_space(reader, state);
    count = pm_wire_get_count(&reader->wire, RAM_SIZE);
    for (size_t i = 0; i < count && !reader->wire.failed; i++)
        get_ram(reader, state);
    count = pm_wire_get_count(&reader->wire, MAPPER_SIZE);
    reader->wire.failed = reader->wire.failed || count == 0 || count > PM_HANDOVER_MAX_MAPPERS;
    for (size_t i = 0; i < count && !reader->wire.failed; i++)
        if (!get_mapper(reader, state))
            return false;
    reader->wire.failed = reader->wire.failed || reader->wire.n_left > 0 ||
                          reader->n_fds != reader->message->n_fds || !are_all_mapped(state);
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
