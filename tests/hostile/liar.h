/* SPDX-License-Identifier: Apache-2.0 */
/* One structure of the interpreter lies at a time; what must become of every frame is known beforehand. */
#ifndef EXUVIA_TESTS_LIAR_H
#define EXUVIA_TESTS_LIAR_H

#include "hostile.h"
#include "python/frame/frames.h"

enum { THREADS_MAX = 8, FRAMES_MAX = 64, PATCHES_MAX = 32 };

/* What the report must have of a frame of the intact core. */
enum fate { KEPT, LOST, LINE_LOST };

struct patch {
  uint64_t offset;
  uint64_t size;
};

struct liar {
  struct scene scene;
  struct inside inside;
  const struct exu_layout *layout;
  const char *only; /* the name of the one lie that is told; NULL: all */

  /* The thread that is lied about: the crashed one. */
  size_t victim;   /* its index in the intact report */
  uint64_t tstate; /* its thread state */
  const struct exu_thread *thread;

  uint64_t scratch; /* zeros in the process that may be overwritten */
  uint64_t scratch_size;

  /* The lie that is being prepared; liar_tell forgets it. */
  struct patch patches[PATCHES_MAX];
  size_t patch_count;
  bool scratch_used;
  enum fate fates[THREADS_MAX][FRAMES_MAX];
  bool names_lost;     /* thread names may be unknown */
  bool nothing;        /* no Python stack can be shown at all */
  size_t interpreters; /* how many the report must have; 0: not looked at */

  size_t told;
  size_t skipped;
  size_t failures;
};

void liar_open(struct liar *liar, const char *core);
void liar_close(struct liar *liar);

/* Overwrite a field of the structure at `address`, or a word. A lie that cannot be told counts as failed. */
void liar_put(struct liar *liar, uint64_t address, struct exu_field field, uint64_t value);
void liar_put_word(struct liar *liar, uint64_t address, uint64_t value);

/* The same within the scratch memory, as often as wanted. */
void liar_scratch(struct liar *liar, uint64_t address, struct exu_field field, uint64_t value);

/* What the victim's frame number `index` (0: innermost) is in the process. */
uint64_t liar_frame(const struct liar *liar, size_t index);
uint64_t liar_code(const struct liar *liar, uint64_t frame);
struct exu_field liar_code_field(const struct liar *liar);
struct exu_field liar_previous_field(const struct liar *liar);

/* Set the fate of the victim's frames first..last, or of all frames of one intact thread. */
void liar_lose(struct liar *liar, size_t first, size_t last, enum fate fate);
void liar_lose_thread(struct liar *liar, uint64_t tstate);

/* The same for every frame of every thread whose code object has this word in this field. */
void liar_lose_code(struct liar *liar, struct exu_field field, uint64_t value, enum fate fate);

/*
 * Explain the core with the lie, compare with what is expected, and undo it. `code`: the diagnostic that must be
 * there, and with it the outcome "partial"; NULL: nothing can tell that it is a lie.
 */
void liar_tell(struct liar *liar, const char *name, const char *code);

/* A lie that this version has no structure for. */
void liar_skip(struct liar *liar, const char *name);

/* The kinds of lies. */
void tell_lies_about_frames(struct liar *liar);
void tell_lies_about_code(struct liar *liar);
void tell_lies_about_lists(struct liar *liar);
void tell_lies_about_names(struct liar *liar);
void tell_lies_about_versions(struct liar *liar);

#endif
