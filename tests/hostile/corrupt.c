/* SPDX-License-Identifier: Apache-2.0 */
/* Random corruptions: whatever the core says, there is a report, soon and in little memory. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostile.h"

enum { BLOCK_MAX = 4096, DAMAGES_MAX = 4 };

static uint64_t random_state;

/* xorshift64*: the same cases for the same seed, everywhere. */
static uint64_t random_word(void) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return random_state * UINT64_C(0x2545F4914F6CDD1D);
}

static uint64_t below(uint64_t limit) { return limit ? (random_word() >> 16) % limit : 0; }

struct damage {
  uint64_t offset;
  uint64_t size;
};

/* Half of the time within a structure that is read, else anywhere. */
static uint64_t pick_offset(const struct scene *scene, const struct inside *inside, bool words) {
  uint64_t offset;
  if (random_word() & 0x100000) {
    const struct place *place = &inside->places[below(inside->place_count)];
    offset = place->offset + below(place->size);
  } else {
    offset = below(scene->size);
  }
  return words ? offset & ~UINT64_C(7) : offset;
}

static uint64_t evil_word(const struct inside *inside) {
  static const uint64_t words[] = {0,
                                   UINT64_MAX,
                                   1,
                                   UINT64_C(1) << 60,
                                   UINT64_C(1) << 40,
                                   UINT64_C(1) << 31,
                                   INT64_MAX,
                                   UINT64_C(0x7fffffff),
                                   UINT64_C(0x8000000000000000),
                                   UINT64_C(0xfffffffffffffff8),
                                   255,
                                   1 << 20,
                                   UINT64_C(0x7fffffffffff),
                                   UINT64_C(0xffffffffff600000)};
  if (random_word() & 0x10000) {
    const struct place *place = &inside->places[below(inside->place_count)];
    if (place->address) return place->address + (below(4) == 0 ? below(place->size) : 0);
  }
  return words[below(sizeof words / sizeof *words)];
}

static void damage_block(struct scene *scene, const struct inside *inside, struct damage *damage) {
  uint8_t block[BLOCK_MAX];
  unsigned kind = (unsigned)below(4);
  damage->offset = pick_offset(scene, inside, false);
  damage->size = UINT64_C(1) << below(13);
  if (damage->size > sizeof block) damage->size = sizeof block;
  if (kind == 0) {
    memset(block, 0, sizeof block);
  } else if (kind == 1) {
    memset(block, 0xff, sizeof block);
  } else if (kind == 2) {
    for (size_t i = 0; i < damage->size; i++) block[i] = (uint8_t)(random_word() >> 32);
  } else {
    uint64_t from = pick_offset(scene, inside, false);
    if (from > scene->size - sizeof block) from = scene->size - sizeof block;
    memcpy(block, scene->pristine + from, sizeof block);
  }
  scene_write(scene, damage->offset, block, damage->size);
}

static void damage_once(struct scene *scene, const struct inside *inside, struct damage *damage) {
  unsigned kind = (unsigned)below(8);
  if (kind < 2) {
    damage_block(scene, inside, damage);
  } else if (kind < 5) {
    uint64_t word = evil_word(inside);
    *damage = (struct damage){pick_offset(scene, inside, true), 8};
    scene_write(scene, damage->offset, &word, sizeof word);
  } else {
    *damage = (struct damage){pick_offset(scene, inside, false), 1};
    uint8_t byte = (uint8_t)(random_word() >> 32);
    if (kind == 7) byte = (uint8_t)(scene->pristine[damage->offset] ^ 1u << below(8));
    scene_write(scene, damage->offset, &byte, 1);
  }
}

/* Frames that an intact report does not have: not all of them are inventions, a changed name is shown as it is. */
static size_t changed_frames(const struct scene *scene, const struct exu_report *report) {
  size_t changed = 0;
  for (size_t i = 0; i < report->thread_count; i++) {
    const struct exu_thread *truth = find_truth(scene, &report->threads[i]);
    changed += !truth || !frames_are_subset(&report->threads[i], truth);
  }
  return changed;
}

/* For somebody who looks into one case. */
static void describe(const struct inside *inside, const struct damage *damages, size_t count,
                     const struct exu_report *report) {
  for (size_t i = 0; i < count; i++) {
    const char *what = "anywhere";
    uint64_t into = 0;
    for (size_t k = 0; k < inside->place_count; k++) {
      const struct place *place = &inside->places[k];
      if (damages[i].offset < place->offset || damages[i].offset - place->offset >= place->size) continue;
      what = place->what;
      into = damages[i].offset - place->offset;
    }
    printf("  %" PRIu64 " bytes at offset 0x%" PRIx64 " (%s, byte %" PRIu64 ")\n", damages[i].size, damages[i].offset,
           what, into);
  }
  print_diagnostics(report);
  printf("  %ld KiB\n", max_rss_kib());
}

int run_corrupt(int count, char **arguments) {
  static struct inside inside;
  struct scene scene;
  size_t outcomes[3] = {0}, changed = 0;
  if (count < 3) return 64;
  uint64_t first = count > 3 ? strtoull(arguments[3], NULL, 0) : 0;
  uint64_t seed = strtoull(arguments[1], NULL, 0), cases = strtoull(arguments[2], NULL, 0);
  scene_open(&scene, arguments[0]);
  inside_open(&inside, &scene);
  if (scene.size < BLOCK_MAX) return 64;
  for (uint64_t i = first; i < first + cases; i++) {
    struct damage damages[DAMAGES_MAX];
    struct exu_report *report;
    char what[96];
    random_state = (seed << 32 | (i + 1)) * UINT64_C(0x9E3779B97F4A7C15) | 1;
    random_word();
    size_t number = below(4) == 0 ? 1 + below(DAMAGES_MAX) : 1;
    for (size_t k = 0; k < number; k++) damage_once(&scene, &inside, &damages[k]);
    snprintf(what, sizeof what, "corrupt %s: seed %" PRIu64 ", case %" PRIu64, arguments[0], seed, i);
    scene.native = i % 2 == 1;
    outcomes[scene_explain(&scene, what, &report)]++;
    if (first > 0) describe(&inside, damages, number, report);
    changed += !scene.native && changed_frames(&scene, report) > 0;
    exu_report_destroy(report);
    while (number-- > 0) scene_restore(&scene, damages[number].offset, damages[number].size);
  }
  printf("corrupt: %" PRIu64 " cases, %zu places: %zu complete, %zu partial, %zu nothing; %zu with other frames than "
         "the intact core; %ld KiB\n",
         cases, inside.place_count, outcomes[0], outcomes[1], outcomes[2], changed, max_rss_kib());
  inside_close(&inside);
  scene_close(&scene);
  return memory_is_fine() ? 0 : 1;
}
