/* SPDX-License-Identifier: Apache-2.0 */
/* Functions by address: one pass over the symbols answers any number of addresses, with nothing kept of the rest. */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/search.h"
#include "binary/elf_file_private.h"

enum { CHUNK = 64 * 1024, NAME_SIZE_MAX = 16 * 1024 };

/* The best symbol so far for one address. */
struct best {
  struct exu_elf_record record;
  char *name;
};

static bool read_name(const struct exu_elf_file *file, const struct exu_elf_table *table, uint32_t offset,
                      char buffer[NAME_SIZE_MAX]) {
  if (offset >= table->string_size) return false;
  uint64_t left = table->string_size - offset;
  size_t size = 256;
  for (;;) {
    if (size > left) size = (size_t)left;
    if (!exu_elf_file_read(file, table->strings + offset, buffer, size)) return false;
    if (memchr(buffer, 0, size)) return buffer[0] != 0;
    if (size == left || size == NAME_SIZE_MAX) return false;
    size = size * 8 < NAME_SIZE_MAX ? size * 8 : NAME_SIZE_MAX;
  }
}

static int rank(const struct exu_elf_record *record) {
  int type = ELF64_ST_TYPE(record->info) == STT_NOTYPE;
  int bind = ELF64_ST_BIND(record->info) == STB_GLOBAL ? 0 : ELF64_ST_BIND(record->info) == STB_WEAK ? 1 : 2;
  return type * 4 + bind;
}

static size_t underscores(const char *name) { return strspn(name, "_"); }

/* Aliases have the same address and size: the plain name is the one that people know ("raise", not "__GI_raise"). */
static bool is_plainer(const char *name, const char *than) {
  size_t a = underscores(name), b = underscores(than);
  if (a != b) return a < b;
  a = strlen(name), b = strlen(than);
  return a != b ? a < b : strcmp(name, than) < 0;
}

static void offer(const struct exu_elf_file *file, const struct exu_elf_table *table, struct best *best,
                  const struct exu_elf_record *record) {
  char name[NAME_SIZE_MAX];
  if (best->name) {
    if (record->size != best->record.size) {
      if (record->size > best->record.size) return;
    } else if (rank(record) > rank(&best->record)) {
      return;
    }
  }
  if (!read_name(file, table, record->name, name)) return;
  bool equal = best->name && record->size == best->record.size && rank(record) == rank(&best->record);
  if (equal && !is_plainer(name, best->name)) return;
  char *copy = strdup(name);
  if (!copy) return;
  free(best->name);
  *best = (struct best){.record = *record, .name = copy};
}

static size_t first_at_or_after(const struct exu_elf_cover *covers, size_t count, uint64_t address) {
  return EXU_PARTITION_POINT(i, count, covers[i].address < address);
}

static bool is_code(const struct exu_elf_record *record) {
  unsigned type = ELF64_ST_TYPE(record->info);
  return record->section != SHN_UNDEF && record->size > 0 &&
         (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE);
}

static void scan(const struct exu_elf_file *file, const struct exu_elf_table *table, const struct exu_elf_cover *covers,
                 size_t count, struct best *best, uint8_t *buffer) {
  const size_t size = exu_elf_record_size(&file->header);
  const size_t per_chunk = CHUNK / size;
  for (uint64_t at = 0; at < table->count;) {
    size_t part = table->count - at < per_chunk ? (size_t)(table->count - at) : per_chunk;
    if (!exu_elf_file_read(file, table->symbols + at * size, buffer, part * size)) return;
    for (size_t i = 0; i < part; i++) {
      struct exu_elf_record record = exu_elf_decode_record(&file->header, buffer + i * size);
      if (!is_code(&record)) continue;
      for (size_t k = first_at_or_after(covers, count, record.value);
           k < count && covers[k].address - record.value < record.size; k++) {
        offer(file, table, &best[k], &record);
      }
    }
    at += part;
  }
}

void exu_elf_file_cover(struct exu_elf_file *file, struct exu_elf_cover *covers, size_t count,
                        struct exu_arena *arena) {
  struct exu_elf_table table;
  if (count == 0 || !exu_elf_file_table(file, &table)) return;
  struct best *best = calloc(count, sizeof *best);
  uint8_t *buffer = malloc(CHUNK);
  if (best && buffer) scan(file, &table, covers, count, best, buffer);
  for (size_t i = 0; best && i < count; i++) {
    if (!best[i].name) continue;
    covers[i].name = exu_arena_string(arena, best[i].name, strlen(best[i].name));
    covers[i].start = best[i].record.value;
    free(best[i].name);
  }
  free(best);
  free(buffer);
}
