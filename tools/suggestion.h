/* SPDX-License-Identifier: MIT */
/* What was meant by a word that is not known. */
#ifndef PLUGMAP_TOOLS_SUGGESTION_H
#define PLUGMAP_TOOLS_SUGGESTION_H

/* ": did you mean 'NAME'?" with the most similar of @names, which end with NULL; "" if none is
 * similar. A new string. */
char *pm_suggestion(const char *word, const char *const *names);

#endif
