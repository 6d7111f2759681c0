/* SPDX-License-Identifier: MIT */
#include "nvme/prp.h"

#include <inttypes.h>

#include "nvme/wire.h"
#include "pci/fail.h"

typedef struct {
    uint64_t first;
    uint64_t *list; /* the pages after the first */
    size_t n_listed;
    size_t max_listed;
    uint64_t end; /* of the data so far; 0: there is none */
} Builder;

static bool add_page(Builder *builder, uint64_t address, GError **error)
{
    if (builder->n_listed == builder->max_listed)
        return pm_pci_fail(error, PM_ERROR_LIMIT,
                           "the data is in more than %zu pages: split the command",
                           builder->max_listed + 1);
    builder->list[builder->n_listed++] = GUINT64_TO_LE(address);
    return true;
}

static bool begin_segment(Builder *builder, const PmDmaSegment *segment, GError **error)
{
    if (builder->end == 0) {
        builder->first = segment->address;
        return segment->address % 4 == 0 ||
               pm_pci_fail(error, PM_ERROR_UNALIGNED,
                           "invalid address 0x%" PRIx64 " of data: must be a multiple of 4",
                           segment->address);
    }
    if ((builder->end | segment->address) % PM_NVME_PAGE != 0)
        return pm_pci_fail(error, PM_ERROR_UNALIGNED,
                           "data ends at 0x%" PRIx64 " and continues at 0x%" PRIx64
                           ": both must be multiples of 4K",
                           builder->end, segment->address);
    return add_page(builder, segment->address, error);
}

static bool add_segment(Builder *builder, const PmDmaSegment *segment, GError **error)
{
    uint64_t end = segment->address + segment->length;
    uint64_t page = segment->address - segment->address % PM_NVME_PAGE;

    if (segment->length == 0)
        return true;
    if (!begin_segment(builder, segment, error))
        return false;
    for (page += PM_NVME_PAGE; page < end; page += PM_NVME_PAGE)
        if (!add_page(builder, page, error))
            return false;
    builder->end = end;
    return true;
}

bool pm_nvme_prp_build(const PmDmaSegment *segments, size_t n_segments, uint64_t *list,
                       uint64_t list_address, uint64_t prp[2], GError **error)
{
    uint64_t second = 0;
    Builder builder = {.list = &second, .max_listed = 1};

    if (list != NULL) {
        builder.list = list;
        builder.max_listed = PM_NVME_PRP_LIST_ENTRIES;
    }
    for (size_t i = 0; i < n_segments; i++)
        if (!add_segment(&builder, &segments[i], error))
            return false;
    if (builder.end == 0)
        return pm_pci_fail(error, PM_ERROR_INVALID_ARGUMENT, "the command has no data");
    if (builder.n_listed == 1)
        second = builder.list[0];
    else if (builder.n_listed > 1)
        second = GUINT64_TO_LE(list_address);
    prp[0] = GUINT64_TO_LE(builder.first);
    prp[1] = second;
    return true;
}
