/* SPDX-License-Identifier: MIT */
#include "base/sized.h"

#include <string.h>

#include <plugmap/version.h>

#include "base/error_text.h"

/* An upper bound for all structs, to catch uninitialised sizes. */
#define MAX_SIZE 4096

static size_t size_of(const void *caller)
{
    size_t size;

    memcpy(&size, caller, sizeof(size));
    return size;
}

bool pm_sized_check(const char *name, const void *caller, GError **error)
{
    size_t size;

    if (caller == NULL)
        return pm_fail(error, PM_ERROR_INVALID_ARGUMENT, "%s is NULL", name);
    size = size_of(caller);
    if (size > sizeof(size_t) && size <= MAX_SIZE && size % sizeof(size_t) == 0)
        return true;
    return pm_fail(error, PM_ERROR_INVALID_ARGUMENT,
                   "invalid %s.struct_size %zu: must be sizeof(%s), with unused members zeroed",
                   name, size, name);
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

bool pm_sized_read(const char *name, void *known, size_t known_size, const void *caller,
                   GError **error)
{
    const uint8_t *bytes = caller;
    size_t size;

    if (!pm_sized_check(name, caller, error))
        return false;
    size = size_of(caller);
    if (size > known_size && !is_zero(bytes + known_size, size - known_size))
        return pm_fail(error, PM_ERROR_UNSUPPORTED,
                       "%s has members set that plugmap " PM_VERSION_STRING
                       " does not support: it knows %zu of the %zu bytes. Install the version that "
                       "the program was built for",
                       name, known_size, size);
    memset(known, 0, known_size);
    memcpy(known, caller, MIN(size, known_size));
    memcpy(known, &known_size, sizeof(known_size));
    return true;
}

void pm_sized_write(void *caller, const void *known, size_t known_size)
{
    size_t n_bytes = MIN(size_of(caller), known_size);

    memcpy((uint8_t *)caller + sizeof(size_t), (const uint8_t *)known + sizeof(size_t),
           n_bytes - sizeof(size_t));
}
