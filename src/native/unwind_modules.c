/* SPDX-License-Identifier: Apache-2.0 */
/* Modules and their unwinding information: reported by us, opened by us, never searched for by libdwfl. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/guard.h"
#include "binary/debug_file.h"
#include "native/unwind_private.h"

/* Names that libdwfl knows modules by; the rest is the number. */
static const char JIT_NAME[] = "jit";

/* Another descriptor of the file, for libdwfl to close; a program that somebody starts meanwhile does not get it. */
static int duplicate(const struct exu_elf_file *file) { return fcntl(exu_elf_file_fd(file), F_DUPFD_CLOEXEC, 0); }

/* A module by its own file or, without one, by its image in the core; libdwfl closes the descriptor. */
static int find_elf(Dwfl_Module *dwfl_module, void **userdata, const char *name, Dwarf_Addr base, char **file_name,
                    Elf **elf) {
  struct exu_unwinder *unwinder = *userdata;
  (void)dwfl_module;
  *file_name = NULL;
  *elf = NULL;
  if (strncmp(name, JIT_NAME, sizeof JIT_NAME - 1) == 0) {
    size_t index = strtoul(name + sizeof JIT_NAME - 1, NULL, 10);
    if (index >= unwinder->jit.list.count) return -1;
    struct exu_elf_file *image = exu_jit_images_file(&unwinder->jit, &unwinder->jit.list.items[index]);
    return image ? duplicate(image) : -1;
  }
  struct exu_binary *module = exu_modules_find(unwinder->modules, base);
  struct exu_elf_file *file = module ? exu_modules_file_or_image(unwinder->modules, module) : NULL;
  return file ? duplicate(file) : -1;
}

/* Asked when .eh_frame does not know an address: .debug_frame may be in the separate file. */
static int find_debug(Dwfl_Module *dwfl_module, void **userdata, const char *name, Dwarf_Addr base,
                      const char *file_name, const char *link, GElf_Word crc, char **debuginfo_name) {
  struct exu_unwinder *unwinder = *userdata;
  (void)dwfl_module, (void)file_name, (void)link, (void)crc;
  *debuginfo_name = NULL;
  if (strncmp(name, JIT_NAME, sizeof JIT_NAME - 1) == 0) return -1;
  struct exu_binary *module = exu_modules_find(unwinder->modules, base);
  struct exu_elf_file *file = module ? exu_modules_debug_file(unwinder->modules, module) : NULL;
  uint64_t address, size;
  /* Opening it costs libdw the unpacking of all that is packed: only for what is asked. */
  if (!file || !exu_elf_file_section(file, ".debug_frame", &address, &size)) return -1;
  return duplicate(file);
}

static bool report(struct exu_unwinder *unwinder, const char *name, uint64_t start, uint64_t end) {
  Dwfl_Module *reported = dwfl_report_module(unwinder->dwfl, name, start, end);
  void **userdata;
  if (!reported) return false;
  dwfl_module_info(reported, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
  *userdata = unwinder;
  return true;
}

bool exu_unwind_report_modules(struct exu_unwinder *unwinder) {
  unwinder->callbacks = (Dwfl_Callbacks){.find_elf = find_elf, .find_debuginfo = find_debug};
  unwinder->dwfl = dwfl_begin(&unwinder->callbacks);
  if (!unwinder->dwfl) return false;
  dwfl_report_begin(unwinder->dwfl);
  uint64_t end = 0;
  for (size_t i = 0; i < unwinder->modules->count; i++) {
    const struct exu_binary *module = &unwinder->modules->items[i];
    char name[32];
    snprintf(name, sizeof name, "%zu", i);
    if (module->start < end || module->end <= module->start) continue; /* libdwfl wants them disjoint */
    end = module->end;
    report(unwinder, name, module->start, module->end);
  }
  return dwfl_report_end(unwinder->dwfl, NULL, NULL) == 0;
}

bool exu_unwind_find_jit(struct exu_unwinder *unwinder, uint64_t address) {
  if (unwinder->jit_tried) return false; /* every image is reported already */
  unwinder->jit_tried = true;
  exu_jit_images_read(&unwinder->jit);
  if (unwinder->jit.list.count == 0) return false;
  bool found = false;
  dwfl_report_begin_add(unwinder->dwfl);
  for (size_t i = 0; i < unwinder->jit.list.count; i++) {
    const struct exu_jit_code *code = &unwinder->jit.list.items[i];
    char name[32];
    snprintf(name, sizeof name, "%s%zu", JIT_NAME, i);
    if (report(unwinder, name, code->start, code->end)) found |= address >= code->start && address < code->end;
  }
  dwfl_report_end(unwinder->dwfl, NULL, NULL);
  exu_map_clear(&unwinder->codes); /* what had no unwinding information may have some now */
  return found;
}

/* ---- Unwinding information --------------------------------------------------------------------------------------- */

enum {
  EXECUTABLE = 1,
  CFI = 2,
  SIGNAL = 4,
  START = 8,
  NO_CALL = 16,
  GREENLET = 32 /* times exu_greenlet_place */
};

static bool frame_at(Dwarf_CFI *cfi, Dwarf_Addr address, int return_address, unsigned *bits) {
  Dwarf_Frame *frame EXU_GUARD(free) = NULL;
  bool signal = false;
  Dwarf_Op memory[3], *ops;
  size_t count;
  if (!cfi || dwarf_cfi_addrframe(cfi, address, &frame) != 0) {
    frame = NULL;
    return false;
  }
  *bits |= CFI;
  dwarf_frame_info(frame, NULL, NULL, &signal);
  if (signal) *bits |= SIGNAL;
  /* No operations, yet not "the same value": undefined. */
  if (dwarf_frame_register(frame, return_address, memory, &ops, &count) == 0 && count == 0 && ops == memory)
    *bits |= START;
  return true;
}

static enum exu_greenlet_place greenlet_place(const struct exu_unwinder *unwinder, uint64_t address) {
  struct exu_binary *module = exu_modules_find(unwinder->modules, address);
  return module && exu_greenlet_module(module) ? exu_greenlet_place(unwinder, module, address) : EXU_GREENLET_NONE;
}

static unsigned look_up(struct exu_unwinder *unwinder, uint64_t address) {
  unsigned bits = 0;
  Dwarf_Addr bias;
  if (exu_unwind_is_executable(unwinder, address)) bits |= EXECUTABLE;
  if (exu_unwind_is_no_return_address(unwinder, address + 1)) bits |= NO_CALL;
  bits |= GREENLET * (unsigned)greenlet_place(unwinder, address);
  Dwfl_Module *module = bits & EXECUTABLE ? dwfl_addrmodule(unwinder->dwfl, address) : NULL;
  if (!module) return bits;
  /* The same order as libdwfl's, which must find what is found here. */
  Dwarf_CFI *cfi = dwfl_module_eh_cfi(module, &bias);
  if (cfi && frame_at(cfi, address - bias, unwinder->rules->pc, &bits)) return bits;
  cfi = dwfl_module_dwarf_cfi(module, &bias);
  if (cfi) frame_at(cfi, address - bias, unwinder->rules->pc, &bits);
  return bits;
}

bool exu_unwind_code(struct exu_unwinder *unwinder, uint64_t address, struct exu_code *code) {
  bool is_new = false;
  unsigned bits = 0;
  if (address != 0) {
    uint64_t *known = exu_map_insert_number(&unwinder->codes, address, &is_new);
    if (!known) return false;
    if (is_new) *known = look_up(unwinder, address);
    bits = (unsigned)*known;
  }
  *code = (struct exu_code){.executable = (bits & EXECUTABLE) != 0,
                            .cfi = (bits & CFI) != 0,
                            .signal = (bits & SIGNAL) != 0,
                            .start = (bits & START) != 0,
                            .no_call = (bits & NO_CALL) != 0,
                            .greenlet = (enum exu_greenlet_place)(bits / GREENLET)};
  return true;
}
