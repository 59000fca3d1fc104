/* SPDX-License-Identifier: Apache-2.0 */
/* One structure of the interpreter is changed at a time; what must become of every frame is known beforehand. */
#ifndef EXUVIA_TESTS_MUTATOR_H
#define EXUVIA_TESTS_MUTATOR_H

#include "hostile.h"
#include "python/frame/frames.h"

enum { THREADS_MAX = 8, FRAMES_MAX = 64, PATCHES_MAX = 32 };

/* What the report must have of a frame of the intact core. */
enum fate { KEPT, LOST, LINE_LOST };

struct patch {
  uint64_t offset;
  uint64_t size;
};

struct mutator {
  struct scene scene;
  struct inside inside;
  const struct exu_layout *layout;
  const char *only; /* the name of the one mutation that is tried; NULL: all */

  /* The thread that is lied about: the crashed one. */
  size_t victim;   /* its index in the intact report */
  uint64_t tstate; /* its thread state */
  const struct exu_thread *thread;

  uint64_t scratch; /* zeros in the process that may be overwritten */
  uint64_t scratch_size;

  /* The mutation that is being prepared; mutator_try forgets it. */
  struct patch patches[PATCHES_MAX];
  size_t patch_count;
  bool scratch_used;
  enum fate fates[THREADS_MAX][FRAMES_MAX];
  bool names_lost;     /* thread names may be unknown */
  bool nothing;        /* no Python stack can be shown at all */
  size_t interpreters; /* how many the report must have; 0: not looked at */

  size_t tried;
  size_t skipped;
  size_t failures;
};

void mutator_open(struct mutator *mutator, const char *core);
void mutator_close(struct mutator *mutator);

/* Overwrite a field of the structure at `address`, or a word. A mutation that cannot be made counts as failed. */
void mutator_put(struct mutator *mutator, uint64_t address, struct exu_field field, uint64_t value);
void mutator_put_word(struct mutator *mutator, uint64_t address, uint64_t value);

/* The same within the scratch memory, as often as wanted. */
void mutator_scratch(struct mutator *mutator, uint64_t address, struct exu_field field, uint64_t value);

/* What the victim's frame number `index` (0: innermost) is in the process. */
uint64_t mutator_frame(const struct mutator *mutator, size_t index);
uint64_t mutator_code(const struct mutator *mutator, uint64_t frame);
struct exu_field mutator_code_field(const struct mutator *mutator);
struct exu_field mutator_previous_field(const struct mutator *mutator);

/* Set the fate of the victim's frames first..last, or of all frames of one intact thread. */
void mutator_lose(struct mutator *mutator, size_t first, size_t last, enum fate fate);
void mutator_lose_thread(struct mutator *mutator, uint64_t tstate);

/* The same for every frame of every thread whose code object has this word in this field. */
void mutator_lose_code(struct mutator *mutator, struct exu_field field, uint64_t value, enum fate fate);

/*
 * Explain the core with the mutation, compare with what is expected, and undo it. `code`: the diagnostic that must be
 * there, and with it the outcome "partial"; NULL: nothing can tell that it is a mutation.
 */
void mutator_try(struct mutator *mutator, const char *name, const char *code);

/* A mutation that this version has no structure for. */
void mutator_skip(struct mutator *mutator, const char *name);

/* The kinds of mutations. */
void mutate_frames(struct mutator *mutator);
void mutate_code(struct mutator *mutator);
void mutate_lists(struct mutator *mutator);
void mutate_names(struct mutator *mutator);
void mutate_versions(struct mutator *mutator);

#endif
