/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/mapped_file.h"

#include <limits.h>
#include <string.h>

#include "base/str.h"
#include "binary/open.h"

/* An absolute path that a file may have: not one that was deleted, which the kernel says behind its name. */
static bool is_path(struct exu_string path) {
  if (path.size == 0 || path.size >= PATH_MAX || *path.data != '/' || memchr(path.data, 0, path.size)) return false;
  return !exu_string_ends(path, " (deleted)");
}

static int64_t nanoseconds(struct timespec time) { return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec; }

/* Anybody can set st_mtime, so that it proves only that there was a change; st_ctime is newer than every change. */
static enum exu_tristate changed_after(const struct stat *status, int64_t moment) {
  if (moment <= 0) return EXU_UNKNOWN;
  if (nanoseconds(status->st_mtim) > moment) return EXU_YES;
  return nanoseconds(status->st_ctim) <= moment ? EXU_NO : EXU_UNKNOWN;
}

void exu_mapped_file_measure(struct exu_process *process, const char *sysroot) {
  struct stat status;
  if (!process->crash || !is_path(process->crash->file.path)) return;
  if (!exu_examine_regular(sysroot, process->crash->file.path.data, &status) || status.st_size < 0) return;
  /* Files of a sysroot have the times of its unpacking. */
  const int64_t moment = sysroot ? 0 : process->sources_as_of;
  process->crash->file.length = (int64_t)status.st_size;
  process->crash->file.changed = changed_after(&status, moment);
}
