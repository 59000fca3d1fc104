/* SPDX-License-Identifier: Apache-2.0 */
#include "process/crash_place.h"

#include <string.h>

#include "base/search.h"
#include "base/str.h"
#include "process/obstacle.h"
#include "process/signal_names.h"

/*
 * How far below the end of a stack an overflow is looked for: the kernel keeps 1 MiB below the main thread's stack
 * free, a thread's guard page is smaller. And how near to its end a thread must be to have overflowed it: a frame
 * may reserve much, and touch the far end first.
 */
static const uint64_t guard_reach = UINT64_C(1) << 20;
static const uint64_t nearly_full = UINT64_C(1) << 16;

static bool is_writable(const struct exu_region *region) { return region && (region->prot & EXU_PROT_WRITE); }

/* The thread whose stack contains the address, or NULL. */
static const struct exu_os_thread *owner_of_stack(const struct exu_process *process, const struct exu_region *region,
                                                  uint64_t address) {
  enum { THREAD_BLOCK = 4096 }; /* the C library puts a thread's own block at the top of its stack */
  for (size_t i = 0; i < process->thread_count; i++) {
    const struct exu_registers *registers = &process->threads[i].registers;
    if (!registers->valid || registers->sp < region->start || registers->sp >= region->end) continue;
    /* What the kernel merged into one mapping above the stack is not the stack. */
    uint64_t block = registers->has_thread_pointer ? registers->thread_pointer : 0;
    if (block > registers->sp && block < region->end && address > block && address - block >= THREAD_BLOCK) continue;
    return &process->threads[i];
  }
  return NULL;
}

/* The crashed thread's stack: where its stack pointer is, or just above when that has left the stack already. */
static const struct exu_region *stack_of_crash(const struct exu_process *process) {
  if (!process->scene.thread || !process->scene.registers.valid) return NULL;
  const uint64_t sp = process->scene.registers.sp;
  const struct exu_region *stack = exu_space_find(process->space, sp);
  if (is_writable(stack)) return stack;
  size_t count;
  const struct exu_region *regions = exu_space_regions(process->space, &count);
  const size_t next = EXU_PARTITION_POINT(i, count, regions[i].start <= sp);
  stack = next < count && regions[next].start - sp <= guard_reach ? &regions[next] : NULL;
  return is_writable(stack) ? stack : NULL;
}

/* Has the crashed thread come to the end of its stack, and is the address just below it? */
static bool is_below_stack(const struct exu_process *process, uint64_t address) {
  const struct exu_region *below = exu_space_find(process->space, address);
  if (below && below->prot != 0) return false;
  const struct exu_region *stack = stack_of_crash(process);
  if (!stack || address >= stack->start || stack->start - address > guard_reach) return false;
  const uint64_t sp = process->scene.registers.sp;
  return sp < stack->start || sp - stack->start < nearly_full;
}

bool exu_crash_stack_is_full(const struct exu_process *process) {
  enum { FRAME_MAX = 4096 }; /* struct rt_sigframe with the floating point state of AVX-512 */
  const struct exu_region *stack = stack_of_crash(process);
  if (exu_obstacle_find(process, &process->scene.registers).kind != EXU_OBSTACLE_NONE) return false;
  return stack &&
         (process->scene.registers.sp < stack->start || process->scene.registers.sp - stack->start < FRAME_MAX);
}

/*
 * Linux 6.13 can make a guard page inside a mapping (MADV_GUARD_INSTALL), and glibc 2.42 does so for the stacks of
 * threads: the page belongs to the stack's mapping, which can be written, and yet the fault there says that nothing is
 * mapped.
 */
static bool is_guard_inside(const struct exu_process *process, const struct exu_region *region, uint64_t address) {
  const struct exu_crash *crash = process->crash;
  if (!process->scene.thread || !process->scene.registers.valid || !is_writable(region)) return false;
  if (!crash || crash->signal != EXU_SIGSEGV || !crash->has_code || crash->code != EXU_SEGV_MAPERR) return false;
  if (!crash->has_address || crash->address != address) return false;
  uint64_t sp = process->scene.registers.sp;
  if (sp < region->start || sp >= region->end) return false;
  return (sp < address ? address - sp : sp - address) < nearly_full;
}

static const char *protection_of(const struct exu_region *region) {
  static const char *const words[] = {"---", "r--", "-w-", "rw-", "--x", "r-x", "-wx", "rwx"};
  if (region->prot & EXU_PROT_UNKNOWN) return NULL;
  return words[(region->prot & EXU_PROT_READ ? 1 : 0) | (region->prot & EXU_PROT_WRITE ? 2 : 0) |
               (region->prot & EXU_PROT_EXEC ? 4 : 0)];
}

struct exu_crash_place exu_crash_place(const struct exu_process *process, uint64_t address) {
  const struct exu_region *region = exu_space_find(process->space, address);
  const struct exu_file_mapping *mapping = exu_process_mapping(process, address);
  struct exu_crash_place place = {.protection = region ? protection_of(region) : NULL, .tid = -1};
  if (mapping) {
    place.kind = EXU_CRASH_AT_FILE;
    place.path = mapping->path;
    return place;
  }
  if (is_below_stack(process, address) || is_guard_inside(process, region, address)) {
    place.kind = region ? EXU_CRASH_AT_GUARD_PAGE : EXU_CRASH_BELOW_STACK;
    place.tid = process->scene.thread->tid;
    return place;
  }
  if (!region) {
    place.kind = EXU_CRASH_AT_NOTHING;
    return place;
  }
  const struct exu_os_thread *owner = is_writable(region) ? owner_of_stack(process, region, address) : NULL;
  if (process->auxv.vdso && address >= process->auxv.vdso && region->start <= process->auxv.vdso) {
    place.kind = EXU_CRASH_AT_VDSO;
  } else if (owner) {
    place.kind = EXU_CRASH_AT_STACK;
    place.tid = owner->tid;
  } else {
    place.kind = region->prot == 0 ? EXU_CRASH_AT_RESERVED : EXU_CRASH_AT_ANONYMOUS;
  }
  return place;
}

/* Does the second mapping go on where the first one ends? The kernel splits a mapping where it was mprotect()ed. */
static bool goes_on(const struct exu_file_mapping *first, const struct exu_file_mapping *second) {
  return first->end == second->start && second->offset > first->offset &&
         second->offset - first->offset == first->end - first->start && exu_string_equal(first->path, second->path);
}

struct exu_crash_file exu_crash_file(const struct exu_process *process, uint64_t address) {
  struct exu_crash_file file = {.length = -1, .changed = EXU_UNKNOWN};
  const struct exu_file_mapping *first = exu_process_mapping(process, address), *last = first;
  if (!first || !first->path.data) return file;
  const struct exu_file_mapping *const end = process->mappings + process->mapping_count;
  while (first > process->mappings && goes_on(first - 1, first)) first--;
  while (last + 1 < end && goes_on(last, last + 1)) last++;
  if (last->end - first->start > INT64_MAX || first->offset > INT64_MAX) return file; /* no file is that long */
  file.path = first->path;
  file.position = first->offset + (address - first->start);
  file.mapped_from = first->offset;
  file.mapped_bytes = last->end - first->start;
  return file;
}

/* Is a fault of this access at all possible, as the region at the address is mapped? */
static enum exu_access agree(enum exu_access access, const struct exu_region *region, bool by_permission) {
  if (access == EXU_ACCESS_MODIFY) {
    /* The read comes first. When it cannot have failed, it was the write; else the processor does not tell. */
    bool read_works = by_permission && region && region->prot != 0;
    access = read_works ? EXU_ACCESS_WRITE : EXU_ACCESS_UNKNOWN;
  }
  if (!by_permission || !region || (region->prot & EXU_PROT_UNKNOWN)) return access;
  return exu_region_forbids(region, access) ? access : EXU_ACCESS_UNKNOWN;
}

static enum exu_access find_access(const struct exu_process *process, const struct exu_crash *crash) {
  if (!crash->has_address || !process->scene.thread) return EXU_ACCESS_UNKNOWN;
  if (process->scene.access != EXU_ACCESS_UNKNOWN) return process->scene.access;
  const struct exu_registers *registers = &process->scene.registers;
  bool segv = crash->signal == EXU_SIGSEGV && (crash->code == EXU_SEGV_MAPERR || crash->code == EXU_SEGV_ACCERR);
  if (!registers->valid || (!segv && crash->signal != EXU_SIGBUS)) return EXU_ACCESS_UNKNOWN;

  const struct exu_region *region = exu_space_find(process->space, crash->address);
  if (segv && crash->address == registers->pc && (!region || !(region->prot & (EXU_PROT_EXEC | EXU_PROT_UNKNOWN))))
    return EXU_ACCESS_EXECUTE;

  uint8_t code[EXU_INSTRUCTION_MAX];
  size_t size = exu_space_read_some(process->space, registers->pc, code, sizeof code);
  return agree(exu_arch_access(process->arch, code, size, registers, crash->address), region, segv);
}

enum exu_crash_access exu_crash_access(const struct exu_process *process, const struct exu_crash *crash) {
  switch (find_access(process, crash)) {
  case EXU_ACCESS_READ: return EXU_CRASH_READS;
  case EXU_ACCESS_WRITE: return EXU_CRASH_WRITES;
  case EXU_ACCESS_EXECUTE: return EXU_CRASH_EXECUTES;
  default: return EXU_CRASH_ACCESS_UNKNOWN;
  }
}
