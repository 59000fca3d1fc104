/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks that greenlets share. The greenlets of a thread (gevent, eventlet, SQLAlchemy) run on one C stack in turn: a
 * switch copies away what is on it (slp_switch). A greenlet's own part ends at the frame of the function that started
 * it, g_initialstub; further out lies what other greenlets have left there, which has called nothing of this one. The
 * main greenlet of a thread has no such frame: its stack is the thread's.
 */

#include <string.h>

#include "base/str.h"
#include "binary/debug_file.h"
#include "native/function_table.h"
#include "native/unwind_private.h"

/*
 * greenlet 0.4 and 1.x are C: static functions, in .symtab. greenlet 2 and later are C++, whose functions are in
 * .dynsym too, so that they are known in stripped builds. Compilers put parts of a function elsewhere, under its name
 * with a suffix: ".cold", ".isra.0".
 */
static const char *const starters[] = {"g_initialstub", "_ZN8greenlet12UserGreenlet13g_initialstubEPv"};
static const char *const switchers[] = {"slp_switch", "g_switchstack", "_ZN8greenlet8Greenlet13g_switchstackEv"};

/*
 * What g_initialstub calls in the new greenlet only: in C what runs it, what traces that, and what follows its end; in
 * C++ all of that is one function, whose parameters differ between versions.
 */
static const char *const new_calls[] = {"g_calltrace", "g_handle_exit", "g_switch"};
static const char bootstrap[] = "_ZN8greenlet12UserGreenlet15inner_bootstrap";
static const char *const run_calls[] = {"PyObject_Call", "PyEval_CallObjectWithKeywords"};

/* Before the switch it gets the attribute `run`, which may execute Python code. */
static const char *const old_calls[] = {"PyObject_GetAttr", "PyObject_GetAttrString"};

enum { FUNCTION_MAX = 4096 }; /* bytes of code: g_initialstub has about 1200, slp_switch 140 */

#define COUNT(array) (sizeof(array) / sizeof *(array))

bool exu_greenlet_module(const struct exu_binary *module) {
  /* greenlet.so, greenlet.cpython-39-x86_64-linux-gnu.so, _greenlet.so, ... */
  const struct exu_string file = exu_base_name(module->path);
  return exu_string_starts(file, "greenlet.") || exu_string_starts(file, "_greenlet.");
}

/* The function that covers an address, without suffixes, as the linker knows it. */
static struct exu_string function_at(const struct exu_unwinder *unwinder, struct exu_binary *module, uint64_t address) {
  struct exu_elf_file *file = exu_modules_file_or_image(unwinder->modules, module);
  struct exu_elf_cover cover = {.address = address - module->bias};
  if (file) exu_elf_file_cover(file, &cover, 1, unwinder->arena);
  if (!cover.name.data && (file = exu_modules_debug_file(unwinder->modules, module)) != NULL)
    exu_elf_file_cover(file, &cover, 1, unwinder->arena);
  const char *suffix = cover.name.data ? memchr(cover.name.data, '.', cover.name.size) : NULL;
  if (suffix) cover.name.size = (size_t)(suffix - cover.name.data);
  return cover.name;
}

/* Is this address what another module knows by one of the names? */
static bool is_any_symbol(const struct exu_unwinder *unwinder, struct exu_binary *module, const char *const *names,
                          size_t count, uint64_t address) {
  struct exu_elf_file *file = exu_modules_file_or_image(unwinder->modules, module);
  for (size_t i = 0; file && i < count; i++) {
    struct exu_elf_symbol symbol;
    if (exu_elf_file_symbol(file, names[i], &symbol) && module->bias + symbol.value == address) return true;
  }
  return false;
}

static enum exu_greenlet_place place_of_call(const struct exu_unwinder *unwinder, const struct exu_binary *module,
                                             uint64_t target) {
  struct exu_binary *callee = exu_modules_find(unwinder->modules, target);
  if (!callee) return EXU_GREENLET_UNCERTAIN;
  if (callee == module) {
    struct exu_string name = function_at(unwinder, callee, target);
    bool begins = exu_string_starts(name, bootstrap);
    return begins || exu_string_is_among(name, new_calls, COUNT(new_calls)) ? EXU_GREENLET_FIRST
                                                                            : EXU_GREENLET_UNCERTAIN;
  }
  if (is_any_symbol(unwinder, callee, run_calls, COUNT(run_calls), target)) return EXU_GREENLET_FIRST;
  bool before = is_any_symbol(unwinder, callee, old_calls, COUNT(old_calls), target);
  return before ? EXU_GREENLET_NONE : EXU_GREENLET_UNCERTAIN;
}

/* ---- Without symbols --------------------------------------------------------------------------------------------- */

/* The code of a function that no symbol names; 0: it cannot be had, or is larger than any of those looked for. */
static size_t read_code(const struct exu_unwinder *unwinder, uint64_t address, uint64_t *start,
                        uint8_t code[FUNCTION_MAX]) {
  struct exu_function function;
  if (!exu_function_find(unwinder->process, unwinder->modules, address, &function)) return 0;
  if (function.end - function.start > FUNCTION_MAX) return 0;
  size_t size = (size_t)(function.end - function.start);
  *start = function.start;
  return exu_space_read(unwinder->process->space, function.start, code, size) == EXU_READABLE ? size : 0;
}

/* In the C versions nothing but g_initialstub calls a greenlet's `run`, and it does so directly. */
static bool calls_run(const struct exu_unwinder *unwinder, uint64_t start, const uint8_t *code, size_t size) {
  for (size_t end = 0; (end = unwinder->rules->next_call(code, size, end)) != 0;) {
    uint64_t target;
    if (!exu_unwind_call_target(unwinder, start + end, &target)) continue;
    struct exu_binary *callee = exu_modules_find(unwinder->modules, target);
    if (callee && is_any_symbol(unwinder, callee, run_calls, COUNT(run_calls), target)) return true;
  }
  return false;
}

static bool has_starter(const struct exu_unwinder *unwinder, struct exu_binary *module) {
  struct exu_elf_symbol symbol;
  struct exu_elf_file *file = exu_modules_file_or_image(unwinder->modules, module);
  for (size_t i = 0; file && i < COUNT(starters); i++)
    if (exu_elf_file_symbol(file, starters[i], &symbol)) return true;
  return false;
}

/* ---- Both -------------------------------------------------------------------------------------------------------- */

enum exu_greenlet_place exu_greenlet_place(const struct exu_unwinder *unwinder, struct exu_binary *module,
                                           uint64_t address) {
  uint64_t target, start = 0;
  uint8_t code[FUNCTION_MAX];
  struct exu_string function = function_at(unwinder, module, address);
  bool starter = exu_string_is_among(function, starters, COUNT(starters));
  if (exu_string_is_among(function, switchers, COUNT(switchers))) return EXU_GREENLET_SWITCH;
  if (!function.data) {
    size_t size = read_code(unwinder, address, &start, code);
    /* slp_switch moves to another part of the stack, by inline assembly in all versions. */
    if (unwinder->rules->moves_stack(code, size)) return EXU_GREENLET_SWITCH;
    starter = !has_starter(unwinder, module) && calls_run(unwinder, start, code, size);
  }
  if (!starter) return EXU_GREENLET_NONE;
  if (!exu_unwind_call_target(unwinder, address + 1, &target)) return EXU_GREENLET_UNCERTAIN;
  return place_of_call(unwinder, module, target);
}
