/* SPDX-License-Identifier: MIT */
#include "fake/iommufd/iommufd.h"

#include <errno.h>

#include "fake/memory/user_memory.h"

/* --- objects --- */

void pm_fake_iommufd_add(PmFakeIommufd *iommufd, PmObject *object, PmObjectType type,
                         void (*free)(PmObject *object))
{
    guint place = 0;

    while (place < iommufd->objects->len && g_ptr_array_index(iommufd->objects, place) != NULL)
        place++;
    if (place == iommufd->objects->len)
        g_ptr_array_add(iommufd->objects, NULL);
    g_ptr_array_index(iommufd->objects, place) = object;
    object->id = place + 1;
    object->type = type;
    object->free = free;
}

void pm_fake_iommufd_remove(PmFakeIommufd *iommufd, const PmObject *object)
{
    g_ptr_array_index(iommufd->objects, object->id - 1) = NULL;
    while (iommufd->objects->len > 0 &&
           g_ptr_array_index(iommufd->objects, iommufd->objects->len - 1) == NULL)
        g_ptr_array_set_size(iommufd->objects, (gint)iommufd->objects->len - 1);
}

PmObject *pm_fake_iommufd_find_any(const PmFakeIommufd *iommufd, uint32_t id)
{
    return id >= 1 && id <= iommufd->objects->len ? g_ptr_array_index(iommufd->objects, id - 1)
                                                  : NULL;
}

void *pm_fake_iommufd_find(const PmFakeIommufd *iommufd, uint32_t id, PmObjectType type)
{
    PmObject *object = pm_fake_iommufd_find_any(iommufd, id);

    return object != NULL && object->type == type ? object : NULL;
}

int pm_fake_iommufd_destroy(PmFakeIommufdRequest *request)
{
    PmObject *object = pm_fake_iommufd_find_any(request->iommufd, request->destroy.id);

    if (object == NULL)
        return -ENOENT;
    if (object->n_users > 0)
        return -EBUSY;
    object->free(object);
    return 0;
}

/* --- lifetime --- */

PmFakeIommufd *pm_fake_iommufd_new(PmFakeMemory *memory)
{
    PmFakeIommufd *iommufd = g_new0(PmFakeIommufd, 1);

    iommufd->machine = memory->machine;
    iommufd->memory = memory;
    iommufd->n_references = 1;
    iommufd->objects = g_ptr_array_new();
    return iommufd;
}

PmFakeIommufd *pm_fake_iommufd_ref(PmFakeIommufd *iommufd)
{
    iommufd->n_references++;
    return iommufd;
}

/* Frees objects without users. False if there are none. */
static bool free_unused(PmFakeIommufd *iommufd)
{
    bool freed = false;

    for (uint32_t id = iommufd->objects->len; id >= 1; id--) {
        PmObject *object = pm_fake_iommufd_find_any(iommufd, id);

        if (object != NULL && object->n_users == 0) {
            object->free(object);
            freed = true;
        }
    }
    return freed;
}

/* Frees objects in order: users before what they use. Objects with an open file keep a
 * reference. */
void pm_fake_iommufd_unref(PmFakeIommufd *iommufd)
{
    if (--iommufd->n_references > 0)
        return;
    while (free_unused(iommufd))
        ;
    g_ptr_array_unref(iommufd->objects);
    g_free(iommufd);
}

PmCharge pm_fake_iommufd_charge(const PmFakeIommufd *iommufd)
{
    if (iommufd->machine->config.cap_ipc_lock)
        return PM_CHARGE_NOBODY;
    return iommufd->charges_process ? PM_CHARGE_PROCESS : PM_CHARGE_USER;
}

/* --- requests --- */

int pm_fake_iommufd_respond(const PmFakeIommufdRequest *request, size_t size)
{
    return pm_user_write(request->argument, &request->destroy,
                         MIN(size, (size_t)request->argument_size));
}
