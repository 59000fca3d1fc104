/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of modules on this machine: where to look, what proves that one is the same, and what may be read from it.
 */
#include <elf.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/search.h"
#include "base/str.h"
#include "binary/debuginfod.h"
#include "binary/module_proof.h"
#include "binary/modules.h"
#include "binary/open.h"

/* What the kernel appends to the name of a mapped file that has no name any more. */
static const char DELETED[] = " (deleted)";

/* Ordered: a later one is better. */
enum verdict { ABSENT, OTHER_BUILD, UNVERIFIED, MATCHED_DEBUG_ONLY, MATCHED };

struct search {
  struct exu_modules *modules;
  struct exu_binary *module;
  bool deleted;
  char path[PATH_MAX];  /* of the process, without DELETED; empty when it cannot be a path */
  const char *name;     /* its last component, or NULL */
  enum verdict verdict; /* of `file`, the best so far; else ABSENT */
  struct exu_elf_file *file;
  char used[PATH_MAX];    /* the path of `file` */
  char other[PATH_MAX];   /* the path of the first file that is another build */
  const char *executable; /* the user's choice, if it was considered, and what came of it */
  enum verdict executable_verdict;
  struct exu_error reason; /* why a file that is there could not be opened; an empty message: none */
};

/* Is the mapping what a loader makes of the code of one segment? */
static bool maps_code_of(const struct exu_file_mapping *mapping, const struct exu_elf_segment *segment, uint64_t mask) {
  if (segment->type != PT_LOAD || !(segment->flags & PF_X) || mapping->offset != (segment->offset & ~mask))
    return false;
  uint64_t size = (segment->offset & mask) + segment->filesz;
  return size >= segment->filesz && size <= UINT64_MAX - mask &&
         mapping->end - mapping->start == ((size + mask) & ~mask);
}

/*
 * Without the ELF header in the core: could the file have been mapped like that? Code of another build has another
 * size.
 */
static bool mappings_agree(const struct exu_process *process, const struct exu_binary *module,
                           struct exu_elf_file *file) {
  size_t count;
  const struct exu_elf_segment *segments = exu_elf_file_segments(file, &count);
  const uint64_t mask = exu_process_page(process) - 1;
  const struct exu_file_mapping *mapping = exu_process_mapping(process, module->start);
  const struct exu_file_mapping *end = process->mappings + process->mapping_count;
  for (; mapping && mapping < end && mapping->start < module->end; mapping++) {
    const struct exu_region *region = exu_space_find(process->space, mapping->start);
    if (!region || !(region->prot & EXU_PROT_EXEC)) continue;
    bool found = false;
    for (size_t k = 0; k < count && !found; k++) found = maps_code_of(mapping, &segments[k], mask);
    if (!found) return false;
  }
  return exu_elf_file_machine(file) == process->arch->machine;
}

static enum verdict compare(const struct search *search, struct exu_elf_file *file) {
  const struct exu_binary *module = search->module;
  struct exu_build_id id = exu_elf_file_build_id(file);
  if (module->build_id.size > 0 && id.size > 0) {
    if (!exu_build_id_equal(&module->build_id, &id)) return OTHER_BUILD;
    return exu_elf_file_debug_only(file) ? MATCHED_DEBUG_ONLY : MATCHED;
  }
  const struct exu_process *process = search->modules->process;
  if (exu_elf_file_debug_only(file)) return OTHER_BUILD;
  if (!module->image) return mappings_agree(process, module, file) ? UNVERIFIED : OTHER_BUILD;
  enum exu_match proof = exu_image_is_of(process, module->image, file);
  if (proof == EXU_MATCH_SAME && module->build_id.size == 0 && id.size == 0) return MATCHED;
  return proof == EXU_MATCH_OTHER ? OTHER_BUILD : UNVERIFIED;
}

/*
 * Take the file in if it is better than what there is. Takes over `fd`; -1: it cannot be a module. `full` is its name
 * for people.
 */
static enum verdict judge(struct search *search, int fd, const char *path, const char *full, bool chosen) {
  struct exu_error error;
  struct exu_elf_file *file = fd < 0 ? NULL : exu_elf_file_open_fd(fd, path, &error);
  enum verdict verdict = file ? compare(search, file) : OTHER_BUILD;
  /* Where a deleted file was, another one is no surprise and nothing short of the same build is of use. */
  bool counts = !search->deleted || chosen || verdict >= MATCHED_DEBUG_ONLY;
  if (counts && verdict == OTHER_BUILD && !search->other[0]) snprintf(search->other, sizeof search->other, "%s", full);
  if (counts && verdict >= UNVERIFIED && verdict > search->verdict) {
    search->verdict = verdict;
    exu_elf_file_close(search->file);
    search->file = file;
    snprintf(search->used, sizeof search->used, "%s", full);
  } else {
    exu_elf_file_close(file);
  }
  return verdict;
}

/*
 * Consider a file: `path` inside `root`, or of this machine when that is NULL. `chosen`: the user named the file or its
 * directory, so that for a deleted file it counts even if it cannot be verified.
 */
static enum verdict consider(struct search *search, const char *root, const char *path, bool chosen) {
  struct exu_error error;
  if (search->verdict == MATCHED || !*path) return ABSENT;
  int fd = root ? exu_open_in_root(root, path, &error) : exu_open_regular(path, &error);
  if (fd < 0 && error.status != EXU_BAD_FORMAT) {
    if (error.status == EXU_IO && !search->reason.message[0]) search->reason = error;
    return ABSENT;
  }
  /* The root of a live process has no name here: a path is as the process has it. */
  const char *own = exu_process_root(search->modules->process);
  bool inside = root && *root != '\0' && !(own && strcmp(own, root) == 0);
  char full[PATH_MAX];
  if ((size_t)snprintf(full, sizeof full, "%s%s%s", inside ? root : "", inside && *path != '/' ? "/" : "", path) >=
      sizeof full)
    memcpy(full, "...", 4);
  return judge(search, fd, path, full, chosen);
}

/* The executable that the user gave: for the main program, or if that is not known, for what has its name. */
static void consider_executable(struct search *search) {
  const char *executable = search->modules->options->executable;
  if (!executable) return;
  bool ours = search->module->main;
  if (!ours) {
    for (size_t i = 0; i < search->modules->count; i++)
      if (search->modules->items[i].main) return;
    const char *slash = strrchr(executable, '/');
    ours = search->name && strcmp(search->name, slash ? slash + 1 : executable) == 0;
    if (!ours) return;
  }
  search->executable = executable;
  search->executable_verdict = consider(search, NULL, executable, true);
}

/* A live process maps the very file, whatever became of its name. Not everybody may open it like that. */
static void consider_mapped(struct search *search) {
  const struct exu_process *process = search->modules->process;
  const struct exu_file_mapping *mapping = exu_process_mapping(process, search->module->start);
  if (search->verdict == MATCHED || !mapping) return;
  int fd = exu_process_open_mapping(process, mapping);
  if (fd >= 0) judge(search, fd, search->path, "the mapped file", true);
}

/* Last, and for what is not there: it costs a download. */
static void consider_debuginfod(struct search *search) {
  if (search->verdict == MATCHED) return;
  struct exu_elf_file *file =
      exu_debuginfod_find(search->modules, &search->module->build_id, EXU_DEBUGINFOD_EXECUTABLE);
  if (!file) return;
  exu_elf_file_close(search->file);
  search->file = file;
  search->verdict = MATCHED;
  snprintf(search->used, sizeof search->used, "a file of a debuginfod server");
}

static void consider_all(struct search *search) {
  const struct exu_options *options = search->modules->options;
  consider_executable(search);
  if (options->sysroot) consider(search, options->sysroot, search->path, false);
  for (size_t i = 0; i < options->search_count; i++) {
    if (search->name) consider(search, options->search[i], search->name, true);
    consider(search, options->search[i], search->path, true);
  }
  /* A relative name would be relative to this process; and a machine that has a sysroot to offer is another one. */
  if (!options->sysroot && search->path[0] == '/') consider(search, NULL, search->path, false);
  consider_mapped(search);
  consider_debuginfod(search);
}

/* Make the process's path one of this machine. */
static void prepare(struct search *search) {
  struct exu_string path = search->module->path;
  if (!path.data) return;
  if (exu_string_ends(path, DELETED)) {
    search->deleted = true;
    path.size -= sizeof DELETED - 1;
  }
  if (path.size == 0 || path.size >= sizeof search->path || memchr(path.data, '\0', path.size)) return;
  memcpy(search->path, path.data, path.size);
  search->path[path.size] = '\0';
  const char *slash = strrchr(search->path, '/');
  const char *name = slash ? slash + 1 : search->path;
  if (*name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) search->name = name;
}

/* The bias of a module whose header is not in the core, now that the program headers are known. */
static void place(const struct exu_process *process, struct exu_binary *module) {
  size_t count;
  const struct exu_elf_segment *segments = exu_elf_file_segments(module->file, &count);
  const struct exu_file_mapping *mapping = exu_process_mapping(process, module->start);
  const uint64_t mask = exu_process_page(process) - 1;
  for (size_t i = 0; mapping && i < count; i++) {
    if (segments[i].type != PT_LOAD || (segments[i].offset & ~mask) != mapping->offset) continue;
    module->bias = mapping->start - (segments[i].vaddr & ~mask);
    return;
  }
}

static void hex(const struct exu_build_id *id, char text[2 * EXU_BUILD_ID_MAX + 1]) {
  for (size_t i = 0; i < id->size; i++) snprintf(text + 2 * i, 3, "%02x", id->bytes[i]);
  if (id->size == 0) memcpy(text, "unknown", 8);
}

/* Settle the state, and say what is not as it should be. */
static void conclude(struct search *search) {
  struct exu_diagnostics *diagnostics = search->modules->diagnostics;
  struct exu_binary *module = search->module;
  const char *path = search->path[0] ? search->path : "a module without a usable file name";
  char id[2 * EXU_BUILD_ID_MAX + 1];
  hex(&module->build_id, id);
  module->file = search->file;
  if (search->verdict >= MATCHED_DEBUG_ONLY) {
    module->file_state = EXU_FILE_MATCHED;
  } else if (search->verdict == UNVERIFIED) {
    module->file_state = EXU_FILE_UNVERIFIED;
    exu_info(diagnostics, EXU_DIAGNOSTIC_MODULE_UNVERIFIED, -1,
             "%s cannot be proved to be the file that the process used: %s", search->used,
             module->build_id.size > 0 ? "it has no build ID" : "too little of it was saved, and no build ID");
  } else if (search->other[0]) {
    module->file_state = EXU_FILE_MISMATCHED;
    if (module->build_id.size > 0)
      exu_info(diagnostics, EXU_DIAGNOSTIC_MODULE_MISMATCHED, -1, "%s: build ID mismatch (that of the process is %s)",
               search->other, id);
    else
      exu_info(diagnostics, EXU_DIAGNOSTIC_MODULE_MISMATCHED, -1,
               "%s is not the file that the process used, whose build ID is unknown", search->other);
  } else if (search->deleted) {
    module->file_state = EXU_FILE_DELETED;
    exu_info(diagnostics, EXU_DIAGNOSTIC_MODULE_DELETED, -1,
             "%s was deleted or replaced while the process used it (its build ID is %s)", path, id);
  } else {
    module->file_state = EXU_FILE_MISSING;
    exu_info(diagnostics, EXU_DIAGNOSTIC_MODULE_MISSING, -1, "%s at 0x%llx: file not found (its build ID is %s)%s%s",
             path, (unsigned long long)module->start, id, search->reason.message[0] ? ": " : "",
             search->reason.message);
  }
  if (search->executable && search->executable_verdict == ABSENT)
    exu_info(diagnostics, EXU_DIAGNOSTIC_EXECUTABLE_MISSING, -1, "%s cannot be opened", search->executable);
  else if (search->executable && search->executable_verdict == OTHER_BUILD && search->file)
    exu_info(diagnostics, EXU_DIAGNOSTIC_EXECUTABLE_MISMATCHED, -1,
             "%s is not the program that the process ran; %s is used", search->executable, search->used);
  if (module->file && !module->has_header) place(search->modules->process, module);
}

struct exu_elf_file *exu_modules_file(struct exu_modules *modules, struct exu_binary *module) {
  if (module->file_state != EXU_FILE_UNCHECKED) return module->file;
  struct search search;
  search.modules = modules;
  search.module = module;
  search.deleted = false;
  search.name = NULL;
  search.executable = NULL;
  search.executable_verdict = ABSENT;
  search.verdict = ABSENT;
  search.file = NULL;
  search.path[0] = search.used[0] = search.other[0] = search.reason.message[0] = '\0';
  prepare(&search);
  consider_all(&search);
  conclude(&search);
  return module->file;
}

/* Back [start, end) of one mapping with one segment of the module's file. */
static bool back_segment(struct exu_modules *modules, struct exu_binary *module, const struct exu_file_mapping *mapping,
                         const struct exu_elf_segment *segment, uint64_t start, uint64_t end) {
  const struct exu_process *process = modules->process;
  const uint64_t mask = exu_process_page(process) - 1;
  const uint64_t size = exu_elf_file_size(module->file);
  /* A segment that was writable until its relocations were done (RELRO) is not what the file has. */
  if (segment->type != PT_LOAD || (segment->flags & PF_W) || segment->filesz == 0) return false;
  uint64_t low = module->bias + (segment->vaddr & ~mask);
  uint64_t length = ((segment->vaddr & mask) + segment->filesz + mask) & ~mask;
  uint64_t high;
  if (length < segment->filesz || __builtin_add_overflow(low, length, &high)) return false;
  if (start < low) start = low;
  if (end > high) end = high;
  if (start >= end) return false;
  uint64_t offset = mapping->offset + (start - mapping->start);
  if (offset != (segment->offset & ~mask) + (start - low) || offset >= size) return false;
  if (end - start > size - offset) end = start + (size - offset);
  if (!module->has_source) {
    int source = exu_space_add_source(process->space, exu_elf_file_source(module->file));
    if (source < 0) return false;
    module->source = (uint32_t)source;
    module->has_source = true;
  }
  return exu_space_add_backing(process->space, start, end, module->source, offset);
}

static bool back_mapping(struct exu_modules *modules, const struct exu_region *region,
                         const struct exu_file_mapping *mapping) {
  struct exu_binary *module = exu_modules_find(modules, mapping->start);
  if (!module || !module->image) return false;
  struct exu_elf_file *file = exu_modules_file(modules, module);
  if (module->file_state != EXU_FILE_MATCHED) return false;
  if (exu_elf_file_debug_only(file) || exu_elf_file_text_relocations(file)) return false;
  size_t count;
  const struct exu_elf_segment *segments = exu_elf_file_segments(file, &count);
  uint64_t start = mapping->start > region->start ? mapping->start : region->start;
  uint64_t end = mapping->end < region->end ? mapping->end : region->end;
  if (end > module->end) end = module->end;
  bool done = false;
  for (size_t i = 0; i < count; i++) done |= back_segment(modules, module, mapping, &segments[i], start, end);
  return done;
}

bool exu_modules_back_region(void *context, const struct exu_region *region) {
  struct exu_modules *modules = context;
  const struct exu_process *process = modules->process;
  if (!process || (region->prot & EXU_PROT_WRITE)) return false;
  bool done = false;
  size_t next = EXU_PARTITION_POINT(i, process->mapping_count, process->mappings[i].end <= region->start);
  for (; next < process->mapping_count && process->mappings[next].start < region->end; next++)
    done |= back_mapping(modules, region, &process->mappings[next]);
  return done;
}
