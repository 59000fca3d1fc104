/* SPDX-License-Identifier: Apache-2.0 */
#include "process/notes_private.h"

#include <string.h>

#include "base/str.h"

/* Positions in struct elf_prpsinfo, the same on every 64-bit machine whose uid_t has 32 bits. */
enum { PRPSINFO_PID = 24, PRPSINFO_FNAME = 40, FNAME_SIZE = 16, PSARGS_SIZE = 80 };

bool exu_note_prstatus(struct exu_notes *notes, struct exu_cursor descriptor) {
  const struct exu_arch *arch = notes->process->arch;
  if (notes->threads.count >= EXU_THREADS_MAX) {
    exu_incomplete(notes->diagnostics, EXU_DIAGNOSTIC_TOO_MANY_THREADS, -1, "the core has more than %d threads",
                   EXU_THREADS_MAX);
    notes->notes_left = 0;
    return true;
  }
  struct exu_cursor cursor = descriptor;
  exu_cursor_skip(&cursor, arch->prstatus_cursig);
  uint16_t cursig = exu_cursor_u16(&cursor);
  cursor = descriptor;
  exu_cursor_skip(&cursor, arch->prstatus_pid);
  uint32_t tid = exu_cursor_u32(&cursor);
  if (cursor.failed) return false;

  struct exu_os_thread *thread = EXU_PUSH(notes->arena, &notes->threads);
  if (!thread) return false;
  thread->tid = (int32_t)tid;
  thread->registers.syscall = -1;
  if (notes->threads.count == 1) notes->cursig = cursig;

  cursor = descriptor;
  exu_cursor_skip(&cursor, arch->prstatus_registers);
  size_t size = exu_cursor_left(&cursor);
  const void *registers = exu_cursor_bytes(&cursor, size);
  return registers && arch->decode_registers(registers, size, &thread->registers);
}

/* A field of a struct that is filled up with NULs; the kernel has turned the NULs between arguments into blanks. */
static struct exu_string fixed_string(struct exu_arena *arena, const char *field, size_t size) {
  size_t length = strnlen(field, size);
  while (length > 0 && field[length - 1] == ' ') length--;
  return exu_arena_string(arena, field, length);
}

bool exu_note_prpsinfo(struct exu_notes *notes, struct exu_cursor descriptor) {
  struct exu_process *process = notes->process;
  exu_cursor_skip(&descriptor, PRPSINFO_PID);
  uint32_t pid = exu_cursor_u32(&descriptor);
  if (descriptor.failed) return false;
  /* valgrind writes 0, which is no process. */
  if ((int32_t)pid > 0) process->pid = (int32_t)pid;
  notes->process_first = notes->threads.count == 0;
  exu_cursor_skip(&descriptor, PRPSINFO_FNAME - PRPSINFO_PID - 4);
  const char *name = exu_cursor_bytes(&descriptor, FNAME_SIZE);
  if (name) process->comm = fixed_string(notes->arena, name, FNAME_SIZE);
  const char *arguments = exu_cursor_bytes(&descriptor, PSARGS_SIZE);
  if (arguments) process->arguments = fixed_string(notes->arena, arguments, PSARGS_SIZE);
  return !descriptor.failed;
}

bool exu_note_auxv(struct exu_notes *notes, struct exu_cursor descriptor) {
  struct exu_auxv *auxv = &notes->process->auxv;
  enum { AT_NULL_ = 0, AT_PHDR_ = 3, AT_PAGESZ_ = 6, AT_BASE_ = 7, AT_ENTRY_ = 9, AT_SYSINFO_EHDR_ = 33 };
  while (exu_cursor_left(&descriptor) > 0) {
    uint64_t type = exu_cursor_u64(&descriptor);
    uint64_t value = exu_cursor_u64(&descriptor);
    if (descriptor.failed) return false;
    switch (type) {
    case AT_NULL_: return true;
    case AT_PHDR_: auxv->phdr = value; break;
    case AT_PAGESZ_: auxv->page_size = value; break;
    case AT_BASE_: auxv->base = value; break;
    case AT_ENTRY_: auxv->entry = value; break;
    case AT_SYSINFO_EHDR_: auxv->vdso = value; break;
    default: break;
    }
  }
  return true;
}

bool exu_note_siginfo(struct exu_notes *notes, struct exu_cursor descriptor) {
  /* The kernel writes one, for the signal that killed; gcore writes one per thread, after its NT_PRSTATUS. */
  if (notes->siginfo.present || notes->threads.count > 1) return true;
  return exu_siginfo_decode(notes->process->arch, descriptor, &notes->siginfo);
}

bool exu_note_arm_tls(struct exu_notes *notes, struct exu_cursor descriptor) {
  if (notes->threads.count == 0) return true;
  struct exu_registers *registers = &notes->threads.items[notes->threads.count - 1].registers;
  uint64_t value = exu_cursor_u64(&descriptor); /* a second word, TPIDR2_EL0, may follow */
  if (descriptor.failed) return false;
  registers->thread_pointer = value;
  registers->has_thread_pointer = true;
  return true;
}

/* Paths repeat, a library has four or five mappings in a row: keep one copy. */
static struct exu_string path_of(struct exu_notes *notes, const char *path, size_t first) {
  if (notes->mappings.count > first) {
    struct exu_string last = notes->mappings.items[notes->mappings.count - 1].path;
    if (exu_string_is(last, path)) return last;
  }
  return exu_arena_string(notes->arena, path, strlen(path));
}

/*
 * fs/binfmt_elf.c, fill_files_note: count, page size, count times {start, end, offset in pages}, then count
 * NUL-terminated paths. gcore writes page size 1 and offsets in bytes.
 */
bool exu_note_file(struct exu_notes *notes, struct exu_cursor descriptor) {
  enum { ENTRY_SIZE = 24 };
  uint64_t count = exu_cursor_u64(&descriptor);
  uint64_t page_size = exu_cursor_u64(&descriptor);
  /* A list that is cut off among its paths still gives the first ones. */
  if (descriptor.failed || count > exu_cursor_left(&descriptor) / ENTRY_SIZE) return false;
  struct exu_cursor paths = descriptor;
  exu_cursor_skip(&paths, count * ENTRY_SIZE);

  const size_t first = notes->mappings.count;
  bool fine = true;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t start = exu_cursor_u64(&descriptor);
    uint64_t end = exu_cursor_u64(&descriptor);
    uint64_t pages = exu_cursor_u64(&descriptor);
    const char *path = exu_cursor_string(&paths);
    if (!path) return false;
    uint64_t offset;
    if (start >= end || __builtin_mul_overflow(pages, page_size, &offset)) {
      fine = false;
      continue;
    }
    struct exu_string copy = path_of(notes, path, first);
    struct exu_file_mapping *mapping = copy.data ? EXU_PUSH(notes->arena, &notes->mappings) : NULL;
    if (!mapping) return false;
    *mapping = (struct exu_file_mapping){.start = start, .end = end, .offset = offset, .path = copy};
  }
  return fine;
}
