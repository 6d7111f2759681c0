/* SPDX-License-Identifier: MIT */
/*
 * Static tracepoints (USDT) of the provider 'plugmap', for bpftrace, perf and SystemTap: each is a
 * no-op instruction and a note in the library. docs/tracing.md lists them with their arguments;
 * tests/build/probes compares. Arguments are evaluated whether or not anyone traces: pass what is
 * at hand.
 */
#ifndef PLUGMAP_SRC_BASE_PROBES_H
#define PLUGMAP_SRC_BASE_PROBES_H

#ifndef PM_WITHOUT_PROBES
#define SDT_USE_VARIADIC
#include <sys/sdt.h>
#define PM_PROBE(name, ...) STAP_PROBEV(plugmap, name, __VA_ARGS__)
#else
/* Arguments count as used. */
static inline void pm_no_probe(const void *object, ...)
{
    (void)object;
}
#define PM_PROBE(name, ...) pm_no_probe(__VA_ARGS__)
#endif

#endif
