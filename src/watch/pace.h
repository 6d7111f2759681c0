/* SPDX-License-Identifier: MIT */
/* When to play the events of a recording: at its own speed, faster or slower, or one by one. Times
 * are nanoseconds; those of the recording are its own, those of the caller are monotonic. */
#ifndef PLUGMAP_SRC_WATCH_PACE_H
#define PLUGMAP_SRC_WATCH_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Between two events without recorded times. */
#define PM_PACE_UNTIMED_NS INT64_C(10000000)

/* Speeds; faster is PM_PACE_NO_WAIT. */
#define PM_PACE_NO_WAIT 0.0
#define PM_PACE_SLOWEST (1.0 / 1024)
#define PM_PACE_FASTEST 1048576.0

typedef struct {
    double speed; /* 1: as recorded; PM_PACE_NO_WAIT: at once */
    bool paused;
    bool step;           /* plays one event */
    int64_t position_ns; /* in the recording ... */
    int64_t since_ns;    /* ... at this time of the caller */
} PmPace;

void pm_pace_begin(PmPace *pace, double speed, int64_t now_ns);

/* How long to wait with the next event, which is at @event_ns; 0: play it; -1: until a key. */
int64_t pm_pace_wait(const PmPace *pace, int64_t event_ns, int64_t now_ns);

/* That event was played. After one that was early, the recording continues from there. */
void pm_pace_played(PmPace *pace, int64_t event_ns, int64_t now_ns);

/* Pauses, or continues. */
void pm_pace_toggle(PmPace *pace, int64_t now_ns);

/* Plays the next event now, and pauses. */
void pm_pace_step(PmPace *pace, int64_t now_ns);

void pm_pace_set_speed(PmPace *pace, double speed, int64_t now_ns);

/* Where the recording is. */
int64_t pm_pace_position(const PmPace *pace, int64_t now_ns);

#endif
