/* SPDX-License-Identifier: MIT */
/* Who holds discard claims on a RAM, for reports. */
#ifndef PLUGMAP_SRC_REPLAY_DISCARD_HOLDERS_H
#define PLUGMAP_SRC_REPLAY_DISCARD_HOLDERS_H

#include <plugmap/plugmap.h>

/* The claims of one kind of one owner: a guest IOMMU's domain has one for each mapping. */
typedef struct {
    char *owner;
    PmDiscardClaimKind kind;
    uint64_t n_claims;
    uint64_t n_bytes; /* sum of their sizes */
} PmReplayHolder;

/* In the order of their first claims: a new list of PmReplayHolder. */
GPtrArray *pm_replay_holders_of(const PmRam *ram);

/* "virtio-mem at 0x0 requires coordinated, the region at 0x0 disables uncoordinated"; "nobody
 * disables or requires any" for an empty list. At most @max are named. A new string. */
char *pm_replay_holders_describe(const GPtrArray *holders, guint max);

#endif
