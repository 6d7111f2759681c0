/* SPDX-License-Identifier: MIT */
#include "watch/pace.h"

#include <glib.h>

/* A wait of centuries ends with a key. */
#define MAX_NS (INT64_MAX / 4)

int64_t pm_pace_position(const PmPace *pace, int64_t now_ns)
{
    double passed = (double)(now_ns - pace->since_ns) * pace->speed;

    if (pace->paused || pace->speed == PM_PACE_NO_WAIT)
        return pace->position_ns;
    return (int64_t)MIN((double)pace->position_ns + passed, (double)MAX_NS);
}

/* From now on, the position changes with another speed, or from another place. */
static void move_to(PmPace *pace, int64_t position_ns, int64_t now_ns)
{
    pace->position_ns = position_ns;
    pace->since_ns = now_ns;
}

void pm_pace_begin(PmPace *pace, double speed, int64_t now_ns)
{
    *pace = (PmPace){.speed = speed, .since_ns = now_ns};
}

int64_t pm_pace_wait(const PmPace *pace, int64_t event_ns, int64_t now_ns)
{
    int64_t left_ns;

    if (pace->step)
        return 0;
    if (pace->paused)
        return -1;
    left_ns = MIN(event_ns, MAX_NS) - pm_pace_position(pace, now_ns);
    if (pace->speed == PM_PACE_NO_WAIT || left_ns <= 0)
        return 0;
    /* Rounded up, so that the event is due then. */
    return (int64_t)MIN((double)left_ns / pace->speed, (double)MAX_NS) + 1;
}

void pm_pace_played(PmPace *pace, int64_t event_ns, int64_t now_ns)
{
    pace->step = false;
    if (event_ns > pm_pace_position(pace, now_ns))
        move_to(pace, MIN(event_ns, MAX_NS), now_ns);
}

void pm_pace_toggle(PmPace *pace, int64_t now_ns)
{
    move_to(pace, pm_pace_position(pace, now_ns), now_ns);
    pace->paused = !pace->paused;
}

void pm_pace_step(PmPace *pace, int64_t now_ns)
{
    if (!pace->paused)
        pm_pace_toggle(pace, now_ns);
    pace->step = true;
}

void pm_pace_set_speed(PmPace *pace, double speed, int64_t now_ns)
{
    move_to(pace, pm_pace_position(pace, now_ns), now_ns);
    pace->speed = speed;
}
