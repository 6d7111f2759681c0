/* SPDX-License-Identifier: MIT */
/* The options of plugmap plan. */
#ifndef PLUGMAP_TOOLS_PLAN_OPTIONS_H
#define PLUGMAP_TOOLS_PLAN_OPTIONS_H

#include "plan/limits.h"
#include "tools/trace_options.h"

/* As given; NULL if not. */
typedef struct {
    char *size;
    char *boot_memory;
    char *devices;
    gboolean guest_iommu;
    char *guest_mappings;
    char *backend;
    char **bdfs;
    char *memory;
    char *iova_bits;
    char *entry_limit;
    char *memlock;
    gboolean no_measure;
    gboolean json;
    PmTraceOptions trace; /* has --block-size */
    char **rest;          /* the trace */
} PmPlanOptions;

/* Parsed. @bdfs: complete PCI addresses; ends with NULL; NULL: none. @block_size: 0: not given. */
typedef struct {
    PmPlanMachine machine;
    PmPlanGiven given;
    uint64_t block_size;
    GStrv bdfs;
} PmPlanInput;

int pm_plan_main(int argc, char **argv);

/* Errors: PM_ERROR_INVALID_ARGUMENT, PM_ERROR_BAD_INPUT. */
bool pm_plan_options_read(const PmPlanOptions *options, PmPlanInput *input, GError **error);

void pm_plan_options_clear(PmPlanOptions *options);
void pm_plan_input_clear(PmPlanInput *input);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmPlanOptions, pm_plan_options_clear)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PmPlanInput, pm_plan_input_clear)

#endif
