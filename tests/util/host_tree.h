/* SPDX-License-Identifier: MIT */
/* A directory with files as in /sys, /proc and /dev, to be read instead of the host's. */
#ifndef PLUGMAP_TESTS_UTIL_HOST_TREE_H
#define PLUGMAP_TESTS_UTIL_HOST_TREE_H

/* A new empty directory: the root that the functions of src/host take. */
char *host_tree_new(void);

/* Removes it, with all that is in it, and frees @root. */
void host_tree_free(char *root);

/* Each creates the directories above @path. A file that exists is replaced. */
void host_tree_file(const char *root, const char *path, const char *content);
void host_tree_folder(const char *root, const char *path);
void host_tree_link(const char *root, const char *path, const char *target);

/* Removes a file, link, or directory with all that is in it. */
void host_tree_remove(const char *root, const char *path);

#endif
