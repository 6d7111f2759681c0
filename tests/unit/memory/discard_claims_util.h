/* SPDX-License-Identifier: MIT */
/* A RAM, and discard claims on it. Include after cmocka. */
#ifndef PLUGMAP_TESTS_UNIT_MEMORY_DISCARD_CLAIMS_UTIL_H
#define PLUGMAP_TESTS_UNIT_MEMORY_DISCARD_CLAIMS_UTIL_H

#include <string.h>

#include <plugmap/discard_policy.h>

#define PAGE UINT64_C(4096)
#define SIZE (64 * PAGE)

static PmRam *ram;

static inline int make(void **state)
{
    (void)state;
    ram = pm_ram_new(PM_RAM_MEMFD, SIZE, 0, NULL);
    memset(pm_ram_get_host(ram), 'x', SIZE);
    return 0;
}

static inline int drop(void **state)
{
    (void)state;
    g_clear_pointer(&ram, pm_ram_unref);
    return 0;
}

static inline uint64_t claim(PmDiscardClaimKind kind, const char *owner, uint64_t offset,
                             uint64_t size)
{
    return pm_ram_claim_discards(ram, kind, owner, offset, size, NULL);
}

static inline uint64_t claim_all(PmDiscardClaimKind kind, const char *owner)
{
    return claim(kind, owner, 0, SIZE);
}

static inline void release(uint64_t id)
{
    assert_true(pm_ram_release_discards(ram, id, NULL));
}

static inline void assert_error(GError **error, PmError code, const char *words)
{
    assert_non_null(*error);
    if (!g_error_matches(*error, PM_ERROR, (gint)code) || strstr((*error)->message, words) == NULL)
        fail_msg("code %d, \"%s\"; expected code %d, \"%s\"", (*error)->code, (*error)->message,
                 (int)code, words);
    g_clear_error(error);
}

#endif
