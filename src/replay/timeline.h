/* SPDX-License-Identifier: MIT */
/*
 * What happened during a replay, for pictures: a grid of columns (events) and rows (addresses) of
 * bounded size, whatever the length of the trace. A column has the state after its last event; what
 * may end earlier (quarantine, minimum and maximum of sizes) and counts are of all its events.
 */
#ifndef PLUGMAP_SRC_REPLAY_TIMELINE_H
#define PLUGMAP_SRC_REPLAY_TIMELINE_H

#include "trace/trace.h"

#define PM_TIMELINE_MAX_COLUMNS 480
#define PM_TIMELINE_MAX_ROWS    64 /* of a region */
#define PM_TIMELINE_ALL_ROWS    96 /* of all regions */
#define PM_TIMELINE_MAX_REGIONS 16 /* others have no picture */

/* In bytes. @mapped, @closed: parts of @plugged. @closed: discarded in another source than the
 * device's: private memory. */
typedef struct {
    uint64_t plugged;
    uint64_t mapped;
    uint64_t closed;
} PmTimelineState;

typedef struct {
    PmTimelineState state;
    uint64_t quarantined; /* at most, in bytes */
    uint64_t n_refused;   /* requests */
    uint64_t n_dma;       /* pages of the DMA check */
} PmTimelineCell;

typedef struct {
    uint64_t address;
    uint64_t size;
    uint64_t block_size;
    unsigned n_rows;
    PmTimelineCell *cells; /* row after row */
} PmTimelineRegion;

typedef enum {
    PM_LEVEL_PLUGGED,
    PM_LEVEL_REQUESTED,
    PM_LEVEL_PINNED,
    PM_LEVEL_MAPPINGS,
    PM_N_LEVELS,
} PmTimelineLevel;

typedef struct {
    uint64_t min;
    uint64_t max;
    uint64_t last;
} PmTimelineRange;

typedef struct {
    uint64_t first; /* event, from 0 on */
    uint64_t n_events;
    uint64_t n_refused;
    PmTimelineRange levels[PM_N_LEVELS]; /* of all regions */
} PmTimelineColumn;

/* Refused requests of one type with the same response and cause. */
typedef struct {
    PmEventType type;
    const char *response; /* static, as @cause */
    const char *cause;
    uint64_t count;
    unsigned first_line; /* of the trace */
    unsigned last_line;
    char *message; /* the first one's */
} PmTimelineRefusal;

typedef struct {
    uint64_t n_events; /* of the trace */
    uint64_t n_played;
    unsigned n_columns; /* at least one */
    PmTimelineColumn *columns;
    unsigned n_regions; /* with pictures */
    PmTimelineRegion *regions;
    bool is_stale;       /* for the owner: states of cells need to be set anew */
    GPtrArray *refusals; /* of PmTimelineRefusal, in the order of their first */
} PmTimeline;

/* Errors: PM_ERROR_MEMORY. */
PmTimeline *pm_timeline_new(const PmTrace *trace, GError **error);
void pm_timeline_free(PmTimeline *timeline);

/* --- while an event is played; these belong to its column --- */

/* A refused request. @response, @cause: static. @message: copied; may be NULL. Drawn at the
 * event's address, if it has one. */
void pm_timeline_refuse(PmTimeline *timeline, const PmTraceEvent *event, const char *response,
                        const char *cause, const char *message);

/* A page was tried by DMA. */
void pm_timeline_add_dma(PmTimeline *timeline, unsigned region, uint64_t offset);

/* Whether the event is the last of its column: the states of its cells are final then. */
bool pm_timeline_ends_column(const PmTimeline *timeline);

/* First byte of a row, as an offset; for @n_rows: the size of the region. */
uint64_t pm_timeline_row_offset(const PmTimelineRegion *region, unsigned row);

/* The row of an offset. */
unsigned pm_timeline_row_of(const PmTimelineRegion *region, uint64_t offset);

/* The cell of the current column, to set what is known of it. */
PmTimelineCell *pm_timeline_cell(PmTimeline *timeline, unsigned region, unsigned row);

/* Ends the event. @levels: the sizes after it. */
void pm_timeline_end_event(PmTimeline *timeline, const uint64_t levels[PM_N_LEVELS]);

/* --- for reports --- */

/* Columns that have events that were played. */
unsigned pm_timeline_n_used(const PmTimeline *timeline);

const PmTimelineCell *pm_timeline_cell_at(const PmTimeline *timeline, unsigned region, unsigned row,
                                          unsigned column);

/* The largest value in all columns. */
uint64_t pm_timeline_peak(const PmTimeline *timeline, PmTimelineLevel level);

/* What there is in a picture. @PM_SHOWS_PLUGGED: neither mapped nor closed. */
typedef enum {
    PM_SHOWS_MAPPED = 1 << 0,
    PM_SHOWS_PLUGGED = 1 << 1,
    PM_SHOWS_CLOSED = 1 << 2,
    PM_SHOWS_QUARANTINED = 1 << 3,
    PM_SHOWS_REFUSED = 1 << 4,
    PM_SHOWS_DMA = 1 << 5,
    PM_SHOWS_UNPLUGGED = 1 << 6, /* always */
} PmTimelineShows;

/* Of all cells of a region: PmTimelineShows. */
unsigned pm_timeline_shows(const PmTimeline *timeline, unsigned region);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmTimeline, pm_timeline_free)

#endif
