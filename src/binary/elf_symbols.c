/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symbols by name. Exported names come from the hash table of .dynsym in a handful of small reads; others from one
 * pass over the strings and one over the symbols, through one buffer, with nothing kept.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/search.h"
#include "binary/elf_file_private.h"

enum {
  CHUNK = 64 * 1024,
  CHAIN_MAX = 65536,   /* symbols looked at in one hash chain */
  OFFSETS_MAX = 65536, /* strings that end in the name */
  SYMBOLS_MAX = 16 * 1024 * 1024,
  NAME_MAX_SIZE = 4096,
};

static bool is_wanted(const struct exu_elf_record *record) {
  unsigned type = ELF64_ST_TYPE(record->info);
  return record->section != SHN_UNDEF && record->section != SHN_COMMON && type != STT_SECTION && type != STT_FILE &&
         type != STT_TLS;
}

static void store(const struct exu_elf_record *record, struct exu_elf_symbol *symbol) {
  *symbol = (struct exu_elf_symbol){.value = record->value, .size = record->size};
}

static uint32_t gnu_hash_of(const char *name) {
  uint32_t hash = 5381;
  for (; *name; name++) hash = hash * 33 + (uint8_t)*name;
  return hash;
}

static bool read_u32(const struct exu_elf_file *file, uint64_t offset, uint32_t *value) {
  uint8_t bytes[4];
  if (!exu_elf_file_read(file, offset, bytes, sizeof bytes)) return false;
  *value = exu_elf_u32(bytes, file->header.big_endian);
  return true;
}

static bool name_is(const struct exu_elf_file *file, uint64_t offset, const char *name, size_t length) {
  char bytes[256];
  for (size_t done = 0; done <= length;) {
    size_t part = length + 1 - done < sizeof bytes ? length + 1 - done : sizeof bytes;
    if (!exu_elf_file_read(file, offset + done, bytes, part) || memcmp(bytes, name + done, part) != 0) return false;
    done += part;
  }
  return true;
}

/* Does the symbol of that index in .dynsym have this name, and is it defined there? */
static bool dynamic_symbol_is(const struct exu_elf_file *file, uint64_t index, const char *name, size_t length,
                              struct exu_elf_record *record) {
  uint8_t bytes[sizeof(Elf64_Sym)];
  size_t size = exu_elf_record_size(&file->header);
  if (!exu_elf_file_read(file, file->dynamic.symbols + index * size, bytes, size)) return false;
  *record = exu_elf_decode_record(&file->header, bytes);
  return is_wanted(record) && name_is(file, file->dynamic.strings + record->name, name, length);
}

/* Look a name up by DT_GNU_HASH: Bloom filter, bucket, chain. */
static bool find_by_hash(const struct exu_elf_file *file, const char *name, size_t length,
                         struct exu_elf_symbol *symbol) {
  const struct exu_elf_dynamic *dynamic = &file->dynamic;
  const bool big = file->header.big_endian;
  const uint32_t word = file->header.is_64 ? 8 : 4;
  uint8_t header[16];
  if (!dynamic->gnu_hash || !dynamic->symbols || !dynamic->strings) return false;
  if (!exu_elf_file_read(file, dynamic->gnu_hash, header, sizeof header)) return false;
  uint32_t buckets = exu_elf_u32(header, big), first = exu_elf_u32(header + 4, big);
  uint32_t bloom_words = exu_elf_u32(header + 8, big), shift = exu_elf_u32(header + 12, big);
  if (buckets == 0 || bloom_words == 0 || shift > 31) return false;

  uint32_t hash = gnu_hash_of(name);
  uint64_t bloom = dynamic->gnu_hash + sizeof header;
  uint64_t bloom_at = bloom + (uint64_t)(hash / (word * 8) % bloom_words) * word;
  const uint32_t bits[2] = {hash % (word * 8), (hash >> shift) % (word * 8)};
  for (size_t i = 0; i < 2; i++) {
    /* Bit b of a word of the process is in its 32-bit half b / 32, which comes second in a big-endian one if low. */
    uint32_t half = bits[i] / 32, value;
    if (word == 8 && big) half = 1 - half;
    if (!read_u32(file, bloom_at + (uint64_t)half * 4, &value)) return false;
    if (!(value >> bits[i] % 32 & 1)) return false;
  }

  uint64_t bucket_at = bloom + (uint64_t)bloom_words * word;
  uint32_t index;
  if (!read_u32(file, bucket_at + (uint64_t)(hash % buckets) * 4, &index) || index < first) return false;
  uint64_t chain_at = bucket_at + (uint64_t)buckets * 4;
  for (uint32_t step = 0; step < CHAIN_MAX; step++, index++) {
    uint32_t other;
    struct exu_elf_record record;
    if (!read_u32(file, chain_at + (uint64_t)(index - first) * 4, &other)) return false;
    if ((other | 1) == (hash | 1) && dynamic_symbol_is(file, index, name, length, &record)) {
      store(&record, symbol);
      return true;
    }
    if ((other & 1) || index == UINT32_MAX) return false;
  }
  return false;
}

/* Positions in the string table where the name, and nothing else up to the NUL, stands; ascending. */
struct offsets {
  uint32_t *items;
  size_t count;
  size_t capacity;
};

static bool add_offset(struct offsets *offsets, uint64_t offset) {
  if (offsets->count >= OFFSETS_MAX || offset > UINT32_MAX) return false;
  if (offsets->count == offsets->capacity) {
    size_t capacity = offsets->capacity ? offsets->capacity * 2 : 16;
    uint32_t *items = realloc(offsets->items, capacity * sizeof *items);
    if (!items) return false;
    offsets->items = items;
    offsets->capacity = capacity;
  }
  offsets->items[offsets->count++] = (uint32_t)offset;
  return true;
}

/* Linkers let a name point into the tail of a longer one, so every occurrence counts, not only whole strings. */
static void find_strings(const struct exu_elf_file *file, const struct exu_elf_table *table, const char *name,
                         size_t length, uint8_t *buffer, struct offsets *offsets) {
  const size_t needle = length + 1;
  for (uint64_t at = 0; at < table->string_size && table->string_size - at >= needle;) {
    uint64_t left = table->string_size - at;
    size_t size = left < CHUNK ? (size_t)left : CHUNK;
    if (!exu_elf_file_read(file, table->strings + at, buffer, size)) return;
    const uint8_t *next = buffer, *end = buffer + size, *hit;
    while ((hit = memmem(next, (size_t)(end - next), name, needle))) {
      if (!add_offset(offsets, at + (uint64_t)(hit - buffer))) return;
      next = hit + 1;
    }
    if (size == left) return;
    at += size - length; /* the last `length` bytes may begin a name that the next chunk ends */
  }
}

static bool has_offset(const struct offsets *offsets, uint32_t offset) {
  const size_t found = EXU_PARTITION_POINT(i, offsets->count, offsets->items[i] < offset);
  return found < offsets->count && offsets->items[found] == offset;
}

/*
 * Of [from, to): the first wanted symbol with one of these names that is not local. Where there is none, *symbol is the
 * first local one, and *is_local says so; one that was found before stays.
 */
static bool find_record(const struct exu_elf_file *file, const struct exu_elf_table *table, uint64_t from, uint64_t to,
                        const struct offsets *offsets, uint8_t *buffer, struct exu_elf_symbol *symbol, bool *is_local) {
  const size_t size = exu_elf_record_size(&file->header);
  const size_t per_chunk = CHUNK / size;
  for (uint64_t at = from; at < to;) {
    size_t count = to - at < per_chunk ? (size_t)(to - at) : per_chunk;
    if (!exu_elf_file_read(file, table->symbols + at * size, buffer, count * size)) return false;
    for (size_t i = 0; i < count; i++) {
      const uint8_t *bytes = buffer + i * size;
      if (!has_offset(offsets, exu_elf_u32(bytes, file->header.big_endian))) continue;
      struct exu_elf_record record = exu_elf_decode_record(&file->header, bytes);
      const bool local = ELF64_ST_BIND(record.info) == STB_LOCAL;
      if (!is_wanted(&record) || (local && *is_local)) continue;
      store(&record, symbol);
      if (!local) return true;
      *is_local = true;
    }
    at += count;
  }
  return false;
}

static bool find_in_table(const struct exu_elf_file *file, const struct exu_elf_table *table, const char *name,
                          size_t length, struct exu_elf_symbol *symbol) {
  struct offsets offsets = {NULL, 0, 0};
  uint8_t *buffer = malloc(CHUNK);
  bool found = false, is_local = false;
  if (buffer) find_strings(file, table, name, length, buffer, &offsets);
  if (offsets.count > 0) {
    /* sh_info says where the local symbols end; a table that lies about it is still searched as a whole. */
    uint64_t border = table->first_global < table->count ? table->first_global : 0;
    found = find_record(file, table, border, table->count, &offsets, buffer, symbol, &is_local) ||
            find_record(file, table, 0, border, &offsets, buffer, symbol, &is_local) || is_local;
  }
  free(offsets.items);
  free(buffer);
  return found;
}

/* A symbol table section, cut to what the file has. */
static bool table_of_section(struct exu_elf_file *file, uint32_t type, struct exu_elf_table *table) {
  size_t count;
  const struct exu_elf_section *sections = exu_elf_file_sections(file, &count);
  const struct exu_elf_section *symbols = exu_elf_file_section_of_type(file, type);
  if (!symbols || symbols->link >= count) return false;
  const struct exu_elf_section *strings = &sections[symbols->link];
  if (strings->type != SHT_STRTAB || strings->offset >= file->size) return false;
  uint64_t size = file->size - symbols->offset < symbols->size ? file->size - symbols->offset : symbols->size;
  uint64_t string_size = file->size - strings->offset < strings->size ? file->size - strings->offset : strings->size;
  *table = (struct exu_elf_table){
      .symbols = symbols->offset,
      .count = size / exu_elf_record_size(&file->header),
      .first_global = symbols->info,
      .strings = strings->offset,
      .string_size = string_size,
  };
  if (table->count > SYMBOLS_MAX) table->count = SYMBOLS_MAX;
  return true;
}

/*
 * The length of .dynsym by DT_GNU_HASH, the only hash table that linkers write by default: one more than the last
 * symbol of the chain of the bucket that starts last. Chains end with an odd hash.
 */
static bool count_by_gnu_hash(const struct exu_elf_file *file, uint64_t at, uint64_t room, uint64_t *count) {
  uint32_t buckets, first, blooms, last = 0, hash = 0;
  if (!read_u32(file, at, &buckets) || !read_u32(file, at + 4, &first) || !read_u32(file, at + 8, &blooms))
    return false;
  uint64_t bucket = at + 16 + (uint64_t)blooms * (file->header.is_64 ? 8 : 4), chain = bucket + (uint64_t)buckets * 4;
  if (buckets > SYMBOLS_MAX || bucket >= file->size || chain >= file->size) return false;
  for (uint32_t i = 0; i < buckets; i++) {
    uint32_t start;
    if (!read_u32(file, bucket + (uint64_t)i * 4, &start)) return false;
    if (start > last) last = start;
  }
  *count = first;
  if (last < first) return true; /* no symbol is hashed: nothing is exported */
  for (uint64_t i = last; i < room && !(hash & 1); i++) {
    if (!read_u32(file, chain + (i - first) * 4, &hash)) return false;
    *count = i + 1;
  }
  return true;
}

/*
 * .dynsym without section headers; its length is that of the chain of the System V hash table, or what GNU's reaches.
 */
static bool table_of_dynamic(const struct exu_elf_file *file, struct exu_elf_table *table) {
  const struct exu_elf_dynamic *dynamic = &file->dynamic;
  uint32_t chains;
  uint64_t count;
  if (!dynamic->symbols || !dynamic->strings || dynamic->symbols >= file->size || dynamic->strings >= file->size)
    return false;
  uint64_t room = (file->size - dynamic->symbols) / exu_elf_record_size(&file->header);
  if (dynamic->hash && read_u32(file, dynamic->hash + 4, &chains)) {
    count = chains;
  } else if (!dynamic->gnu_hash || !count_by_gnu_hash(file, dynamic->gnu_hash, room, &count)) {
    return false;
  }
  uint64_t string_room = file->size - dynamic->strings;
  *table = (struct exu_elf_table){
      .symbols = dynamic->symbols,
      .count = count < room ? count : room,
      .strings = dynamic->strings,
      .string_size = dynamic->string_size < string_room ? dynamic->string_size : string_room,
  };
  if (table->count > SYMBOLS_MAX) table->count = SYMBOLS_MAX;
  return true;
}

bool exu_elf_file_table(struct exu_elf_file *file, struct exu_elf_table *table) {
  return table_of_section(file, SHT_SYMTAB, table) || table_of_section(file, SHT_DYNSYM, table) ||
         table_of_dynamic(file, table);
}

bool exu_elf_file_symbol(struct exu_elf_file *file, const char *name, struct exu_elf_symbol *symbol) {
  size_t length = strlen(name);
  struct exu_elf_table table;
  if (length == 0 || length > NAME_MAX_SIZE) return false;
  /* What .dynsym defines is in .symtab too, so that looking here first changes nothing but the time it takes. */
  if (!exu_elf_file_debug_only(file) && find_by_hash(file, name, length, symbol)) return true;
  return exu_elf_file_table(file, &table) && find_in_table(file, &table, name, length, symbol);
}
