/* SPDX-License-Identifier: MIT */
/* Random fields of operations. */
#ifndef PLUGMAP_TESTS_CONFORMANCE_DIFFERENTIAL_CHOOSE_H
#define PLUGMAP_TESTS_CONFORMANCE_DIFFERENTIAL_CHOOSE_H

#include <stdbool.h>
#include <stddef.h>

#include "op.h"

typedef struct {
    OpKind kind;
    unsigned weight;
} Weight;

OpKind choose_kind(const Weight *weights, size_t n, GRand *random);

/* A number below @end; true once in @n times. */
unsigned choose_below(GRand *random, unsigned end);
bool choose_once_in(GRand *random, unsigned n);

/* Mostly in a small window, so that ranges overlap; else at edges of the address space. */
uint64_t choose_iova(GRand *random);
uint64_t choose_size(GRand *random, uint64_t iova);
uint64_t choose_host(GRand *random);
/* Place and argsz of a struct of @size bytes. */
void choose_argument(Op *op, uint32_t size, GRand *random);
void choose_memory(Op *op, GRand *random);

#endif
