/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/ioas_map.h"

#include <errno.h>

#include "fake/iommufd/ioas_fill.h"
#include "fake/iommufd/ioas_place.h"
#include "fake/iommufd/ioas_unmap.h"

#define MAP_FLAGS (IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE)

/* --- adding areas: contiguous pieces of pages --- */

typedef struct {
    PmIoptPages *pages;
    uint64_t start;
    uint64_t length;
} Piece;

static void clear_piece(void *data)
{
    pm_iopt_pages_unref(((Piece *)data)->pages);
}

static GArray *new_pieces(void)
{
    GArray *pieces = g_array_new(FALSE, FALSE, sizeof(Piece));

    g_array_set_clear_func(pieces, clear_piece);
    return pieces;
}

static int check_fixed(const PmIoas *ioas, uint64_t iova, uint64_t length)
{
    uint64_t last = iova + (length - 1);
    const PmArea *area;

    if (iova % ioas->alignment != 0)
        return -EINVAL;
    if (last < iova)
        return -EOVERFLOW;
    if (pm_ioas_is_reserved(ioas, iova, last))
        return -EINVAL;
    area = pm_range_map_find(ioas->areas, iova);
    return area != NULL && area->key.first <= last ? -EEXIST : 0;
}

static int check_pieces(const PmIoas *ioas, const GArray *pieces, PmIommuAccess access)
{
    for (guint i = 0; i < pieces->len; i++) {
        const Piece *piece = &g_array_index(pieces, Piece, i);

        if (access & PM_IOMMU_WRITE && !pm_iopt_pages_writable(piece->pages))
            return -EPERM;
        if (piece->start % ioas->alignment != 0)
            return -EINVAL;
    }
    return 0;
}

static int add_area(PmIoas *ioas, const PmArea *area)
{
    int result = pm_area_fill(ioas, area);

    if (result == 0 && !pm_range_map_insert(ioas->areas, area)) {
        pm_area_unfill(ioas, area);
        result = -ENOMEM;
    }
    if (result == 0)
        (void)pm_iopt_pages_ref(area->pages);
    return result;
}

static int add_areas(PmIoas *ioas, const GArray *pieces, uint64_t iova, PmIommuAccess access)
{
    uint64_t at = iova;
    uint64_t removed;
    int result;

    for (guint i = 0; i < pieces->len; i++) {
        const Piece *piece = &g_array_index(pieces, Piece, i);
        const PmArea area = {
            .key = {at, at + (piece->length - 1)},
            .pages = piece->pages,
            .start = piece->start,
            .access = access,
        };

        result = add_area(ioas, &area);
        if (result < 0) {
            if (at > iova)
                (void)pm_ioas_unmap_range(ioas, iova, at - 1, &removed);
            return result;
        }
        at += piece->length;
    }
    return 0;
}

/* @iova: in if @fixed, else out. */
static int map_pieces(PmIoas *ioas, const GArray *pieces, uint64_t length, bool fixed,
                      uint64_t *iova, PmIommuAccess access)
{
    const Piece *first = &g_array_index(pieces, Piece, 0);
    int result;

    if (length % ioas->alignment != 0)
        return -EINVAL;
    if (fixed)
        result = check_fixed(ioas, *iova, length);
    else
        result =
            pm_ioas_place(ioas, pm_iopt_pages_origin(first->pages) + first->start, length, iova);
    if (result == 0)
        result = check_pieces(ioas, pieces, access);
    return result == 0 ? add_areas(ioas, pieces, *iova, access) : result;
}

/* The same for one piece; consumes its reference. */
static int map_piece(PmIoas *ioas, const Piece *piece, bool fixed, uint64_t *iova,
                     PmIommuAccess access)
{
    g_autoptr(GArray) pieces = new_pieces();

    g_array_append_vals(pieces, piece, 1);
    return map_pieces(ioas, pieces, piece->length, fixed, iova, access);
}

/* --- requests to map --- */

static PmIommuAccess access_of(uint32_t flags)
{
    PmIommuAccess access = 0;

    if (flags & IOMMU_IOAS_MAP_READABLE)
        access |= PM_IOMMU_READ;
    if (flags & IOMMU_IOAS_MAP_WRITEABLE)
        access |= PM_IOMMU_WRITE;
    return access;
}

static int check_request(uint32_t flags, uint32_t reserved, uint64_t iova, uint64_t length)
{
    if (flags & ~(uint32_t)MAP_FLAGS || reserved != 0)
        return -EOPNOTSUPP;
    if (iova == UINT64_MAX || length == UINT64_MAX)
        return -EOVERFLOW;
    return access_of(flags) == 0 ? -EINVAL : 0;
}

int pm_ioas_map_fixed(PmIoas *ioas, uint64_t iova, uint64_t address, uint64_t length,
                      PmIommuAccess access)
{
    Piece piece = {.length = length};
    int result =
        pm_iopt_pages_new(ioas->iommufd->memory, address, length, access & PM_IOMMU_WRITE,
                          pm_fake_iommufd_charge(ioas->iommufd), &piece.pages, &piece.start);

    return result == 0 ? map_piece(ioas, &piece, true, &iova, access) : result;
}

int pm_ioas_map(PmFakeIommufdRequest *request)
{
    PmFakeIommufd *iommufd = request->iommufd;
    struct iommu_ioas_map *map = &request->map;
    Piece piece = {.length = map->length};
    PmIoas *ioas;
    int result = check_request(map->flags, map->__reserved, map->iova, map->length);

    if (result < 0)
        return result;
    ioas = pm_fake_iommufd_find(iommufd, map->ioas_id, PM_OBJECT_IOAS);
    if (ioas == NULL)
        return -ENOENT;
    result = pm_iopt_pages_new(iommufd->memory, map->user_va, map->length,
                               map->flags & IOMMU_IOAS_MAP_WRITEABLE,
                               pm_fake_iommufd_charge(iommufd), &piece.pages, &piece.start);
    if (result < 0)
        return result;
    result = map_piece(ioas, &piece, map->flags & IOMMU_IOAS_MAP_FIXED_IOVA, &map->iova,
                       access_of(map->flags));
    /* If the response faults, the mapping stays. */
    return result == 0 ? pm_fake_iommufd_respond(request, sizeof(*map)) : result;
}

int pm_ioas_map_file(PmFakeIommufdRequest *request)
{
    PmFakeIommufd *iommufd = request->iommufd;
    struct iommu_ioas_map_file *map = &request->map_file;
    Piece piece = {.length = map->length};
    PmIoas *ioas;
    int result = check_request(map->flags, 0, map->iova, map->length);

    if (result < 0)
        return result;
    ioas = pm_fake_iommufd_find(iommufd, map->ioas_id, PM_OBJECT_IOAS);
    if (ioas == NULL)
        return -ENOENT;
    result = pm_iopt_pages_new_file(iommufd->memory, map->fd, map->start, map->length,
                                    map->flags & IOMMU_IOAS_MAP_WRITEABLE,
                                    pm_fake_iommufd_charge(iommufd), &piece.pages, &piece.start);
    if (result < 0)
        return result;
    result = map_piece(ioas, &piece, map->flags & IOMMU_IOAS_MAP_FIXED_IOVA, &map->iova,
                       access_of(map->flags));
    return result == 0 ? pm_fake_iommufd_respond(request, sizeof(*map)) : result;
}

/* The pieces in an address range of @ioas, which must not have holes. */
static int collect_pieces(const PmIoas *ioas, uint64_t iova, uint64_t length, GArray *pieces)
{
    uint64_t last = iova + (length - 1);
    uint64_t at = iova;
    const PmArea *area;

    if (length == 0)
        return -EINVAL;
    if (last < iova)
        return -EOVERFLOW;
    for (area = pm_range_map_find(ioas->areas, at); area != NULL && area->key.first <= at;
         area = pm_ioas_next_area(ioas, area)) {
        uint64_t end = MIN(area->key.last, last);
        Piece piece = {
            .pages = pm_iopt_pages_ref(area->pages),
            .start = area->start + (at - area->key.first),
            .length = end - at + 1,
        };

        g_array_append_val(pieces, piece);
        if (end == last)
            return 0;
        at = end + 1;
    }
    return -ENOENT;
}

int pm_ioas_copy(PmFakeIommufdRequest *request)
{
    g_autoptr(GArray) pieces = new_pieces();
    struct iommu_ioas_copy *copy = &request->copy;
    const PmIoas *source;
    PmIoas *ioas;
    int result = check_request(copy->flags, 0, MAX(copy->src_iova, copy->dst_iova), copy->length);

    if (result < 0)
        return result;
    source = pm_fake_iommufd_find(request->iommufd, copy->src_ioas_id, PM_OBJECT_IOAS);
    if (source == NULL)
        return -ENOENT;
    result = collect_pieces(source, copy->src_iova, copy->length, pieces);
    if (result < 0)
        return result;
    ioas = pm_fake_iommufd_find(request->iommufd, copy->dst_ioas_id, PM_OBJECT_IOAS);
    if (ioas == NULL)
        return -ENOENT;
    result = map_pieces(ioas, pieces, copy->length, copy->flags & IOMMU_IOAS_MAP_FIXED_IOVA,
                        &copy->dst_iova, access_of(copy->flags));
    return result == 0 ? pm_fake_iommufd_respond(request, sizeof(*copy)) : result;
}
