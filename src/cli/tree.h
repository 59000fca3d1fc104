/* SPDX-License-Identifier: Apache-2.0 */
/* A process and its descendants, as /proc shows them. */
#ifndef EXUVIA_CLI_TREE_H
#define EXUVIA_CLI_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Store `pid` and its descendants, parents before their children; at most `room`. Returns how many. */
size_t process_tree(int64_t pid, int64_t *pids, size_t room);

/* Is any file with "python" in its path mapped? Another program need not be stopped to see that it runs no Python. */
bool looks_like_python(int64_t pid);

#endif
