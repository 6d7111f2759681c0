/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/iopt_pages.h"

#include <errno.h>
#include <fcntl.h>

#include "fake/memory/mapped_file.h"

/* Pins, shared by the runs that were pinned as one. */
typedef struct {
    PmPins pins;
    unsigned n_runs;
} Hold;

/* Pinned bytes [first, last] of the pages, with the same number of users. */
typedef struct Run {
    struct Run *next;
    uint64_t first;
    uint64_t last;
    uint64_t address; /* of the first byte, for devices */
    Hold *hold;       /* NULL: nothing is pinned */
    unsigned n_users;
} Run;

struct PmIoptPages {
    PmFakeMemory *memory;
    unsigned n_references;
    bool writable;
    PmCharge charge;
    uint64_t host; /* of the first page */
    PmMappedFile *file;
    uint64_t position; /* of the first page, in the file */
    Run *runs;         /* in ascending order */
};

/* --- lifetime --- */

static int new_pages(PmFakeMemory *memory, uint64_t origin, uint64_t length, bool writable,
                     PmCharge charge, PmIoptPages **pages, uint64_t *start)
{
    if (length == 0 || length > UINT64_MAX - PM_FAKE_PAGE)
        return -EINVAL;
    if (origin + length < origin)
        return -EOVERFLOW;
    *pages = g_new0(PmIoptPages, 1);
    (*pages)->memory = memory;
    (*pages)->n_references = 1;
    (*pages)->writable = writable;
    (*pages)->charge = charge;
    *start = origin % PM_FAKE_PAGE;
    return 0;
}

int pm_iopt_pages_new(PmFakeMemory *memory, uint64_t address, uint64_t length, bool writable,
                      PmCharge charge, PmIoptPages **pages, uint64_t *start)
{
    int result = new_pages(memory, address, length, writable, charge, pages, start);

    if (result == 0)
        (*pages)->host = address - *start;
    return result;
}

int pm_iopt_pages_new_file(PmFakeMemory *memory, int fd, uint64_t position, uint64_t length,
                           bool writable, PmCharge charge, PmIoptPages **pages, uint64_t *start)
{
    int result;

    if (fcntl(fd, F_GETFD) < 0)
        return -EBADF;
    result = new_pages(memory, position, length, writable, charge, pages, start);
    if (result < 0)
        return result;
    (*pages)->position = position - *start;
    result = pm_mapped_file_get(memory->mapped_files, fd, position + length, &(*pages)->file);
    if (result < 0) {
        g_clear_pointer(pages, g_free);
        return result;
    }
    (*pages)->host = pm_mapped_file_address((*pages)->file) + (*pages)->position;
    return 0;
}

PmIoptPages *pm_iopt_pages_ref(PmIoptPages *pages)
{
    pages->n_references++;
    return pages;
}

/* All users must have unpinned. */
void pm_iopt_pages_unref(PmIoptPages *pages)
{
    if (--pages->n_references > 0)
        return;
    if (pages->file != NULL)
        pm_mapped_file_put(pages->memory->mapped_files, pages->file);
    g_free(pages);
}

bool pm_iopt_pages_writable(const PmIoptPages *pages)
{
    return pages->writable;
}

bool pm_iopt_pages_is_file(const PmIoptPages *pages)
{
    return pages->file != NULL;
}

uint64_t pm_iopt_pages_origin(const PmIoptPages *pages)
{
    return pages->file != NULL ? pages->position : pages->host;
}

uint64_t pm_iopt_pages_host(const PmIoptPages *pages, uint64_t start)
{
    return pages->host + start;
}

/* --- runs --- */

/* The link to the first run that ends at or after @at; its target is NULL if there is none. */
static Run **find_link(PmIoptPages *pages, uint64_t at)
{
    Run **link = &pages->runs;

    while (*link != NULL && (*link)->last < at)
        link = &(*link)->next;
    return link;
}

/* Splits the run that contains @at, so that one begins there. */
static void split(PmIoptPages *pages, uint64_t at)
{
    Run *run = *find_link(pages, at);
    Run *rest;

    if (run == NULL || run->first >= at)
        return;
    rest = g_new(Run, 1);
    *rest = *run;
    rest->first = at;
    rest->address = run->address + (at - run->first);
    if (rest->hold != NULL)
        rest->hold->n_runs++;
    run->last = at - 1;
    run->next = rest;
}

static void release(PmIoptPages *pages, Run *run)
{
    if (run->hold != NULL && --run->hold->n_runs == 0) {
        pm_unpin(pages->memory, &run->hold->pins);
        g_free(run->hold);
    }
    g_free(run);
}

/* Drops unused runs in the range. Returns the number of bytes. */
static uint64_t drop_unused(PmIoptPages *pages, uint64_t first, uint64_t last)
{
    Run **link = find_link(pages, first);
    uint64_t n_bytes = 0;

    while (*link != NULL && (*link)->first <= last) {
        Run *run = *link;

        if (run->n_users > 0) {
            link = &run->next;
            continue;
        }
        *link = run->next;
        n_bytes += run->last - run->first + 1;
        release(pages, run);
    }
    return n_bytes;
}

static PmIommuAccess pin_access(const PmIoptPages *pages)
{
    if (pages->file != NULL)
        return pm_mapped_file_is_writable(pages->file) ? PM_IOMMU_READ_WRITE : PM_IOMMU_READ;
    return pages->writable ? PM_IOMMU_READ_WRITE : PM_IOMMU_READ;
}

/* Pins [first, last], which is unpinned, into runs at *@link, and moves *@link past them. */
static int pin_gap(PmIoptPages *pages, uint64_t first, uint64_t last, Run ***link)
{
    for (uint64_t at = first; at <= last;) {
        Run new_run = {.next = **link, .first = at};
        PmPins pins;
        int64_t pinned = pm_pin_piece(pages->memory, pages->host + at, last - at + 1,
                                      pin_access(pages), &new_run.address, &pins);

        if (pinned < 0)
            return (int)pinned;
        at += (uint64_t)pinned;
        new_run.last = at - 1;
        if (pins.held_first != 0) {
            new_run.hold = g_new(Hold, 1);
            *new_run.hold = (Hold){pins, 1};
        }
        **link = g_memdup2(&new_run, sizeof(new_run));
        *link = &(**link)->next;
    }
    return 0;
}

/* Pins the unpinned parts of [first, last]; @n_bytes: how much that was. */
static int pin_gaps(PmIoptPages *pages, uint64_t first, uint64_t last, uint64_t *n_bytes)
{
    Run **link = find_link(pages, first);
    int result = 0;

    for (uint64_t at = first; at <= last && result == 0;) {
        const Run *run = *link;

        if (run != NULL && run->first <= at) {
            at = run->last + 1;
            link = &(*link)->next;
        } else {
            uint64_t end = run != NULL ? MIN(run->first, last + 1) : last + 1;

            result = pin_gap(pages, at, end - 1, &link);
            *n_bytes += end - at;
            at = end;
        }
    }
    return result;
}

int pm_iopt_pages_pin(PmIoptPages *pages, uint64_t start, uint64_t length)
{
    PmFakeMachine *machine = pages->memory->machine;
    uint64_t last = start + (length - 1);
    uint64_t n_bytes = 0;
    int result = 0;

    if (pages->file != NULL)
        result = pm_mapped_file_check(pages->file, pages->position + last + 1);
    split(pages, start);
    split(pages, last + 1);
    if (result == 0)
        result = pin_gaps(pages, start, last, &n_bytes);
    if (result == 0)
        result = pm_charges_pin(&machine->charges, &machine->config, pages->charge, n_bytes);
    if (result < 0) {
        (void)drop_unused(pages, start, last);
        return result;
    }
    for (Run *run = *find_link(pages, start); run != NULL && run->first <= last; run = run->next)
        run->n_users++;
    return 0;
}

void pm_iopt_pages_unpin(PmIoptPages *pages, uint64_t start, uint64_t length)
{
    uint64_t last = start + (length - 1);

    split(pages, start);
    split(pages, last + 1);
    for (Run *run = *find_link(pages, start); run != NULL && run->first <= last; run = run->next)
        run->n_users--;
    pm_charges_unpin(&pages->memory->machine->charges, pages->charge,
                     drop_unused(pages, start, last));
}

/* --- page tables --- */

static bool enter_run(PmPageTable *table, uint64_t iova, uint64_t address, uint64_t length,
                      PmIommuAccess access, bool small)
{
    uint64_t step = small ? PM_FAKE_PAGE : length;

    for (uint64_t done = 0; done < length; done += step)
        if (!pm_page_table_map(table, iova + done, address + done, step, access))
            return false;
    return true;
}

bool pm_iopt_pages_enter(const PmIoptPages *pages, uint64_t start, uint64_t length,
                         PmPageTable *table, uint64_t iova, PmIommuAccess access, bool small)
{
    uint64_t last = start + (length - 1);

    for (const Run *run = pages->runs; run != NULL && run->first <= last; run = run->next) {
        uint64_t first = MAX(run->first, start);

        if (run->last < start)
            continue;
        if (!enter_run(table, iova + (first - start), run->address + (first - run->first),
                       MIN(run->last, last) - first + 1, access, small)) {
            pm_page_table_unmap(table, iova, length);
            return false;
        }
    }
    return true;
}
