/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/debug_file.h"

#include <elf.h>
#include <elfutils/libdw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/guard.h"
#include "binary/debug_file_private.h"
#include "binary/debuginfod.h"
#include "binary/elf_file_private.h"
#include "binary/open.h"

/* Packed DWARF up to this size is unpacked within a few milliseconds. */
enum { PACKED_MAX = 512 * 1024, LINK_MAX = 4096, CHECKSUM_CHUNK = 64 * 1024 };

static struct exu_debug_files *files_of(struct exu_modules *modules, struct exu_binary *module) {
  if (!module->debug) module->debug = exu_arena_alloc(modules->arena, sizeof *module->debug);
  return module->debug;
}

void exu_debug_files_close(struct exu_debug_files *files) {
  if (!files) return;
  exu_elf_file_close(files->debug);
  exu_elf_file_close(files->shared); /* after what refers to it */
  exu_elf_file_close(files->mini);
  exu_elf_file_close(files->image);
  *files = (struct exu_debug_files){.debug = NULL};
}

const struct exu_elf_section *exu_elf_file_section_named(struct exu_elf_file *file, const char *name) {
  size_t count;
  const struct exu_elf_section *sections = exu_elf_file_sections(file, &count);
  for (size_t i = 1; i < count && file->section_names; i++) {
    if (sections[i].name < file->section_names_size && strcmp(file->section_names + sections[i].name, name) == 0)
      return &sections[i];
  }
  return NULL;
}

/* ---- Candidates -------------------------------------------------------------------------------------------------- */

/* What a separate file must have. */
struct wanted {
  const struct exu_modules *modules;
  struct exu_build_id id;
  bool by_checksum; /* there is no build id */
  uint32_t checksum;
};

/* The checksum of .gnu_debuglink: CRC-32 as in IEEE 802.3, over the whole file. */
static bool checksum_of(const struct exu_elf_file *file, uint32_t *checksum) {
  uint32_t table[256], crc = UINT32_MAX;
  uint8_t *bytes EXU_GUARD(free) = malloc(CHECKSUM_CHUNK);
  if (!bytes) return false;
  for (uint32_t i = 0; i < 256; i++) {
    table[i] = i;
    for (int bit = 0; bit < 8; bit++) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320U : 0);
  }
  for (uint64_t at = 0; at < file->size;) {
    size_t size = file->size - at < CHECKSUM_CHUNK ? (size_t)(file->size - at) : CHECKSUM_CHUNK;
    if (!exu_elf_file_read(file, at, bytes, size)) return false;
    for (size_t i = 0; i < size; i++) crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 0xff];
    at += size;
  }
  *checksum = ~crc;
  return true;
}

static bool belongs(const struct wanted *wanted, struct exu_elf_file *file) {
  uint32_t checksum;
  struct exu_build_id id = exu_elf_file_build_id(file);
  if (!wanted->by_checksum) return id.size > 0 && exu_build_id_equal(&id, &wanted->id);
  return checksum_of(file, &checksum) && checksum == wanted->checksum;
}

/* `root` NULL: of this machine. */
static struct exu_elf_file *try_path(const struct wanted *wanted, const char *root, const char *path) {
  struct exu_error error;
  int fd = root ? exu_open_in_root(root, path, &error) : exu_open_regular(path, &error);
  struct exu_elf_file *file = fd < 0 ? NULL : exu_elf_file_open_fd(fd, path, &error);
  if (file && belongs(wanted, file)) return file;
  exu_elf_file_close(file);
  return NULL;
}

/* A path of the process: in the sysroot, where there is one, else on this machine; and below every search directory. */
static struct exu_elf_file *try_everywhere(const struct wanted *wanted, const char *path) {
  const struct exu_options *options = wanted->modules->options;
  struct exu_elf_file *file = *path == '/' ? try_path(wanted, options->sysroot, path) : NULL;
  for (size_t i = 0; i < options->search_count && !file; i++) file = try_path(wanted, options->search[i], path);
  return file;
}

static struct exu_elf_file *try_build_id(const struct wanted *wanted) {
  static const char *const places[] = {"/usr/lib/debug/.build-id/", ".build-id/", ""};
  char path[64 + 2 * EXU_BUILD_ID_MAX];
  struct exu_elf_file *file = NULL;
  if (wanted->id.size < 2) return NULL;
  for (size_t i = 0; i < sizeof places / sizeof *places && !file; i++) {
    int length = snprintf(path, sizeof path, "%s%02x/", places[i], wanted->id.bytes[0]);
    for (size_t k = 1; k < wanted->id.size; k++, length += 2)
      snprintf(path + length, sizeof path - (size_t)length, "%02x", wanted->id.bytes[k]);
    snprintf(path + length, sizeof path - (size_t)length, ".debug");
    file = try_everywhere(wanted, path);
  }
  return file;
}

/* The name of a separate file that stands in a section, with `size` bytes of something behind it. */
static bool read_link(struct exu_elf_file *file, const char *section_name, char name[LINK_MAX], uint8_t *after,
                      size_t *size) {
  const struct exu_elf_section *section = exu_elf_file_section_named(file, section_name);
  if (!section || section->type == SHT_NOBITS || section->size >= LINK_MAX) return false;
  char bytes[LINK_MAX];
  size_t length = (size_t)section->size;
  if (!exu_elf_file_read(file, section->offset, bytes, length)) return false;
  const char *nul = memchr(bytes, '\0', length);
  if (!nul || nul == bytes) return false;
  size_t used = (size_t)(nul - bytes) + 1;
  memcpy(name, bytes, used);
  if (strcmp(section_name, ".gnu_debuglink") == 0) used = (used + 3) / 4 * 4; /* the checksum is aligned */
  if (used > length) return false;
  if (*size > length - used) *size = length - used;
  memcpy(after, bytes + used, *size);
  return true;
}

static struct exu_elf_file *try_link(struct wanted *wanted, const struct exu_binary *module) {
  static const struct {
    const char *before, *after; /* the directory of the module */
  } places[] = {{"", "/"}, {"", "/.debug/"}, {"/usr/lib/debug", "/"}};
  char name[LINK_MAX], path[PATH_MAX];
  uint8_t crc[4];
  size_t size = sizeof crc;
  struct exu_elf_file *file = NULL;
  if (!module->file || !read_link(module->file, ".gnu_debuglink", name, crc, &size) || size < sizeof crc) return NULL;
  if (strchr(name, '/')) return NULL;
  wanted->checksum = exu_elf_u32(crc, module->file->header.big_endian);
  size_t directory = module->path.size;
  while (directory > 0 && module->path.data[directory - 1] != '/') directory--;
  if (directory > 0) directory--;
  for (size_t i = 0; i < sizeof places / sizeof *places && !file; i++) {
    if (!module->path.data || directory > PATH_MAX || memchr(module->path.data, '\0', directory)) break;
    int length = snprintf(path, sizeof path, "%s%.*s%s%s", places[i].before, (int)directory, module->path.data,
                          places[i].after, name);
    if (length < (int)sizeof path) file = try_everywhere(wanted, path);
  }
  return file ? file : try_everywhere(wanted, name);
}

struct exu_elf_file *exu_modules_debug_file(struct exu_modules *modules, struct exu_binary *module) {
  struct exu_elf_file *own = exu_modules_file(modules, module);
  struct exu_debug_files *files = files_of(modules, module);
  if (!files) return NULL;
  if (files->debug_tried) return files->debug;
  files->debug_tried = true;
  if (own && exu_elf_file_debug_only(own)) return NULL; /* it is that file already */
  struct wanted wanted = {.modules = modules, .id = module->build_id};
  if (wanted.id.size == 0 && own) wanted.id = exu_elf_file_build_id(own);
  wanted.by_checksum = wanted.id.size == 0;
  if (!wanted.by_checksum) files->debug = try_build_id(&wanted);
  if (!files->debug) files->debug = try_link(&wanted, module);
  if (!files->debug && !(own && exu_elf_file_symbols(own) == EXU_SYMBOLS_DWARF)) {
    files->debug = exu_debuginfod_find(modules, &wanted.id, EXU_DEBUGINFOD_DEBUG_INFO);
    files->fetched = files->debug != NULL;
  }
  return files->debug;
}

/* ---- DWARF ------------------------------------------------------------------------------------------------------- */

static bool is_too_large(struct exu_elf_file *file) {
  size_t count;
  const struct exu_elf_section *sections = exu_elf_file_sections(file, &count);
  uint64_t packed = 0;
  for (size_t i = 0; i < count; i++)
    if (sections[i].flags & SHF_COMPRESSED) packed += sections[i].size < UINT32_MAX ? sections[i].size : UINT32_MAX;
  return packed > PACKED_MAX;
}

/*
 * DWARF that dwz made refers to a file that is shared by several. libdw would look for it by itself, outside of the
 * sysroot and even on the network; DWARF whose shared file we do not find is not used at all.
 */
static bool attach_shared(struct exu_modules *modules, struct exu_debug_files *files, struct exu_elf_file *file,
                          Dwarf *dwarf) {
  char name[LINK_MAX], path[PATH_MAX];
  struct wanted wanted = {.modules = modules};
  wanted.id.size = sizeof wanted.id.bytes;
  if (!exu_elf_file_section_named(file, ".gnu_debugaltlink")) return true;
  if (!read_link(file, ".gnu_debugaltlink", name, wanted.id.bytes, &wanted.id.size) || wanted.id.size < 2) return false;
  if (!files->shared) files->shared = try_build_id(&wanted);
  if (!files->shared && *name == '/') files->shared = try_everywhere(&wanted, name);
  /* Debian's name is relative to the referring file: ../../.dwz/x86_64-linux-gnu/PACKAGE.debug */
  const char *dwz = strstr(name, ".dwz/");
  if (!files->shared && dwz && snprintf(path, sizeof path, "/usr/lib/debug/%s", dwz) < (int)sizeof path)
    files->shared = try_everywhere(&wanted, path);
  if (!files->shared) files->shared = exu_debuginfod_find(modules, &wanted.id, EXU_DEBUGINFOD_DEBUG_INFO);
  Dwarf *shared = files->shared ? exu_elf_file_dwarf(files->shared) : NULL;
  if (shared) dwarf_setalt(dwarf, shared);
  return shared != NULL;
}

struct Dwarf *exu_modules_dwarf(struct exu_modules *modules, struct exu_binary *module, bool patient) {
  struct exu_elf_file *file = exu_modules_file(modules, module);
  struct exu_debug_files *files = files_of(modules, module);
  if (!files) return NULL;
  if (!file || exu_elf_file_symbols(file) != EXU_SYMBOLS_DWARF) {
    file = exu_modules_debug_file(modules, module);
    if (!file || exu_elf_file_symbols(file) != EXU_SYMBOLS_DWARF) return NULL;
  }
  /* Who waited for a download waits for the unpacking, too. */
  if (!patient && !(files->fetched && file == files->debug) && is_too_large(file)) return NULL;
  if (!files->dwarf_tried) {
    files->dwarf_tried = true;
    Dwarf *dwarf = exu_elf_file_dwarf(file);
    if (dwarf && attach_shared(modules, files, file, dwarf)) files->dwarf = dwarf;
  }
  return files->dwarf;
}

enum exu_symbols exu_binary_symbols(const struct exu_binary *module, struct exu_elf_file *file) {
  const struct exu_debug_files *files = module->debug;
  enum exu_symbols best = file ? exu_elf_file_symbols(file) : EXU_SYMBOLS_UNKNOWN;
  if (!files) return best;
  if (files->dwarf) return EXU_SYMBOLS_DWARF;
  struct exu_elf_file *const others[] = {files->debug, files->mini};
  for (size_t i = 0; i < 2; i++) {
    bool has = others[i] && exu_elf_file_section_of_type(others[i], SHT_SYMTAB);
    if (has && best < EXU_SYMBOLS_SYMTAB) best = EXU_SYMBOLS_SYMTAB;
  }
  return best;
}
