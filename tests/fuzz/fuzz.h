/* SPDX-License-Identifier: MIT */
/* Shared by the fuzz targets (docs/testing.md): checks, and numbers from the input. */
#ifndef PLUGMAP_TESTS_FUZZ_FUZZ_H
#define PLUGMAP_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <plugmap/error.h>

/* Called by libFuzzer, or for each file of the corpus by corpus_main.c. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A failed check is a crash, whose input the fuzzer saves. */
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* @done, or an error of PM_ERROR with a message. */
#define FUZZ_CHECK_RESULT(done, error)                                                             \
    FUZZ_CHECK((done)                                                                              \
                   ? (error) == NULL                                                               \
                   : (error) != NULL && (error)->domain == PM_ERROR && *(error)->message != '\0')

/* The rest of an input. */
typedef struct {
    const uint8_t *data;
    size_t size;
} FuzzInput;

/* Copies up to @size bytes; zeroes after the end of the input. Returns the number. */
static inline size_t fuzz_take(FuzzInput *input, void *bytes, size_t size)
{
    size_t n_bytes = input->size < size ? input->size : size;

    if (size == 0)
        return 0;
    memset(bytes, 0, size);
    if (n_bytes == 0)
        return 0;
    memcpy(bytes, input->data, n_bytes);
    input->data += n_bytes;
    input->size -= n_bytes;
    return n_bytes;
}

static inline uint8_t fuzz_u8(FuzzInput *input)
{
    uint8_t value;

    fuzz_take(input, &value, sizeof(value));
    return value;
}

/* Little endian, so that an input means the same everywhere. */
static inline uint64_t fuzz_number(FuzzInput *input, unsigned n_bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < n_bytes; i++)
        value |= (uint64_t)fuzz_u8(input) << (8 * i);
    return value;
}

#endif
