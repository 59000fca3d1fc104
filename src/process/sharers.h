/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processes share something by which one could let another go on: a pipe, a socket, memory. Each of these looks
 * costs as much as the whole machine has processes, with their descriptors or mappings. They go on meanwhile.
 */
#ifndef EXUVIA_PROCESS_SHARERS_H
#define EXUVIA_PROCESS_SHARERS_H

#include "process/descriptors.h"

/* How a file is open. */
enum exu_opened {
  EXU_OPENED_READ,
  EXU_OPENED_WRITE,
  EXU_OPENED_ANY,
};

/*
 * Do only these processes have open, for `access`, what /proc calls `link`: "pipe:[123]", "socket:[123]"? Stores which
 * of them do. EXU_UNKNOWN: none of the others that could be looked into, but one that could not be may, or one that is
 * about to receive a file. EXU_NO: another one has, or one of these could not be looked into; `has` then says nothing.
 */
enum exu_tristate exu_sharers_of_file(const char *link, enum exu_opened access, const int64_t *pids, size_t count,
                                      bool *has);

/* Likewise: the FIFO, which others can open later unless it is unlinked. */
enum exu_tristate exu_sharers_of_fifo(const struct exu_fifo *fifo, enum exu_opened access, const int64_t *pids,
                                      size_t count, bool *has);

/* Likewise: have only these processes mapped that? Others can do so later unless it is unlinked. */
enum exu_tristate exu_sharers_of_memory(const struct exu_shared_place *place, const int64_t *pids, size_t count,
                                        bool *has);

#endif
