/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unwind CORE: unwind every thread of a core, without symbols and without Python, and print one line:
 *
 *     <native frames> <CPU time, us>
 *
 * Opening the binaries and their unwinding tables is part of it. Exit status 1: the core cannot be read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "binary/modules.h"
#include "native/unwind.h"

static long long cpu_time_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool unwind_all(const struct exu_process *process, struct exu_modules *modules, struct exu_arena *arena) {
  struct exu_unwinder *unwinder = exu_unwinder_create(process, modules, arena);
  struct exu_native_stack stack = {0};
  size_t frames = 0;
  bool done = unwinder != NULL;
  long long start = cpu_time_us();
  for (size_t i = 0; i < process->thread_count && done; i++) {
    stack.frames.count = 0;
    done = exu_unwind(unwinder, &process->threads[i], 0, &stack);
    frames += stack.frames.count;
  }
  if (done) printf("%zu %lld\n", frames, cpu_time_us() - start);
  exu_unwinder_destroy(unwinder);
  return done;
}

int main(int argc, char **argv) {
  static const struct exu_options options = EXU_OPTIONS_DEFAULT;
  struct exu_arena arena;
  struct exu_diagnostics diagnostics;
  struct exu_process process;
  struct exu_modules modules;
  struct exu_error error;
  bool done = false;
  if (argc != 2) {
    fprintf(stderr, "usage: unwind CORE\n");
    return EXIT_FAILURE;
  }
  exu_arena_init(&arena, (size_t)1 << 30);
  exu_diagnostics_init(&diagnostics, &arena);
  if (!exu_process_open_core(argv[1], &arena, &diagnostics, &process, &error)) {
    fprintf(stderr, "unwind: %s: %s\n", argv[1], error.message);
    exu_arena_deinit(&arena);
    return EXIT_FAILURE;
  }
  if (exu_modules_init(&modules, &process, &options, &arena, &diagnostics)) {
    exu_space_set_backing(process.space, exu_modules_back_region, &modules);
    done = unwind_all(&process, &modules, &arena);
    exu_modules_deinit(&modules);
  }
  exu_process_close(&process);
  exu_arena_deinit(&arena);
  return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
