/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the runtime through the symbols or the sections of a file on this machine. */
#include <string.h>

#include "binary/debug_file.h"
#include "python/runtime/build.h"
#include "python/runtime/find.h"
#include "python/runtime/version.h"

bool exu_py_is_interpreter(const struct exu_py *py, uint64_t interpreter, bool may_be_empty) {
  uint64_t tstate, owner;
  if (!exu_py_plausible(interpreter)) return false;
  if (!exu_py_get(py, interpreter, py->layout.interp_threads_head, &tstate)) return false;
  if (tstate == 0) return may_be_empty;
  return exu_py_plausible(tstate) && exu_py_get(py, tstate, py->layout.tstate_interp, &owner) && owner == interpreter;
}

static uint64_t variable(const struct exu_binary *module, struct exu_elf_file *file, const char *name) {
  struct exu_elf_symbol symbol;
  return exu_elf_file_symbol(file, name, &symbol) ? module->bias + symbol.value : 0;
}

void exu_py_add_copy(struct exu_py_attempts *attempts, const struct exu_py *py, enum exu_py_copy_state state,
                     uint64_t runtime) {
  for (size_t i = 0; i < attempts->count; i++) {
    if (runtime && attempts->copies[i].address == runtime) return;
  }
  if (attempts->count == EXU_PY_COPIES_MAX) return;
  attempts->copies[attempts->count++] =
      (struct exu_py_copy){.state = state,
                           .address = runtime,
                           .module = py->module ? py->module->path : (struct exu_string){NULL, 0},
                           .version = py->version_text};
}

/* Variables of the library up to 3.6, when interpreters and the GIL had no structure yet. False: it has none. */
static bool find_variables(struct exu_py *py, const struct exu_binary *module, struct exu_elf_file *file) {
  const uint64_t interp_head = variable(module, file, "interp_head");
  const uint64_t current_tstate = variable(module, file, "_PyThreadState_Current");
  if (!interp_head && !current_tstate) return false;
  py->variables = (struct exu_py_variables){
      .interp_head = interp_head,
      .current_tstate = current_tstate,
      .gc_collecting = variable(module, file, "collecting"),
      .gil_cond = variable(module, file, "gil_cond"),
      .gil_mutex = variable(module, file, "gil_mutex"),
      .switch_cond = variable(module, file, "switch_cond"),
      .switch_mutex = variable(module, file, "switch_mutex"),
      .gil_lock = variable(module, file, "interpreter_lock"),
      .finalizing = variable(module, file, "_Py_Finalizing"),
  };
  return true;
}

/* 2.7 has several static variables `initialized`: that of Py_IsInitialized, which does nothing but return it. */
static uint64_t find_initialized(const struct exu_py *py, const struct exu_binary *module, struct exu_elf_file *file) {
  uint8_t code[32];
  const uint64_t function = variable(module, file, "Py_IsInitialized");
  if (!function || !py->process->arch->returned_variable) return 0;
  size_t size = exu_space_read_some(py->space, function, code, sizeof code);
  return py->process->arch->returned_variable(function, code, size);
}

void exu_py_find_import_lock(struct exu_py *py) {
  struct exu_elf_file *file = py->module ? exu_modules_file_or_image(py->modules, py->module) : NULL;
  if (exu_py_has(py->layout.interp_import_lock) || py->variables.import_lock_sought || !file) return;
  py->variables.import_lock_sought = true;
  py->variables.import_lock = variable(py->module, file, "import_lock");
  py->variables.import_lock_owner = variable(py->module, file, "import_lock_thread");
}

/* Py_Version (3.11 and later) holds PY_VERSION_HEX; it lies in read-only data, which only the file has. */
static bool version_from_symbol(struct exu_py *py, const struct exu_binary *module, struct exu_elf_file *file) {
  uint64_t address = variable(module, file, "Py_Version"), value;
  if (!address || !exu_py_word(py, address, &value) || value >> 24 < 3 || value >> 24 > 4) return false;
  exu_py_set_version(py, exu_version_of_hex((uint32_t)value), true);
  return true;
}

/* Without debug offsets: the version, then DWARF, then the table. */
static bool choose_layout(struct exu_py *py, struct exu_binary *module, struct exu_elf_file *file,
                          struct exu_py_attempts *attempts) {
  py->debug = EXU_UNKNOWN;
  py->build = (struct exu_build){0};
  if (!version_from_symbol(py, module, file) && !exu_py_version_from_text(py, module) &&
      !exu_py_version_from_path(py, module->path)) {
    return false;
  }
  py->debug = exu_py_is_debug_build(py, module);
  py->build.debug = py->debug == EXU_YES;
  if (exu_py_layout_from_dwarf(py, module)) return true;
  if (exu_py_layout_from_table(py, py->debug == EXU_YES)) return true;
  exu_py_add_copy(attempts, py, EXU_PY_COPY_UNSUPPORTED, py->runtime);
  return false;
}

/* Does the list begin with an interpreter? One that is still without thread states counts. */
static enum exu_py_sight look_at_list(struct exu_py *py, uint64_t head, struct exu_py_attempts *attempts) {
  if (exu_py_is_interpreter(py, head, true)) {
    py->interpreters = head;
    return EXU_PY_RUNS;
  }
  exu_py_add_copy(attempts, py, head ? EXU_PY_COPY_DAMAGED : EXU_PY_COPY_UNUSED, py->runtime);
  return EXU_PY_SEEN;
}

static enum exu_py_sight find_runtime(struct exu_py *py, struct exu_binary *module, struct exu_elf_file *file,
                                      uint64_t runtime, struct exu_py_attempts *attempts) {
  struct exu_error error = {0};
  uint64_t head = 0;
  py->module = module;
  py->runtime = runtime;
  if (exu_py_layout_from_debug_offsets(py, runtime, &error)) {
    py->debug = exu_py_is_debug_build(py, module);
  } else if (!choose_layout(py, module, file, attempts)) {
    return py->version_text.data ? EXU_PY_SEEN : EXU_PY_UNKNOWN;
  }
  if (!exu_py_get(py, runtime, py->layout.runtime_interpreters_head, &head)) return EXU_PY_UNKNOWN;
  return look_at_list(py, head, attempts);
}

/*
 * Up to 3.6: the head of the list of interpreters is a static variable, which stripped files do not name; the thread
 * that holds the GIL leads to it, and while none does a thread's descriptor.
 */
static enum exu_py_sight find_old_runtime(struct exu_py *py, struct exu_binary *module, struct exu_elf_file *file,
                                          struct exu_py_attempts *attempts) {
  uint64_t head = 0, tstate = 0;
  if (!find_variables(py, module, file)) return EXU_PY_ABSENT;
  py->module = module;
  if (!choose_layout(py, module, file, attempts) || exu_py_has(py->layout.runtime_size)) return EXU_PY_UNKNOWN;
  if (!py->variables.finalizing) py->variables.initialized = find_initialized(py, module, file);
  if (py->variables.interp_head)
    return exu_py_word(py, py->variables.interp_head, &head) ? look_at_list(py, head, attempts) : EXU_PY_UNKNOWN;
  if (!exu_py_word(py, py->variables.current_tstate, &tstate)) return EXU_PY_UNKNOWN;
  if (exu_py_plausible(tstate) && exu_py_get(py, tstate, py->layout.tstate_interp, &head) &&
      exu_py_is_interpreter(py, head, false)) {
    py->interpreters = head;
    return EXU_PY_RUNS;
  }
  py->found_by = EXU_FOUND_BY_THREAD_POINTER;
  if (exu_py_search_thread_states(py, module, attempts)) return EXU_PY_RUNS;
  exu_py_add_copy(attempts, py, EXU_PY_COPY_UNUSED, 0);
  return EXU_PY_SEEN;
}

enum exu_py_sight exu_py_find_in_file(struct exu_py *py, struct exu_binary *module, struct exu_py_attempts *attempts) {
  struct exu_elf_file *file = exu_modules_file_or_image(py->modules, module);
  uint64_t address, size;
  if (!file) return EXU_PY_UNKNOWN;
  py->found_by = EXU_FOUND_BY_SYMBOL;
  if ((address = variable(module, file, "_PyRuntime"))) return find_runtime(py, module, file, address, attempts);
  py->found_by = EXU_FOUND_BY_SECTION;
  if (exu_elf_file_section(file, ".PyRuntime", &address, &size))
    return find_runtime(py, module, file, module->bias + address, attempts);
  py->found_by = EXU_FOUND_BY_SYMBOL;
  enum exu_py_sight sight = find_old_runtime(py, module, file, attempts);
  return sight == EXU_PY_ABSENT && exu_elf_file_symbols(file) == EXU_SYMBOLS_NONE ? EXU_PY_UNKNOWN : sight;
}
