/* SPDX-License-Identifier: MIT */
/* What happens to the guest, one after the other: "1G,512M@0.5,reset,0". */
#ifndef PLUGMAP_SRC_GENERATE_STEP_H
#define PLUGMAP_SRC_GENERATE_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include <plugmap/error.h>

typedef enum {
    PM_STEP_RESIZE,
    PM_STEP_RESET, /* the machine is reset, and the guest boots */
    PM_STEP_KEXEC, /* the guest boots without a reset of the machine */
} PmStepType;

#define PM_STEP_WHEN_SETTLED (-1)
#define PM_MAX_SECONDS       86400

/* @after_ns: since the previous step; or PM_STEP_WHEN_SETTLED. */
typedef struct {
    PmStepType type;
    uint64_t size;
    int64_t after_ns;
} PmStep;

/* Parses a list. Returns: of PmStep; NULL on failure. Errors: PM_ERROR_INVALID_ARGUMENT. */
GArray *pm_steps_parse(const char *text, GError **error);

/* Parses seconds, such as "0.5", at most PM_MAX_SECONDS. */
bool pm_seconds_parse(const char *text, int64_t *ns);

/* "resize", "reset" or "kexec". */
const char *pm_step_type_name(PmStepType type);

#endif
