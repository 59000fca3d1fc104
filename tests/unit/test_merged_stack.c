/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown of a thread whose native frames and Python frames are known: gaps, and what they leave out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

#include "report/merged_stack.h"
#include "small_process.h"

enum { TID = 7, X86_64 = 62, SP = SMALL_BASE + 0x100, FRAME = 0x40, NATIVES = 4 };

/* One thread of one runtime, with one Python frame. */
struct scene {
  struct small_process small;
  struct exu_diagnostics diagnostics;
  struct exu_stack_runtime runtime;
  struct exu_stack_builder builder;
  struct exu_native_call calls[NATIVES];
  struct exu_native_place places[NATIVES];
  struct exu_native_frame frames[NATIVES];
  struct exu_native_thread native;
  struct exu_py_code code;
  struct exu_py_frame python;
  struct exu_chain chain;
  struct exu_stack_parts parts;
  struct exu_thread thread;
};

#define TEXT(text) ((struct exu_string){text, sizeof text - 1})

static void scene_create(struct scene *scene, bool by_marker, enum exu_unwind_end end) {
  *scene = (struct scene){.runtime = {.module = -1, .by_marker = by_marker}};
  small_process_create(&scene->small, X86_64);
  exu_diagnostics_init(&scene->diagnostics, &scene->small.arena);
  scene->builder = (struct exu_stack_builder){.arena = &scene->small.arena,
                                              .diagnostics = &scene->diagnostics,
                                              .process = &scene->small.process,
                                              .runtimes = &scene->runtime,
                                              .runtime_count = 1};
  scene->native = (struct exu_native_thread){.frames = scene->frames, .end = end};
  scene->code = (struct exu_py_code){.valid = true, .function = TEXT("work"), .file = TEXT("work.py")};
  scene->python = (struct exu_py_frame){.address = 0x5000, .code = &scene->code, .entry = true};
  scene->chain = (struct exu_chain){.end = 1};
  scene->parts = (struct exu_stack_parts){
      .python = &scene->python, .chains = &scene->chain, .chain_count = 1, .native = &scene->native};
  scene->thread = (struct exu_thread){.tid = TID};
}

static void scene_destroy(struct scene *scene) {
  exu_map_deinit(&scene->builder.classes);
  exu_builtins_deinit(&scene->builder.builtins);
  small_process_destroy(&scene->small);
}

static void add_native(struct scene *scene, struct exu_string function) {
  size_t i = scene->native.count++;
  scene->calls[i] = (struct exu_native_call){.function = function, .line = -1};
  scene->places[i] = (struct exu_native_place){.module = -1, .calls = &scene->calls[i], .call_count = 1};
  scene->frames[i] = (struct exu_native_frame){
      .pc = 0x1000 + i, .sp = SP + i * FRAME, .cfa = SP + (i + 1) * FRAME, .place = &scene->places[i]};
}

/* The frames as a line: P a Python frame, n a native one, G a gap. */
static void check(const struct scene *scene, const char *shown) {
  char line[32] = "";
  for (size_t i = 0; i < scene->thread.frame_count && i + 1 < sizeof line; i++) {
    const enum exu_frame_kind kind = scene->thread.frames[i].kind;
    line[i] = kind == EXU_FRAME_PYTHON ? 'P' : kind == EXU_FRAME_GAP ? 'G' : 'n';
  }
  assert_string_equal(line, shown);
}

/* Since 3.10 the chain of frames leads over the C stack, which the switch has overwritten in part. */
static void in_a_switch_of_greenlets_no_python_frame_is_shown_where_their_chain_is_on_the_c_stack(void **state) {
  (void)state;
  struct scene scene;
  scene_create(&scene, true, EXU_UNWIND_SWITCH);
  add_native(&scene, TEXT("slp_switch"));
  scene.python.marker = SP + 8; /* by chance in the native frame */
  exu_incomplete(&scene.diagnostics, EXU_DIAGNOSTIC_FRAME_UNREADABLE, TID, "a frame cannot be read");
  assert_true(exu_build_stack(&scene.builder, &scene.parts, &scene.thread));
  check(&scene, "nG");
  assert_int_equal(scene.thread.frames[1].gap, EXU_GAP_SWITCH_PYTHON);
  assert_false(scene.diagnostics.incomplete); /* what the chain led to is not shown, and nothing is missing */
  scene_destroy(&scene);
}

static void what_else_is_missing_in_a_switch_of_greenlets_is_missing_all_the_same(void **state) {
  static const struct {
    enum exu_diagnostic_code code;
    int64_t tid;
  } others[] = {{EXU_DIAGNOSTIC_FRAME_UNREADABLE, TID + 1},
                {EXU_DIAGNOSTIC_FRAME_UNREADABLE, -1},
                {EXU_DIAGNOSTIC_NATIVE_INCOMPLETE, TID}};
  (void)state;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    struct scene scene;
    scene_create(&scene, true, EXU_UNWIND_SWITCH);
    add_native(&scene, TEXT("slp_switch"));
    exu_incomplete(&scene.diagnostics, others[i].code, others[i].tid, "something is missing");
    assert_true(exu_build_stack(&scene.builder, &scene.parts, &scene.thread));
    assert_true(scene.diagnostics.incomplete);
    scene_destroy(&scene);
  }
}

/*
 * Until 3.9 frame objects are on the heap: they are of one of the two greenlets, and no native frame is known to run
 * it.
 */
static void in_a_switch_of_greenlets_frames_on_the_heap_are_shown_behind_one_gap(void **state) {
  (void)state;
  struct scene scene;
  scene_create(&scene, false, EXU_UNWIND_SWITCH);
  add_native(&scene, TEXT("slp_switch"));
  scene.frames[0].kept[0] = scene.python.address;
  assert_true(exu_build_stack(&scene.builder, &scene.parts, &scene.thread));
  check(&scene, "nGP");
  assert_int_equal(scene.thread.frames[1].gap, EXU_GAP_SWITCH);
  assert_false(scene.diagnostics.incomplete);
  scene_destroy(&scene);
}

static void the_end_of_a_greenlets_stack_is_said_behind_its_frames_and_takes_none_away(void **state) {
  (void)state;
  struct scene scene;
  scene_create(&scene, true, EXU_UNWIND_GREENLET);
  add_native(&scene, TEXT("_PyEval_EvalFrameDefault"));
  add_native(&scene, TEXT("g_initialstub"));
  scene.python.marker = SP + 8;
  assert_true(exu_build_stack(&scene.builder, &scene.parts, &scene.thread));
  check(&scene, "PnG");
  assert_int_equal(scene.thread.frames[2].gap, EXU_GAP_GREENLET);
  assert_string_equal(scene.thread.frames[1].function.data, "g_initialstub");
  assert_false(scene.diagnostics.incomplete);
  scene_destroy(&scene);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(in_a_switch_of_greenlets_no_python_frame_is_shown_where_their_chain_is_on_the_c_stack),
      cmocka_unit_test(what_else_is_missing_in_a_switch_of_greenlets_is_missing_all_the_same),
      cmocka_unit_test(in_a_switch_of_greenlets_frames_on_the_heap_are_shown_behind_one_gap),
      cmocka_unit_test(the_end_of_a_greenlets_stack_is_said_behind_its_frames_and_takes_none_away),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
