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
  if (!exu_py_get(py, interpreter, py->runtime->layout.interp_threads_head, &tstate)) return false;
  if (tstate == 0) return may_be_empty;
  return exu_py_plausible(tstate) && exu_py_get(py, tstate, py->runtime->layout.tstate_interp, &owner) &&
         owner == interpreter;
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
                           .module = py->runtime->module ? py->runtime->module->path : (struct exu_string){NULL, 0},
                           .version = py->runtime->version_text};
}

/* Variables of the library up to 3.6, when interpreters and the GIL had no structure yet. False: it has none. */
static bool find_variables(struct exu_py_candidate *candidate, const struct exu_binary *module,
                           struct exu_elf_file *file) {
  const uint64_t interp_head = variable(module, file, "interp_head");
  const uint64_t current_tstate = variable(module, file, "_PyThreadState_Current");
  if (!interp_head && !current_tstate) return false;
  candidate->runtime.variables = (struct exu_py_variables){
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
  struct exu_elf_file *file = py->runtime->module ? exu_modules_file_or_image(py->modules, py->runtime->module) : NULL;
  if (exu_py_has(py->runtime->layout.interp_import_lock) || py->import_lock_sought || !file) return;
  py->import_lock_sought = true;
  py->import_lock = variable(py->runtime->module, file, "import_lock");
  py->import_lock_owner = variable(py->runtime->module, file, "import_lock_thread");
}

/* Py_Version (3.11 and later) holds PY_VERSION_HEX; it lies in read-only data, which only the file has. */
static bool version_from_symbol(struct exu_py_candidate *candidate, const struct exu_binary *module,
                                struct exu_elf_file *file) {
  uint64_t address = variable(module, file, "Py_Version"), value;
  if (!address || !exu_py_word(&candidate->py, address, &value) || value >> 24 < 3 || value >> 24 > 4) return false;
  exu_py_set_version(candidate, exu_version_of_hex((uint32_t)value), true);
  return true;
}

/* Without debug offsets: the version, then DWARF, then the table. */
static bool choose_layout(struct exu_py_candidate *candidate, struct exu_binary *module, struct exu_elf_file *file,
                          struct exu_py_attempts *attempts) {
  candidate->runtime.debug = EXU_UNKNOWN;
  candidate->runtime.build = (struct exu_build){0};
  if (!version_from_symbol(candidate, module, file) && !exu_py_version_from_text(candidate, module) &&
      !exu_py_version_from_path(candidate, module->path)) {
    return false;
  }
  candidate->runtime.debug = exu_py_is_debug_build(&candidate->py, module);
  candidate->runtime.build.debug = candidate->runtime.debug == EXU_YES;
  if (exu_py_layout_from_dwarf(candidate, module)) return true;
  if (exu_py_layout_from_table(candidate, candidate->runtime.debug == EXU_YES)) return true;
  exu_py_add_copy(attempts, &candidate->py, EXU_PY_COPY_UNSUPPORTED, candidate->runtime.address);
  return false;
}

/* Does the list begin with an interpreter? One that is still without thread states counts. */
static enum exu_py_sight look_at_list(struct exu_py_candidate *candidate, uint64_t head,
                                      struct exu_py_attempts *attempts) {
  if (exu_py_is_interpreter(&candidate->py, head, true)) {
    candidate->runtime.interpreters = head;
    return EXU_PY_RUNS;
  }
  exu_py_add_copy(attempts, &candidate->py, head ? EXU_PY_COPY_DAMAGED : EXU_PY_COPY_UNUSED,
                  candidate->runtime.address);
  return EXU_PY_SEEN;
}

static enum exu_py_sight find_runtime(struct exu_py_candidate *candidate, struct exu_binary *module,
                                      struct exu_elf_file *file, uint64_t runtime, struct exu_py_attempts *attempts) {
  struct exu_error error = {0};
  uint64_t head = 0;
  candidate->runtime.module = module;
  candidate->runtime.address = runtime;
  if (exu_py_layout_from_debug_offsets(candidate, runtime, &error)) {
    candidate->runtime.debug = exu_py_is_debug_build(&candidate->py, module);
  } else if (!choose_layout(candidate, module, file, attempts)) {
    return candidate->runtime.version_text.data ? EXU_PY_SEEN : EXU_PY_UNKNOWN;
  }
  if (!exu_py_get(&candidate->py, runtime, candidate->runtime.layout.runtime_interpreters_head, &head))
    return EXU_PY_UNKNOWN;
  return look_at_list(candidate, head, attempts);
}

/*
 * Up to 3.6: the head of the list of interpreters is a static variable, which stripped files do not name; the thread
 * that holds the GIL leads to it, and while none does a thread's descriptor.
 */
static enum exu_py_sight find_old_runtime(struct exu_py_candidate *candidate, struct exu_binary *module,
                                          struct exu_elf_file *file, struct exu_py_attempts *attempts) {
  uint64_t head = 0, tstate = 0;
  if (!find_variables(candidate, module, file)) return EXU_PY_ABSENT;
  candidate->runtime.module = module;
  if (!choose_layout(candidate, module, file, attempts) || exu_py_has(candidate->runtime.layout.runtime_size))
    return EXU_PY_UNKNOWN;
  if (!candidate->runtime.variables.finalizing)
    candidate->runtime.variables.initialized = find_initialized(&candidate->py, module, file);
  if (candidate->runtime.variables.interp_head)
    return exu_py_word(&candidate->py, candidate->runtime.variables.interp_head, &head)
               ? look_at_list(candidate, head, attempts)
               : EXU_PY_UNKNOWN;
  if (!exu_py_word(&candidate->py, candidate->runtime.variables.current_tstate, &tstate)) return EXU_PY_UNKNOWN;
  if (exu_py_plausible(tstate) && exu_py_get(&candidate->py, tstate, candidate->runtime.layout.tstate_interp, &head) &&
      exu_py_is_interpreter(&candidate->py, head, false)) {
    candidate->runtime.interpreters = head;
    return EXU_PY_RUNS;
  }
  candidate->runtime.found_by = EXU_FOUND_BY_THREAD_POINTER;
  if (exu_py_search_thread_states(candidate, module, attempts)) return EXU_PY_RUNS;
  exu_py_add_copy(attempts, &candidate->py, EXU_PY_COPY_UNUSED, 0);
  return EXU_PY_SEEN;
}

enum exu_py_sight exu_py_find_in_file(struct exu_py_candidate *candidate, struct exu_binary *module,
                                      struct exu_py_attempts *attempts) {
  struct exu_elf_file *file = exu_modules_file_or_image(candidate->py.modules, module);
  uint64_t address, size;
  if (!file) return EXU_PY_UNKNOWN;
  candidate->runtime.found_by = EXU_FOUND_BY_SYMBOL;
  if ((address = variable(module, file, "_PyRuntime"))) return find_runtime(candidate, module, file, address, attempts);
  candidate->runtime.found_by = EXU_FOUND_BY_SECTION;
  if (exu_elf_file_section(file, ".PyRuntime", &address, &size))
    return find_runtime(candidate, module, file, module->bias + address, attempts);
  candidate->runtime.found_by = EXU_FOUND_BY_SYMBOL;
  enum exu_py_sight sight = find_old_runtime(candidate, module, file, attempts);
  return sight == EXU_PY_ABSENT && exu_elf_file_symbols(file) == EXU_SYMBOLS_NONE ? EXU_PY_UNKNOWN : sight;
}
