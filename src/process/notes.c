/* SPDX-License-Identifier: Apache-2.0 */
#include "process/notes.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "process/crash.h"
#include "process/notes_private.h"

enum {
  HEADER_SIZE = 12,   /* Elf64_Nhdr: namesz, descsz, type */
  NAME_MAX_SIZE = 64, /* longer names belong to nobody that is known */
  WINDOW_SIZE = 64 * 1024,
  WINDOW_MAX = 32 * 1024 * 1024, /* largest descriptor; the kernel writes NT_FILE of 16 MiB at most */
};

/* A segment's bytes that are really in the file, and the part of them that is in memory. */
struct window {
  struct exu_notes *notes;
  uint64_t offset; /* of the segment in the file */
  uint64_t size;
  uint8_t *bytes;
  size_t capacity;
  uint64_t start; /* position in the segment of bytes[0] */
  size_t filled;
};

void exu_notes_init(struct exu_notes *notes, struct exu_process *process, const struct exu_source *core,
                    struct exu_arena *arena, struct exu_diagnostics *diagnostics) {
  *notes = (struct exu_notes){.core = core,
                              .process = process,
                              .arena = arena,
                              .diagnostics = diagnostics,
                              .notes_left = UINT64_C(1) << 22,
                              .bytes_left = UINT64_C(1) << 31};
}

static void say_damaged(struct exu_notes *notes, const char *what) {
  if (!notes->damaged)
    exu_incomplete(notes->diagnostics, EXU_DIAGNOSTIC_NOTES_DAMAGED, -1, "the core's notes are damaged: %s", what);
  notes->damaged = true;
}

static bool grow(struct window *window, size_t size) {
  if (size <= window->capacity) return true;
  if (size > WINDOW_MAX) return false;
  uint8_t *memory = realloc(window->bytes, size);
  if (!memory) return false;
  window->bytes = memory;
  window->capacity = size;
  return true;
}

/* `size` bytes at `position` of the segment, valid until the next call; NULL when they cannot be had. */
static const uint8_t *fetch(struct window *window, uint64_t position, size_t size) {
  if (position > window->size || size > window->size - position) return NULL;
  if (position >= window->start && position - window->start <= window->filled &&
      size <= window->filled - (position - window->start))
    return window->bytes + (position - window->start);

  size_t wanted = size > WINDOW_SIZE ? size : WINDOW_SIZE;
  if (wanted > window->size - position) wanted = (size_t)(window->size - position);
  if (!grow(window, wanted) || wanted > window->notes->bytes_left) return NULL;
  window->notes->bytes_left -= wanted;
  const struct exu_source *core = window->notes->core;
  ssize_t got = core->ops->read(core, window->offset + position, window->bytes, wanted);
  window->start = position;
  window->filled = got > 0 ? (size_t)got : 0;
  return window->filled < size ? NULL : window->bytes;
}

static uint64_t padded(uint64_t size, uint64_t alignment) { return (size + alignment - 1) & ~(alignment - 1); }

static bool is_named(const uint8_t *name, size_t size, const char *wanted) {
  /* Some writers do not count the NUL that ends the name. */
  size_t length = strlen(wanted);
  return (size == length || (size == length + 1 && name[length] == 0)) && memcmp(name, wanted, length) == 0;
}

/* Who reads a note of this name and type; NULL for those that nobody needs. */
static exu_note_reader *reader_of(const uint8_t *name, size_t name_size, uint32_t type) {
  static const struct {
    const char *name;
    uint32_t type;
    exu_note_reader *reader;
  } known[] = {
      {"CORE", 1, exu_note_prstatus},         /* NT_PRSTATUS */
      {"CORE", 3, exu_note_prpsinfo},         /* NT_PRPSINFO */
      {"CORE", 6, exu_note_auxv},             /* NT_AUXV */
      {"CORE", 0x53494749, exu_note_siginfo}, /* NT_SIGINFO */
      {"CORE", 0x46494c45, exu_note_file},    /* NT_FILE */
      {"LINUX", 0x401, exu_note_arm_tls},     /* NT_ARM_TLS */
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (known[i].type == type && is_named(name, name_size, known[i].name)) return known[i].reader;
  return NULL;
}

/* Read the note at *position and move on to the next one. Returns false when there is no next one to be found. */
static bool read_note(struct window *window, uint64_t *position, uint64_t alignment) {
  struct exu_notes *notes = window->notes;
  const bool big_endian = notes->process->arch->big_endian;
  const uint8_t *header = fetch(window, *position, HEADER_SIZE);
  if (!header) {
    say_damaged(notes, "the last note is not whole");
    return false;
  }
  struct exu_cursor cursor = exu_cursor(header, HEADER_SIZE, big_endian);
  uint32_t name_size = exu_cursor_u32(&cursor);
  uint32_t descriptor_size = exu_cursor_u32(&cursor);
  uint32_t type = exu_cursor_u32(&cursor);

  /* The descriptor follows the padded name, the next note the padded descriptor (gABI, "Note Section"). */
  uint64_t descriptor = padded(*position + HEADER_SIZE + name_size, alignment);
  uint64_t next = padded(descriptor + descriptor_size, alignment);
  exu_note_reader *reader = NULL;
  if (name_size > 0 && name_size <= NAME_MAX_SIZE) {
    const uint8_t *name = fetch(window, *position + HEADER_SIZE, name_size);
    if (name) reader = reader_of(name, name_size, type);
  }
  *position = next;
  if (descriptor > window->size || descriptor_size > window->size - descriptor) {
    say_damaged(notes, "a note is longer than its segment");
    /* What is left of it may still say something: the first files of a long list. */
    descriptor_size = descriptor < window->size ? (uint32_t)(window->size - descriptor) : 0;
  }
  if (!reader || descriptor_size == 0) return true;
  const uint8_t *bytes = fetch(window, descriptor, descriptor_size);
  if (!bytes) {
    say_damaged(notes, "a note cannot be read, or is too long to be true");
    return true;
  }
  if (!reader(notes, exu_cursor(bytes, descriptor_size, big_endian)))
    say_damaged(notes, "a note has too few bytes, or values that cannot be");
  return true;
}

void exu_notes_read(struct exu_notes *notes, uint64_t offset, uint64_t size, uint64_t alignment) {
  uint64_t there = offset < notes->process->bytes ? notes->process->bytes - offset : 0;
  struct window window = {.notes = notes, .offset = offset, .size = size < there ? size : there};
  if (window.size < size) say_damaged(notes, "they go beyond the end of the file");

  uint64_t position = 0;
  while (position < window.size) {
    if (notes->notes_left == 0 || notes->bytes_left < WINDOW_SIZE) {
      say_damaged(notes, "there are too many of them");
      break;
    }
    notes->notes_left--;
    if (!read_note(&window, &position, alignment == 8 ? 8 : 4)) break;
  }
  free(window.bytes);
}

static int by_start(const void *left, const void *right) {
  const struct exu_file_mapping *a = left;
  const struct exu_file_mapping *b = right;
  if (a->start != b->start) return a->start < b->start ? -1 : 1;
  return a->end < b->end ? -1 : a->end > b->end;
}

bool exu_notes_finish(struct exu_notes *notes) {
  struct exu_process *process = notes->process;
  if (notes->mappings.count > 1)
    qsort(notes->mappings.items, notes->mappings.count, sizeof *notes->mappings.items, by_start);
  process->mappings = notes->mappings.items;
  process->mapping_count = notes->mappings.count;
  process->threads = notes->threads.items;
  process->thread_count = notes->threads.count;

  /* Linux has both since 3.7, gdb and lldb write them too; valgrind and qemu keep neither. */
  process->keeps_calls = notes->siginfo.present;
  /* valgrind writes its youngest thread first, and the signal into each. */
  process->first_died = notes->siginfo.present || !notes->process_first || process->thread_count == 1;

  /* gcore of a process that was well writes pr_cursig 0, and a siginfo about the debugger's own stop. */
  bool only_siginfo = process->thread_count == 0 && notes->siginfo.present;
  int32_t signal = only_siginfo ? notes->siginfo.signal : notes->cursig;
  process->died = signal > 0 || process->thread_count == 0 || notes->damaged;
  if (signal <= 0) return true;
  const struct exu_siginfo *siginfo =
      notes->siginfo.present && notes->siginfo.signal == signal ? &notes->siginfo : NULL;
  process->crash = exu_crash_create(process, signal, siginfo, notes->arena);
  return process->crash != NULL;
}
