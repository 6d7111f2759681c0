/* SPDX-License-Identifier: MIT */
#ifndef PLUGMAP_MEMORY_DISCARD_MANAGER_PRIVATE_H
#define PLUGMAP_MEMORY_DISCARD_MANAGER_PRIVATE_H

#include <plugmap/discard_manager.h>

/* Forgets a listener without telling it: for one that cannot drop what it has, and has to go all
 * the same. */
void pm_discard_manager_forget(PmDiscardManager *manager, PmDiscardListener *listener);

#endif
