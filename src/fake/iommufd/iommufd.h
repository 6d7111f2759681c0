/* SPDX-License-Identifier: MIT */
/* An iommufd: objects with numbers, and requests on them. Linux: drivers/iommu/iommufd/main.c. */
#ifndef PLUGMAP_SRC_FAKE_IOMMUFD_IOMMUFD_H
#define PLUGMAP_SRC_FAKE_IOMMUFD_IOMMUFD_H

#include "fake/memory/pin.h"
#include "kernel-uapi/iommufd.h"

struct PmIoas;

typedef enum {
    PM_OBJECT_IOAS,
    PM_OBJECT_HWPT,
    PM_OBJECT_DEVICE,
    PM_OBJECT_FAULT_QUEUE,
} PmObjectType;

/* The header of every object. */
typedef struct PmObject {
    uint32_t id;
    PmObjectType type;
    unsigned n_users; /* prevent its destruction */
    void (*free)(struct PmObject *object);
} PmObject;

/* An iommufd; bound devices keep it alive when its file is closed. */
typedef struct PmFakeIommufd {
    PmFakeMachine *machine;
    PmFakeMemory *memory;
    unsigned n_references;
    GPtrArray *objects; /* of PmObject, at their number minus 1; NULL: free */
    bool charges_process;
    struct PmIoas *compat; /* the IOAS of the type1 interface; NULL: none */
} PmFakeIommufd;

/* A request: a copy of its struct, and the caller's address. */
typedef struct {
    PmFakeIommufd *iommufd;
    void *argument;
    uint32_t argument_size;
    union {
        struct iommu_destroy destroy;
        struct iommu_ioas_alloc ioas_alloc;
        struct iommu_ioas_iova_ranges iova_ranges;
        struct iommu_ioas_allow_iovas allow_iovas;
        struct iommu_ioas_map map;
        struct iommu_ioas_map_file map_file;
        struct iommu_ioas_copy copy;
        struct iommu_ioas_unmap unmap;
        struct iommu_option option;
        struct iommu_vfio_ioas vfio_ioas;
        struct iommu_hwpt_alloc hwpt_alloc;
        struct iommu_hw_info hw_info;
        struct iommu_hwpt_set_dirty_tracking set_dirty;
        struct iommu_hwpt_get_dirty_bitmap get_dirty;
        struct iommu_hwpt_invalidate invalidate;
        struct iommu_fault_alloc fault_alloc;
        struct iommu_ioas_change_process change_process;
    };
} PmFakeIommufdRequest;

PmFakeIommufd *pm_fake_iommufd_new(PmFakeMemory *memory);
PmFakeIommufd *pm_fake_iommufd_ref(PmFakeIommufd *iommufd);
void pm_fake_iommufd_unref(PmFakeIommufd *iommufd);

/* Copies the struct back, up to the caller's size. Returns 0 or -EFAULT. */
int pm_fake_iommufd_respond(const PmFakeIommufdRequest *request, size_t size);

/* IOMMU_DESTROY. */
int pm_fake_iommufd_destroy(PmFakeIommufdRequest *request);

/* Assigns the lowest free number. @free: called once the object has no users; NULL if it always
 * has one. */
void pm_fake_iommufd_add(PmFakeIommufd *iommufd, PmObject *object, PmObjectType type,
                         void (*free)(PmObject *object));
/* Frees the number; the caller keeps the object. */
void pm_fake_iommufd_remove(PmFakeIommufd *iommufd, const PmObject *object);
/* NULL if there is none of this type. */
void *pm_fake_iommufd_find(const PmFakeIommufd *iommufd, uint32_t id, PmObjectType type);
PmObject *pm_fake_iommufd_find_any(const PmFakeIommufd *iommufd, uint32_t id);

/* Who is charged for new mappings. */
PmCharge pm_fake_iommufd_charge(const PmFakeIommufd *iommufd);

#endif
