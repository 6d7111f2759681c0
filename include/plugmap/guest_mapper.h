/* SPDX-License-Identifier: MIT */
/*
 * PmGuestMapper: keeps address spaces of the host equal to what a guest IOMMU translates, where the
 * guest's memory is populated.
 *
 *     g_autoptr(PmGuestMapper) mapper = pm_guest_mapper_new(&config, &error);
 *
 *     if (!mapper || !pm_guest_mapper_add(mapper, &region, &error) ||
 *         !pm_guest_mapper_follow(mapper, guest_iommu, &error))
 *         return false;
 *
 * Each translated domain of the guest is a PmIommu of its own, which the VMM opens for the first
 * endpoint that is attached to it (PmGuestMapperConfig.open); it is closed with the last one. All
 * bypass domains share one, in which a PmMapper maps the regions by guest physical address. An
 * endpoint without domain, while bypass is off, is attached to none, and can do no DMA.
 *
 * A mapping of the guest is divided where it enters another region or, in a region with a
 * PmDiscardManager, another block. What it maps of a block is mapped by itself: a block that the
 * guest unplugs can be unmapped alone. Of plain RAM all is mapped as one.
 *
 * MAP of memory that is not populated fails (PM_ERROR_NOT_POPULATED, which the guest receives as
 * status FAULT). Unplugging memory that is mapped is up to PmGuestMapperConfig.unplug: with
 * PM_GUEST_UNPLUG_REVOKE exactly the unplugged blocks are unmapped, in all domains, before their
 * memory is discarded; the guest's table keeps its mappings, and what they cover is mapped again
 * when it is plugged again. The room for that stays reserved. With PM_GUEST_UNPLUG_REFUSE the
 * manager refuses the unplug, and the device answers BUSY.
 *
 * Whenever a public function of the device, the manager, the guest IOMMU or the mapper returns,
 * what is mapped is what the table maps and the managers have populated;
 * pm_guest_mapper_audit() proves it.
 *
 * Quarantine (discard_manager.h) ends when the guest unmaps the mapping that caused it, or detaches
 * the last endpoint of its domain; with pm_discard_source_discard_all(), for example on a machine
 * reset; or, if the mapping is gone, with pm_guest_mapper_remove().
 *
 * Memory: a mapping of the guest takes about 1 KiB of the host's for each part: one for each region
 * of plain RAM that it covers, at most three for others. PmGuestMapperConfig.max_mappings bounds
 * it. Time: MAP and UNMAP depend on the mapping, plugging and unplugging on the parts that map the
 * blocks (and on the logarithm of their number in all domains), not on the size of the table.
 *
 * fork(2): as with PmMapper.
 *
 * Threads: one at a time, together with the guest IOMMU and the managers of the regions.
 */
#ifndef PLUGMAP_GUEST_MAPPER_H
#define PLUGMAP_GUEST_MAPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <plugmap/guest_iommu.h>
#include <plugmap/iommu.h>
#include <plugmap/mapper.h>

G_BEGIN_DECLS

typedef struct PmGuestMapper PmGuestMapper;

/**
 * PmGuestUnplug: what happens when memory is unplugged that the guest's table still maps.
 * @PM_GUEST_UNPLUG_REVOKE: it is unmapped first; devices that still use it fault.
 * @PM_GUEST_UNPLUG_REFUSE: the unplug fails with PM_ERROR_BUSY, and the message names the domain
 * and the I/O address. This includes a machine reset (pm_virtio_mem_system_reset()): reset the
 * guest IOMMU before. Bypass domains, which have no mappings of the guest, always follow.
 */
typedef enum {
    PM_GUEST_UNPLUG_REVOKE = 0,
    PM_GUEST_UNPLUG_REFUSE = 1,
} PmGuestUnplug;

/**
 * PmGuestMapperConfig: how to make a mapper.
 * @struct_size: sizeof(PmGuestMapperConfig) (macros.h).
 * @open: opens a new address space with @device attached (pm_iommu_type1_new(),
 * pm_iommu_iommufd_new()). Returns a reference that the mapper takes: the caller must keep no
 * other, because the device can be attached elsewhere only after the last one is dropped. On
 * failure it returns NULL with an error of PM_ERROR. Must not call back, but can add the address
 * space to a PmDirtyLog.
 * @user_data: for @open; must stay valid as long as the mapper.
 * @unplug: what to do about mapped memory that is unplugged.
 * @max_mappings: mappings of the host per translated domain, of populated and unpopulated blocks; a
 * MAP over it fails with PM_ERROR_GUEST_LIMIT (status NOMEM). It keeps a guest from exhausting the
 * host's memory, which on iommufd nothing else bounds. 0: 65,535, type1's default.
 */
typedef struct {
    size_t struct_size;
    PmIommu *(*open)(void *user_data, const char *device, GError **error);
    void *user_data;
    PmGuestUnplug unplug;
    uint64_t max_mappings;
} PmGuestMapperConfig;

/**
 * PmGuestMapperAudit: totals of pm_guest_mapper_audit().
 * @struct_size: sizeof(PmGuestMapperAudit) (macros.h).
 * @n_domains: translated domains.
 * @n_guest_mappings: mappings of the guest's table.
 * @n_populated: blocks (and parts of blocks) that the table maps and that are populated; a block
 * counts once for each mapping. What is mapped of one region of plain RAM is one block.
 * @n_mapped: of all that the table maps, blocks that the address spaces have mapped.
 * @n_mismatches: blocks that are either populated or mapped but not both, unknown, or mapped to
 * other memory.
 * @n_others: mappings of the domains' address spaces that belong to claims of others.
 */
typedef struct {
    size_t struct_size;
    uint64_t n_domains;
    uint64_t n_guest_mappings;
    uint64_t n_populated;
    uint64_t n_mapped;
    uint64_t n_mismatches;
    uint64_t n_others;
} PmGuestMapperAudit;

/**
 * Creates a mapper without regions, which follows no guest IOMMU.
 * Returns: the mapper; free it with pm_guest_mapper_free(). NULL on failure. Errors:
 * PM_ERROR_INVALID_ARGUMENT (no @open; invalid @unplug), PM_ERROR_UNSUPPORTED (as macros.h says).
 */
PM_EXPORT PmGuestMapper *pm_guest_mapper_new(const PmGuestMapperConfig *config, GError **error);

/**
 * Stops following the guest IOMMU, whose table stays as it is, unmaps everything, closes the
 * address spaces and frees the mapper. NULL does nothing. Failures are logged; what may still be
 * mapped is in quarantine, as after pm_mapper_free().
 */
PM_EXPORT void pm_guest_mapper_free(PmGuestMapper *mapper);

/**
 * Adds guest memory. In bypass it is mapped at once (pm_mapper_add()); domains map what the guest's
 * table says. A manager must be created before: until the region of plain RAM is removed,
 * pm_discard_manager_new() fails and names it. What no domain maps of plain RAM can be discarded.
 * @region: as for pm_mapper_add(). @access limits that of the guest's mappings: what the region
 * does not allow is not mapped, without an error. With PM_MAPPER_OVERCOMMIT the guest's mappings
 * reserve no room: plugging a block again can fail for lack of it.
 *
 * Errors: those of pm_mapper_add(), and of pm_discard_manager_register(). On failure the region is
 * not added; what pm_mapper_add() could not undo in bypass is in quarantine until it is added.
 */
PM_EXPORT bool pm_guest_mapper_add(PmGuestMapper *mapper, const PmMapperRegion *region,
                                   GError **error);

/**
 * Removes the region that begins at guest address @address.
 * Errors: PM_ERROR_NOT_FOUND, PM_ERROR_BUSY (a domain maps it: the message names the domain and
 * the I/O address), PM_ERROR_QUARANTINED (of an earlier failure something may still be mapped, and
 * retrying the unmap failed), those of pm_mapper_remove(). On failure the region stays.
 */
PM_EXPORT bool pm_guest_mapper_remove(PmGuestMapper *mapper, uint64_t address, GError **error);

/**
 * Follows a guest IOMMU, as its follower (pm_guest_iommu_set_follower()), until the mapper is
 * freed: takes over what it has, where the memory is populated, and all changes. Takes a reference
 * to @guest_iommu. Add the regions first: mappings of a table that has some must lead to them.
 *
 * Errors: PM_ERROR_BUSY (it follows one already; @guest_iommu has another follower), those of the
 * operations below; nothing is attached or mapped then.
 *
 * Operations on the guest IOMMU fail with these errors: PM_ERROR_NOT_POPULATED (MAP: no region, or
 * not populated), PM_ERROR_GUEST_LIMIT (max_mappings), PM_ERROR_LIMIT (the budget of the address
 * space), PM_ERROR_LOCKED_MEMORY, PM_ERROR_UNALIGNED (the host's IOMMU has larger pages),
 * PM_ERROR_IOVA_RANGE, PM_ERROR_OVERLAP (a claim of others), PM_ERROR_QUARANTINED (MAP: the memory
 * is in quarantine), PM_ERROR_INVALID_ARGUMENT (MAP: the region allows none of the access), those
 * of pm_iommu_claim_map(), pm_iommu_claim_unmap(), pm_iommu_attach(), pm_iommu_detach() and @open.
 * On failure everything is as before. PM_ERROR_QUARANTINED and PM_ERROR_UNMAP_MISMATCH: undoing
 * failed as well; what may still be mapped is in quarantine.
 */
PM_EXPORT bool pm_guest_mapper_follow(PmGuestMapper *mapper, PmGuestIommu *guest_iommu,
                                      GError **error);

/**
 * The address space that an endpoint is attached to: for the registers of its device
 * (pm_iommu_open_device()), which are closed when the guest attaches it elsewhere. Owned by the
 * mapper, and valid until the endpoint is attached elsewhere or detached: take no reference.
 * Returns: NULL if it is attached to none.
 */
PM_EXPORT PmIommu *pm_guest_mapper_get_iommu(const PmGuestMapper *mapper, uint32_t endpoint);

/**
 * Compares, for each mapping of the guest's table and block by block, what is populated with what
 * is mapped, and to which memory; then audits bypass (pm_mapper_audit()) and each address space
 * (pm_iommu_audit()). Fails while anything of the regions is in quarantine.
 * @audit: filled in even on failure; may be NULL.
 * Errors: PM_ERROR_AUDIT (the first difference), PM_ERROR_QUARANTINED, PM_ERROR_PERMISSION (in a
 * forked child), those of pm_iommu_audit().
 */
PM_EXPORT bool pm_guest_mapper_audit(PmGuestMapper *mapper, PmGuestMapperAudit *audit,
                                     GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PmGuestMapper, pm_guest_mapper_free)

G_END_DECLS

#endif
