/* SPDX-License-Identifier: MIT */
#include "fake/ioas_map.h"

#include <errno.h>

#include "fake/hwpt.h"
#include "fake/ioas_place.h"

#define MAP_FLAGS (IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE)

/* --- page tables --- */

static const PmHwpt *hwpt_at(const PmIoas *ioas, guint index)
{
    return g_ptr_array_index(ioas->hwpts, index);
}

static bool enter_area(const PmIoas *ioas, const PmArea *area, PmPageTable *table)
{
    return pm_iopt_pages_enter(area->pages, area->start, pm_area_size(area), table, area->key.first,
                               area->access, ioas->small_pages);
}

static void unpin_area(const PmArea *area)
{
    pm_iopt_pages_unpin(area->pages, area->start, pm_area_size(area));
}

/* The IOMMU maps nothing that can neither be read nor written; that turns out once there are pages
 * to map, and before they are charged. */
static int pin_area(const PmArea *area)
{
    int result = pm_iopt_pages_pin(area->pages, area->start, pm_area_size(area));

    if (area->access != 0 || result == -EFAULT)
        return result;
    if (result == 0)
        unpin_area(area);
    return -EINVAL;
}

/* Takes an area out of all page tables. */
static void unfill_area(const PmIoas *ioas, const PmArea *area)
{
    if (ioas->hwpts->len == 0)
        return;
    for (guint i = 0; i < ioas->hwpts->len; i++)
        pm_page_table_unmap(hwpt_at(ioas, i)->table, area->key.first, pm_area_size(area));
    unpin_area(area);
}

/* Pins an area and enters it into all page tables; nothing to do if there are none. */
static int fill_area(const PmIoas *ioas, const PmArea *area)
{
    int result;

    if (ioas->hwpts->len == 0)
        return 0;
    result = pin_area(area);
    for (guint i = 0; i < ioas->hwpts->len && result == 0; i++)
        if (!enter_area(ioas, area, hwpt_at(ioas, i)->table)) {
            unfill_area(ioas, area);
            result = -ENOMEM;
        }
    return result;
}

/* Undoes pm_ioas_fill() for the areas before @end. */
static void undo_fill(PmIoas *ioas, const PmArea *end, PmPageTable *table)
{
    for (const PmArea *area = pm_range_map_find(ioas->areas, 0); area != end;
         area = pm_ioas_next_area(ioas, area)) {
        pm_page_table_unmap(table, area->key.first, pm_area_size(area));
        if (ioas->hwpts->len == 0)
            unpin_area(area);
    }
}

int pm_ioas_fill(PmIoas *ioas, PmPageTable *table)
{
    bool is_first = ioas->hwpts->len == 0;

    for (const PmArea *area = pm_range_map_find(ioas->areas, 0); area != NULL;
         area = pm_ioas_next_area(ioas, area)) {
        int result = 0;

        if (is_first)
            result = pin_area(area);
        if (result == 0 && !enter_area(ioas, area, table)) {
            if (is_first)
                unpin_area(area);
            result = -ENOMEM;
        }
        if (result < 0) {
            undo_fill(ioas, area, table);
            return result;
        }
    }
    return 0;
}

void pm_ioas_unpin(PmIoas *ioas)
{
    for (const PmArea *area = pm_range_map_find(ioas->areas, 0); area != NULL;
         area = pm_ioas_next_area(ioas, area))
        unpin_area(area);
}

/* --- adding areas: from pieces of pages, one behind the other --- */

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
    int result = fill_area(ioas, area);

    if (result == 0 && !pm_range_map_insert(ioas->areas, area)) {
        unfill_area(ioas, area);
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

/* @iova: in, with @fixed; out, without. */
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
    g_autoptr(GArray) pieces = new_pieces();
    Piece piece = {.length = length};
    int result = pm_iopt_pages_new(ioas->iommufd->fake, address, length, access & PM_IOMMU_WRITE,
                                   pm_iommufd_charge(ioas->iommufd), &piece.pages, &piece.start);

    if (result < 0)
        return result;
    g_array_append_val(pieces, piece);
    return map_pieces(ioas, pieces, length, true, &iova, access);
}

int pm_ioas_map(PmIommufdRequest *request)
{
    g_autoptr(GArray) pieces = new_pieces();
    PmIommufd *iommufd = request->iommufd;
    struct iommu_ioas_map *map = &request->map;
    Piece piece = {.length = map->length};
    PmIoas *ioas;
    int result = check_request(map->flags, map->__reserved, map->iova, map->length);

    if (result < 0)
        return result;
    ioas = pm_iommufd_find(iommufd, map->ioas_id, PM_OBJECT_IOAS);
    if (ioas == NULL)
        return -ENOENT;
    result = pm_iopt_pages_new(iommufd->fake, map->user_va, map->length,
                               map->flags & IOMMU_IOAS_MAP_WRITEABLE, pm_iommufd_charge(iommufd),
                               &piece.pages, &piece.start);
    if (result < 0)
        return result;
    g_array_append_val(pieces, piece);
    result = map_pieces(ioas, pieces, map->length, map->flags & IOMMU_IOAS_MAP_FIXED_IOVA,
                        &map->iova, access_of(map->flags));
    /* What cannot be answered has been done. */
    return result == 0 ? pm_iommufd_respond(request, sizeof(*map)) : result;
}

int pm_ioas_map_file(PmIommufdRequest *request)
{
    g_autoptr(GArray) pieces = new_pieces();
    PmIommufd *iommufd = request->iommufd;
    struct iommu_ioas_map_file *map = &request->map_file;
    Piece piece = {.length = map->length};
    PmIoas *ioas;
    int result = check_request(map->flags, 0, map->iova, map->length);

    if (result < 0)
        return result;
    ioas = pm_iommufd_find(iommufd, map->ioas_id, PM_OBJECT_IOAS);
    if (ioas == NULL)
        return -ENOENT;
    result = pm_iopt_pages_new_file(iommufd->fake, map->fd, map->start, map->length,
                                    map->flags & IOMMU_IOAS_MAP_WRITEABLE,
                                    pm_iommufd_charge(iommufd), &piece.pages, &piece.start);
    if (result < 0)
        return result;
    g_array_append_val(pieces, piece);
    result = map_pieces(ioas, pieces, map->length, map->flags & IOMMU_IOAS_MAP_FIXED_IOVA,
                        &map->iova, access_of(map->flags));
    return result == 0 ? pm_iommufd_respond(request, sizeof(*map)) : result;
}

/* The pieces that an address range of @ioas shows, which has to be without a hole. */
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

int pm_ioas_copy(PmIommufdRequest *request)
{
    g_autoptr(GArray) pieces = new_pieces();
    struct iommu_ioas_copy *copy = &request->copy;
    const PmIoas *source;
    PmIoas *ioas;
    int result = check_request(copy->flags, 0, MAX(copy->src_iova, copy->dst_iova), copy->length);

    if (result < 0)
        return result;
    source = pm_iommufd_find(request->iommufd, copy->src_ioas_id, PM_OBJECT_IOAS);
    if (source == NULL)
        return -ENOENT;
    result = collect_pieces(source, copy->src_iova, copy->length, pieces);
    if (result < 0)
        return result;
    ioas = pm_iommufd_find(request->iommufd, copy->dst_ioas_id, PM_OBJECT_IOAS);
    if (ioas == NULL)
        return -ENOENT;
    result = map_pieces(ioas, pieces, copy->length, copy->flags & IOMMU_IOAS_MAP_FIXED_IOVA,
                        &copy->dst_iova, access_of(copy->flags));
    return result == 0 ? pm_iommufd_respond(request, sizeof(*copy)) : result;
}

/* --- removing areas --- */

int pm_ioas_unmap_range(PmIoas *ioas, uint64_t first, uint64_t last, uint64_t *n_bytes)
{
    const PmArea *area = pm_range_map_find(ioas->areas, first);
    uint64_t removed_last = 0;

    *n_bytes = 0;
    for (; area != NULL && area->key.first >= first && area->key.last <= last;
         area = pm_ioas_next_area(ioas, area)) {
        unfill_area(ioas, area);
        pm_iopt_pages_unref(area->pages);
        *n_bytes += pm_area_size(area);
        removed_last = area->key.last;
    }
    if (area != NULL && area->key.first > last)
        area = NULL;
    if (*n_bytes > 0)
        (void)pm_range_map_remove(ioas->areas, first, removed_last);
    return area != NULL ? -ENOENT : 0;
}

/* Planned by the test: only the first half of the areas. False if that is none. */
static bool shorten(const PmIoas *ioas, uint64_t first, uint64_t *last)
{
    const PmArea *area = pm_range_map_find(ioas->areas, first);
    uint64_t n_areas = 0;

    for (const PmArea *at = area; at != NULL && at->key.first <= *last;
         at = pm_ioas_next_area(ioas, at))
        n_areas++;
    if (n_areas < 2)
        return false;
    for (uint64_t i = 0; i < n_areas / 2; i++)
        area = pm_ioas_next_area(ioas, area);
    *last = area->key.first - 1;
    return true;
}

int pm_ioas_unmap_requested(PmIoas *ioas, uint64_t first, uint64_t last, uint64_t *n_bytes)
{
    *n_bytes = 0;
    if (ioas->iommufd->fake->plan.shorten && !shorten(ioas, first, &last))
        return 0;
    return pm_ioas_unmap_range(ioas, first, last, n_bytes);
}

static int unmap(PmIoas *ioas, const struct iommu_ioas_unmap *unmap, uint64_t *n_bytes)
{
    bool all = unmap->iova == 0 && unmap->length == UINT64_MAX;
    uint64_t first = unmap->iova;
    uint64_t last = all ? UINT64_MAX : first + (unmap->length - 1);
    int result;

    if (!all && (first == UINT64_MAX || unmap->length == UINT64_MAX))
        return -EOVERFLOW;
    if (unmap->length == 0)
        return -EINVAL;
    if (last < first)
        return -EOVERFLOW;
    result = pm_ioas_unmap_requested(ioas, first, last, n_bytes);
    all |= ioas->iommufd->fake->plan.shorten;
    return result == 0 && *n_bytes == 0 && !all ? -ENOENT : result;
}

int pm_ioas_unmap(PmIommufdRequest *request)
{
    PmIoas *ioas = pm_iommufd_find(request->iommufd, request->unmap.ioas_id, PM_OBJECT_IOAS);
    uint64_t n_bytes;
    int result;

    if (ioas == NULL)
        return -ENOENT;
    result = unmap(ioas, &request->unmap, &n_bytes);
    if (result < 0)
        return result;
    request->unmap.length = n_bytes;
    return pm_iommufd_respond(request, sizeof(request->unmap));
}

int pm_ioas_split(PmIoas *ioas, uint64_t iova)
{
    PmArea *area = pm_range_map_find(ioas->areas, iova);
    PmArea behind;

    /* The kernel takes an area of which it is the first address for one that needs no cut. */
    if (area == NULL || area->key.first >= iova || area->key.last == iova)
        return 0;
    behind = *area;
    behind.key.first = iova + 1;
    behind.start = area->start + (behind.key.first - area->key.first);
    if ((behind.key.first | behind.start) % ioas->alignment != 0)
        return -EINVAL;
    if (ioas->hwpts->len > 0 && !ioas->small_pages)
        return -EINVAL;
    area->key.last = iova;
    if (!pm_range_map_insert(ioas->areas, &behind)) {
        area->key.last = behind.key.last;
        return -ENOMEM;
    }
    (void)pm_iopt_pages_ref(behind.pages);
    return 0;
}
