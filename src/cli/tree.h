/* SPDX-License-Identifier: Apache-2.0 */
/* A process and its descendants, as /proc shows them. */
#ifndef EXUVIA_CLI_TREE_H
#define EXUVIA_CLI_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Store `pid` and its descendants, parents before their children; at most `room`. Returns how many. */
size_t process_tree(int64_t pid, int64_t *pids, size_t room);

/*
 * Is any file with "python" in its path mapped? Another program need not be stopped to see that it runs no Python. One
 * whose mappings may not be read could run it.
 */
bool looks_like_python(int64_t pid);

/* Is it gone, or waits only for its parent to take notice? */
bool process_has_ended(int64_t pid);

#endif
