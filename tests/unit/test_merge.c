/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging, from cases that are data: every file in data/merge is a list of them. A case is a block of lines:
 *
 * case: what is true n 100 140 [f=7] [eval] [keeps=a1,b2]   a native frame's sp and cfa (hex; cfa 0: unknown),
 * innermost first [unsymbolized] [size=4000]               no symbol names its function; the size of that (hex) [bare]
 * an eval loop whose frames do not exist for Python gap                                    native frames are missing
 * right inside of the next one stop                                   unwinding did not reach the thread's start r
 * m=120 | r p=a1 [c=1] [k]             an activation: its marker or its frame object, its chain, of compiled code rule:
 * marker|pointer|name|failed [unordered] = n0 r0 h1 ...                         what comes out: natives, activations
 * (as numbered above), eval frames; - is a gap, ! one of Python frames, % says that compiled code comes
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "merge/merge.h"

enum { FRAMES = 64, RUNS = 64, KEPT = 4, TEXT = 4096, ENOUGH = 4000000 /* questions */ };

struct example {
  char file[300];
  char name[200];
  struct exu_merge_native frames[FRAMES];
  uint64_t kept[FRAMES][KEPT];
  struct exu_merge_activation activations[RUNS];
  size_t gaps[FRAMES];
  size_t count, activation_count, gap_count;
  bool by_marker, complete;
  enum exu_merge_rule rule;
  bool ordered;
  char expected[TEXT];
};

static size_t wrong; /* cases of the test that runs */

static bool keeps(void *context, size_t native, uint64_t pointer) {
  const struct example *example = context;
  for (size_t i = 0; i < KEPT; i++) {
    if (example->kept[native][i] == pointer) return true;
  }
  return false;
}

static const char *rule_name(enum exu_merge_rule rule) {
  static const char *const names[] = {"failed", "marker", "pointer", "name"};
  return names[rule];
}

static void check_invariants(const struct exu_merge_item *items, size_t count, const struct example *example) {
  size_t natives = 0, activations = 0;
  for (size_t i = 0; i < count; i++) {
    const struct exu_merge_item *item = &items[i];
    if (item->kind == EXU_MERGE_GAP || item->kind == EXU_MERGE_ALONE || item->kind == EXU_MERGE_COMPILED) {
      assert_true(i == 0 || items[i - 1].kind != item->kind);
    } else if (item->kind == EXU_MERGE_ACTIVATION) {
      assert_int_equal(item->index, activations++);
    } else {
      assert_int_equal(item->index, natives++);
    }
    if (item->kind == EXU_MERGE_EVAL_FRAME) assert_true(i > 0 && items[i - 1].kind == EXU_MERGE_ACTIVATION);
  }
  assert_int_equal(natives, example->count);
  assert_int_equal(activations, example->activation_count);
}

static void print(const struct exu_merge_item *items, size_t count, const struct exu_merge_activation *activations,
                  char *text) {
  char *end = text;
  *text = 0;
  for (size_t i = 0; i < count; i++) {
    if (i) *end++ = ' ';
    switch (items[i].kind) {
    case EXU_MERGE_NATIVE: end += sprintf(end, "n%u", items[i].index); break;
    case EXU_MERGE_EVAL_FRAME: end += sprintf(end, "h%u", items[i].index); break;
    case EXU_MERGE_ACTIVATION: end += sprintf(end, "r%u", activations[items[i].index].index); break;
    case EXU_MERGE_GAP: end += sprintf(end, "-"); break;
    case EXU_MERGE_ALONE: end += sprintf(end, "!"); break;
    case EXU_MERGE_COMPILED: end += sprintf(end, "%%"); break;
    }
  }
}

static void run_example(struct example *example) {
  struct exu_merge_stack stack = {.frames = example->frames,
                                  .count = example->count,
                                  .gaps = example->gaps,
                                  .gap_count = example->gap_count,
                                  .complete = example->complete};
  struct exu_merge_item items[FRAMES * 3 + RUNS * 3];
  char text[TEXT];
  struct exu_merge_result result = example->by_marker
                                       ? exu_merge_by_marker(&stack, example->activations, example->activation_count)
                                       : exu_merge_by_pointer(&stack, example->activations, example->activation_count,
                                                              keeps, example, &(size_t){ENOUGH});
  size_t count = exu_merge(&stack, example->activations, example->activation_count, items);
  assert_true(count <= exu_merge_room(&stack, example->activation_count));
  print(items, count, example->activations, text);
  if (strcmp(text, example->expected) != 0 || result.rule != example->rule || result.order_known != example->ordered) {
    print_error("%s: %s\n  expected %s%s: %s\n  but got  %s%s: %s\n", example->file, example->name,
                rule_name(example->rule), example->ordered ? "" : " unordered", example->expected,
                rule_name(result.rule), result.order_known ? "" : " unordered", text);
    wrong++;
  }
  check_invariants(items, count, example);
}

/* ---- Cases from files -------------------------------------------------------------------------------------------- */

static void parse_native(struct example *example, char *line) {
  assert_true(example->count < FRAMES);
  size_t i = example->count++;
  example->frames[i].sp = strtoull(line, &line, 16);
  example->frames[i].cfa = strtoull(line, &line, 16);
  for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
    if (strcmp(word, "eval") == 0) {
      example->frames[i].eval_name = true;
    } else if (strcmp(word, "bare") == 0) {
      example->frames[i].bare = true;
    } else if (strcmp(word, "unsymbolized") == 0) {
      example->frames[i].unsymbolized = true;
    } else if (strncmp(word, "size=", 5) == 0) {
      example->frames[i].size = (uint32_t)strtoull(word + 5, NULL, 16);
    } else if (strncmp(word, "f=", 2) == 0) {
      example->frames[i].function = strtoull(word + 2, NULL, 16);
    } else if (strncmp(word, "keeps=", 6) == 0) {
      char *end = word + 5;
      for (size_t k = 0; *end && k < KEPT; k++) example->kept[i][k] = strtoull(end + 1, &end, 16);
    } else {
      fail_msg("%s: %s: not understood: %s", example->file, example->name, word);
    }
  }
}

static void parse_activation(struct example *example, char *line) {
  assert_true(example->activation_count < RUNS);
  struct exu_merge_activation *activation = &example->activations[example->activation_count];
  *activation = (struct exu_merge_activation){.index = (uint32_t)example->activation_count++,
                                              .eval_frame = EXU_MERGE_NO_EVAL_FRAME};
  for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
    uint64_t value = word[1] ? strtoull(word + 2, NULL, 16) : 0;
    switch (word[0]) {
    case 'm': activation->marker = value; break;
    case 'p': activation->pointer = value; break;
    case 'c': activation->chain = (uint32_t)value; break;
    case 'k': activation->compiled = true; break;
    default: fail_msg("%s: %s: not understood: %s", example->file, example->name, word);
    }
  }
}

static void parse_rule(struct example *example, const char *line) {
  static const enum exu_merge_rule rules[] = {EXU_MERGE_FAILED, EXU_MERGE_BY_MARKER, EXU_MERGE_BY_POINTER,
                                              EXU_MERGE_BY_NAME};
  char word[20] = "";
  example->ordered = !strstr(line, "unordered");
  assert_int_equal(sscanf(line, "%19s", word), 1);
  for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
    if (strcmp(rule_name(rules[i]), word) == 0) {
      example->rule = rules[i];
      return;
    }
  }
  fail_msg("%s: %s: no rule %s", example->file, example->name, word);
}

static size_t run_file(const char *path) {
  static struct example example;
  char line[TEXT];
  size_t cases = 0;
  FILE *file = fopen(path, "r");
  assert_non_null(file);
  bool markers = strstr(path, "marker") != NULL;
  while (fgets(line, sizeof line, file)) {
    line[strcspn(line, "\n")] = 0;
    if (strncmp(line, "case: ", 6) == 0) {
      memset(&example, 0, sizeof example);
      example.by_marker = markers;
      example.complete = example.ordered = true;
      snprintf(example.file, sizeof example.file, "%s", path);
      snprintf(example.name, sizeof example.name, "%.190s", line + 6);
    } else if (strncmp(line, "n ", 2) == 0) {
      parse_native(&example, line + 2);
    } else if (strncmp(line, "r", 1) == 0 && (line[1] == ' ' || line[1] == 0)) {
      parse_activation(&example, line + 1);
    } else if (strcmp(line, "gap") == 0) {
      example.gaps[example.gap_count++] = example.count;
    } else if (strcmp(line, "stop") == 0) {
      example.complete = false;
    } else if (strncmp(line, "rule: ", 6) == 0) {
      parse_rule(&example, line + 6);
    } else if (line[0] == '=') {
      snprintf(example.expected, sizeof example.expected, "%s", line[1] ? line + 2 : "");
      run_example(&example);
      cases++;
    } else if (line[0] != 0 && line[0] != '#') {
      fail_msg("%s: %s: not understood: %s", path, example.name, line);
    }
  }
  fclose(file);
  return cases;
}

static void cases_of_the_data_files(void **state) {
  (void)state;
  size_t cases = 0, files = 0;
  wrong = 0;
  DIR *folder = opendir("data/merge");
  assert_non_null(folder);
  for (struct dirent *entry; (entry = readdir(folder));) {
    char path[300];
    if (!strstr(entry->d_name, ".txt")) continue;
    snprintf(path, sizeof path, "data/merge/%s", entry->d_name);
    cases += run_file(path);
    files++;
  }
  closedir(folder);
  print_message("%zu cases in %zu files\n", cases, files);
  assert_int_equal(wrong, 0);
  assert_true(cases >= 110 && files >= 6);
}

/* ---- Every small stack ------------------------------------------------------------------------------------------- */

/*
 * A stack as a word, innermost first: n is a native frame, e one of the eval loop with its activation, x an activation
 * whose native frame was lost, together with whatever else lay there. The word also is what must come out.
 */
struct picture {
  struct example *example;
  char *expected;
  uint64_t address;
  bool lost;  /* frames were lost right inside of here */
  bool loose; /* the last item was an activation without an eval frame */
};

static void draw_gap(struct picture *picture) {
  if (picture->expected[0] && strcmp(picture->expected + strlen(picture->expected) - 2, "- ") == 0) return;
  strcat(picture->expected, "- ");
}

static void draw_native(struct picture *picture, bool eval) {
  struct example *example = picture->example;
  size_t i = example->count++;
  if (picture->lost) {
    example->gaps[example->gap_count++] = i;
    if (i > 0) example->frames[i - 1].cfa = 0;
    draw_gap(picture);
  }
  picture->lost = picture->loose = false;
  /* Sizes differ, so that nothing depends on one. */
  uint64_t size = 0x10 + 0x10 * (i % 3);
  example->frames[i] = (struct exu_merge_native){
      .sp = picture->address, .cfa = picture->address + size, .function = eval ? 0xe : 0xf0 + i % 2, .eval_name = eval};
  if (eval) {
    uint32_t activation = (uint32_t)example->activation_count++;
    example->activations[activation] = (struct exu_merge_activation){.marker = picture->address + 8 * (activation % 2),
                                                                     .pointer = 0xa000 + activation,
                                                                     .index = activation,
                                                                     .eval_frame = EXU_MERGE_NO_EVAL_FRAME};
    example->kept[i][0] = 0xa000 + activation;
    sprintf(picture->expected + strlen(picture->expected), "r%u h%zu ", activation, i);
  } else {
    sprintf(picture->expected + strlen(picture->expected), "n%zu ", i);
  }
  picture->address += size;
}

static void draw_lost(struct picture *picture) {
  struct example *example = picture->example;
  uint32_t activation = (uint32_t)example->activation_count++;
  example->activations[activation] = (struct exu_merge_activation){.marker = picture->address + 8,
                                                                   .pointer = 0xa000 + activation,
                                                                   .index = activation,
                                                                   .eval_frame = EXU_MERGE_NO_EVAL_FRAME};
  picture->address += 0x40;
  if (!picture->loose) draw_gap(picture);
  sprintf(picture->expected + strlen(picture->expected), "r%u ", activation);
  picture->lost = picture->loose = true;
}

static void draw(struct example *example, const char *word, bool by_marker) {
  memset(example, 0, sizeof *example);
  struct picture picture = {.example = example, .expected = example->expected, .address = 0x7000};
  strcpy(example->file, by_marker ? "by marker" : "by pointer");
  strcpy(example->name, word);
  example->by_marker = by_marker;
  example->ordered = true;
  bool eval_framed = false;
  for (const char *c = word; *c; c++) {
    if (*c == 'x') {
      draw_lost(&picture);
    } else {
      draw_native(&picture, *c == 'e');
      eval_framed |= *c == 'e';
    }
  }
  example->complete = !picture.lost;
  if (picture.lost && example->count > 0) example->frames[example->count - 1].cfa = 0;
  if (eval_framed) example->rule = by_marker ? EXU_MERGE_BY_MARKER : EXU_MERGE_BY_POINTER;
  size_t size = strlen(example->expected);
  if (size) example->expected[size - 1] = 0;
}

/*
 * A frame whose caller was lost has no known end. By marker it cannot be an eval frame then, so such words say nothing;
 * nor can pointers tell which activations lie in a gap from those that have lost only their own frame.
 */
static bool is_decidable(const char *word, bool by_marker) {
  if (by_marker) return !strstr(word, "ex");
  bool lost = strchr(word, 'x') != NULL;
  /* Names alone would place activations that lost their frames. */
  return !lost || strchr(word, 'e');
}

static size_t every_word(const char *letters, size_t longest, bool by_marker) {
  static struct example example;
  size_t base = strlen(letters), cases = 0;
  for (size_t size = 0, number = 1; size <= longest; size++, number *= base) {
    for (size_t k = 0; k < number; k++) {
      char word[16] = "";
      for (size_t i = 0, rest = k; i < size; i++, rest /= base) word[i] = letters[rest % base];
      if (!is_decidable(word, by_marker)) continue;
      draw(&example, word, by_marker);
      run_example(&example);
      cases++;
    }
  }
  return cases;
}

static void every_whole_stack_of_up_to_nine_frames(void **state) {
  (void)state;
  wrong = 0;
  size_t cases = every_word("ne", 9, true) + every_word("ne", 9, false);
  print_message("%zu stacks\n", cases);
  assert_int_equal(wrong, 0);
}

static void every_stack_with_losses_of_up_to_seven_items(void **state) {
  (void)state;
  wrong = 0;
  size_t cases = every_word("nex", 7, true) + every_word("nex", 6, false);
  print_message("%zu stacks\n", cases);
  assert_int_equal(wrong, 0);
}

/* ---- Size -------------------------------------------------------------------------------------------------------- */

enum { MANY = 200 * 1000 };

static bool keeps_own(void *context, size_t native, uint64_t pointer) {
  (void)context;
  return pointer == 0x100000 + native / 2;
}

static void long_stacks_take_linear_time(void **state) {
  (void)state;
  for (int by_marker = 0; by_marker < 2; by_marker++) {
    struct exu_merge_native *frames = calloc(2 * MANY, sizeof *frames);
    struct exu_merge_activation *activations = calloc(MANY, sizeof *activations);
    struct exu_merge_stack stack = {.frames = frames, .count = 2 * MANY, .complete = true};
    struct exu_merge_item *items = calloc(exu_merge_room(&stack, MANY), sizeof *items);
    assert_true(frames && activations && items);
    for (size_t i = 0; i < 2 * MANY; i++) {
      frames[i] = (struct exu_merge_native){.sp = 0x1000 + 32 * i, .cfa = 0x1020 + 32 * i, .eval_name = i % 2};
    }
    for (size_t i = 0; i < MANY; i++) {
      activations[i] = (struct exu_merge_activation){.marker = 0x1028 + 64 * i,
                                                     .pointer = 0x100000 + i,
                                                     .index = (uint32_t)i,
                                                     .chain = (uint32_t)(i / (MANY / 4))};
    }
    struct exu_merge_result result =
        by_marker ? exu_merge_by_marker(&stack, activations, MANY)
                  : exu_merge_by_pointer(&stack, activations, MANY, keeps_own, NULL, &(size_t){ENOUGH});
    assert_true(result.order_known);
    assert_int_equal(exu_merge(&stack, activations, MANY, items), 3 * MANY);
    for (size_t i = 0; i < MANY; i++) assert_int_equal(activations[i].eval_frame, 2 * i + 1);
    free(frames);
    free(activations);
    free(items);
  }
}

/* How often keeps_own was asked. */
static bool keeps_counted(void *context, size_t native, uint64_t pointer) {
  ++*(size_t *)context;
  return keeps_own(NULL, native, pointer);
}

/* Without names: all functions are tried, of which the second is the eval loop. */
static void who_may_not_ask_to_the_end_finds_nothing(void **state) {
  (void)state;
  enum { CALLS = 16 };
  struct exu_merge_native frames[2 * CALLS];
  struct exu_merge_activation activations[CALLS];
  const struct exu_merge_stack stack = {.frames = frames, .count = 2 * CALLS, .complete = true};
  size_t failed = 0;
  for (size_t allowed = 1;; allowed++) {
    size_t left = allowed, asked = 0;
    for (size_t i = 0; i < 2 * CALLS; i++)
      frames[i] = (struct exu_merge_native){.sp = 0x1000 + 32 * i, .cfa = 0x1020 + 32 * i, .function = 1 + i % 2 * 2};
    for (size_t i = 0; i < CALLS; i++)
      activations[i] = (struct exu_merge_activation){.pointer = 0x100000 + i, .index = (uint32_t)i};
    /* Both functions keep the pointers: the larger one is the eval loop. */
    for (size_t i = 0; i < 2 * CALLS; i++) frames[i].size = i % 2 ? 100000 : 100;
    const enum exu_merge_rule rule =
        exu_merge_by_pointer(&stack, activations, CALLS, keeps_counted, &asked, &left).rule;
    assert_int_equal(asked + left, allowed);
    for (size_t i = 0; i < CALLS; i++)
      assert_int_equal(activations[i].eval_frame, left > 0 ? (int32_t)(2 * i + 1) : EXU_MERGE_NO_EVAL_FRAME);
    assert_int_equal(rule, left > 0 ? EXU_MERGE_BY_POINTER : EXU_MERGE_FAILED);
    if (left > 0) break;
    failed++;
  }
  assert_true(failed >= 2 * CALLS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(cases_of_the_data_files),
      cmocka_unit_test(every_whole_stack_of_up_to_nine_frames),
      cmocka_unit_test(every_stack_with_losses_of_up_to_seven_items),
      cmocka_unit_test(long_stacks_take_linear_time),
      cmocka_unit_test(who_may_not_ask_to_the_end_finds_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
