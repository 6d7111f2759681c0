/* SPDX-License-Identifier: MIT */
#include "migration/handover_state.h"

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

static void put_space(PmWireWriter *writer, const PmIommuFiles *files)
{
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
}

static void put_mapper(PmWireWriter *writer, const PmHandoverMapper *mapper)
{
    pm_wire_put(writer, mapper->space);
    pm_wire_put(writer, mapper->regions->len);
    for (guint i = 0; i < mapper->regions->len; i++)
        put_region(writer, pm_handover_mapper_region(mapper, i));
}

void pm_handover_state_write(const PmHandoverState *state, PmWireWriter *writer)
{
    pm_wire_put(writer, state->spaces->len);
    for (guint i = 0; i < state->spaces->len; i++)
        put_space(writer, &g_array_index(state->spaces, PmIommuFiles, i));
    pm_wire_put(writer, state->rams->len);
    for (guint i = 0; i < state->rams->len; i++)
        put_ram(writer, &g_array_index(state->rams, PmRamFile, i));
    pm_wire_put(writer, state->mappers->len);
    for (guint i = 0; i < state->mappers->len; i++)
        put_mapper(writer, pm_handover_state_mapper(state, i));
}

static size_t list_space(const PmIommuFiles *files, int *fds)
{
    size_t n_fds = 0;

    fds[n_fds++] = files->fd;
    for (guint i = 0; i < files->files->len; i++)
        if (g_array_index(files->files, PmIommuFile, i).fd >= 0)
            fds[n_fds++] = g_array_index(files->files, PmIommuFile, i).fd;
    return n_fds;
}

size_t pm_handover_state_list_fds(const PmHandoverState *state, int *fds)
{
    size_t n_fds = 0;

    for (guint i = 0; i < state->spaces->len; i++)
        n_fds += list_space(&g_array_index(state->spaces, PmIommuFiles, i), fds + n_fds);
    for (guint i = 0; i < state->ram_fds->len; i++)
        fds[n_fds++] = g_array_index(state->ram_fds, int, i);
    return n_fds;
}
