/* SPDX-License-Identifier: MIT */
#include "fake/type1/type1_mappings.h"

PmFakeType1 *pm_fake_type1_new(PmFakeMemory *memory, bool v2)
{
    PmFakeType1 *type1 = g_new0(PmFakeType1, 1);

    type1->machine = memory->machine;
    type1->memory = memory;
    type1->v2 = v2;
    type1->n_available = type1->machine->config.entry_limit;
    type1->mappings = pm_range_map_new(sizeof(PmMapping));
    type1->table = pm_page_table_new();
    return type1;
}

void pm_fake_type1_free(PmFakeType1 *type1)
{
    for (const PmMapping *mapping = pm_range_map_find(type1->mappings, 0); mapping != NULL;
         mapping = pm_fake_type1_next_mapping(type1, mapping))
        pm_unpin(type1->memory, &mapping->pins);
    pm_range_map_free(type1->mappings);
    pm_page_table_free(type1->table);
    g_clear_pointer(&type1->bitmaps, g_hash_table_unref);
    g_free(type1);
}

bool pm_fake_type1_has_invalid_addresses(const PmFakeType1 *type1)
{
    return type1->n_invalid_addresses > 0;
}

uint64_t pm_fake_type1_page_size(const PmFakeType1 *type1)
{
    return pm_fake_config_page_size(&type1->machine->config);
}

PmMapping *pm_fake_type1_next_mapping(const PmFakeType1 *type1, const PmMapping *mapping)
{
    return mapping->key.last < UINT64_MAX
               ? pm_range_map_find(type1->mappings, mapping->key.last + 1)
               : NULL;
}

bool pm_fake_type1_cuts(const PmFakeType1 *type1, uint64_t first, uint64_t last)
{
    const PmMapping *mapping = pm_range_map_find(type1->mappings, first);

    if (mapping != NULL && mapping->key.first < first)
        return true;
    mapping = pm_range_map_find(type1->mappings, last);
    return mapping != NULL && mapping->key.first <= last && mapping->key.last != last;
}
