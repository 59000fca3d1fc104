/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

#include "python/runtime/chain.h"

enum { LINKS = 4 };

/* Two readings, outermost frame last: letters are frames, and a digit behind one is where it was. "!": not whole. */
static const struct {
  const char *name;
  const char *one;
  const char *other;
  size_t agreement;
  const char *moved; /* those of the first */
} cases[] = {
    {"the same", "c1 b1 a1", "c1 b1 a1", 3, ""},
    {"an inner one has gone", "c1 b1 a1", "b1 a1", 2, ""},
    {"an inner one has come", "b1 a1", "c1 b1 a1", 2, ""},
    {"another was called", "c1 b1 a1", "d1 b1 a1", 2, ""},
    {"it has moved", "c1 b1 a1", "c1 b2 a1", 3, "b"},
    {"the end is another's", "c1 b1", "b1 a1", 0, ""},
    {"the same further in is no agreement", "c1 b1 a1", "c1 b1 d1", 0, ""},
    {"one broke off", "c1 b1 a1", "c1 b1 a1!", 0, ""},
    {"both broke off", "c1 b1 a1!", "c1 b1 a1!", 0, ""},
    {"nothing", "", "a1", 0, ""},
};

static void fill(struct exu_py_chain *chain, struct exu_py_link *links, const char *text) {
  *chain = (struct exu_py_chain){.whole = true};
  chain->links.items = links;
  for (const char *at = text; *at; at++) {
    if (*at == '!') chain->whole = false;
    if (*at < 'a' || *at > 'z') continue;
    const uint64_t name = (uint64_t)(unsigned char)at[0];
    links[chain->links.count++] =
        (struct exu_py_link){.address = name * 4096, .code = name * 8, .instruction = (uint64_t)(unsigned char)at[1]};
  }
}

static void readings_agree_from_the_outermost_frame_on(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct exu_py_link links[LINKS], others[LINKS];
    struct exu_py_chain one, other;
    char moved[LINKS + 1] = "";
    size_t count = 0;
    fill(&one, links, cases[i].one);
    fill(&other, others, cases[i].other);
    const size_t agreement = exu_py_chain_agreement(&one, &other);
    for (size_t j = 0; j < one.links.count; j++)
      if (links[j].moved) moved[count++] = (char)(links[j].address / 4096);
    if (agreement != cases[i].agreement) fail_msg("%s: %zu", cases[i].name, agreement);
    assert_string_equal(moved, cases[i].moved);
  }
}

static void another_code_in_the_same_place_is_another_frame(void **state) {
  (void)state;
  struct exu_py_link links[LINKS], others[LINKS];
  struct exu_py_chain one, other;
  fill(&one, links, "b1 a1");
  fill(&other, others, "b1 a1");
  others[0].code++;
  assert_int_equal(exu_py_chain_agreement(&one, &other), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(readings_agree_from_the_outermost_frame_on),
      cmocka_unit_test(another_code_in_the_same_place_is_another_frame),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
