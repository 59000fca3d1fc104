/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences are as long as what they tell of, and have names as they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants some of the above */
#include <cmocka.h>

#include "render/output.h"
#include "sentences.h"

#define TEXT(text)                                                                                                     \
  { text, sizeof text - 1 }

static const char *sentence_of(const struct exu_wait *wait) {
  const struct exu_thread thread = {.tid = 1, .wait = wait};
  const struct exu_report report = {.threads = &thread, .thread_count = 1, .pid = 1};
  return wait_sentence(&report, 0);
}

static void a_sentence_has_all_files_that_it_names(void **state) {
  (void)state;
  enum { LENGTH = 900, FILES = 4 };
  char path[LENGTH];
  struct exu_wait_fd fds[FILES];
  const struct exu_descriptor file = {.kind = EXU_DESCRIPTOR_FILE, .name = {path, sizeof path}};
  memset(path, 'x', sizeof path);
  for (int i = 0; i < FILES; i++) fds[i] = (struct exu_wait_fd){i + 3, &file};
  const struct exu_wait wait = {.kind = EXU_WAIT_SYSCALL,
                                .system_call = 7,
                                .system_call_name = "poll",
                                .call_class = EXU_CALL_POLL,
                                .timeout_us = -1,
                                .fds = fds,
                                .fd_count = FILES,
                                .fds_in_all = FILES};
  const char *sentence = sentence_of(&wait);
  assert_true(strlen(sentence) > LENGTH * FILES);
  assert_non_null(strstr(sentence, "; fd 6, xxx"));
}

static void every_kind_of_descriptor_has_its_words(void **state) {
  (void)state;
  static const int64_t watched[] = {3, 4};
  static const struct {
    struct exu_descriptor descriptor;
    const char *words;
  } cases[] = {
      {{.kind = EXU_DESCRIPTOR_FILE, .name = TEXT("/x\n"), .other_pid = -1}, "/x\\n"},
      {{.kind = EXU_DESCRIPTOR_FIFO, .name = TEXT("/x"), .other_pid = 7, .other_comm = TEXT("a\033")},
       "FIFO /x, other end: pid 7 (a\\x1b)"},
      {{.kind = EXU_DESCRIPTOR_PIPE, .other_pid = -1}, "pipe"},
      {{.kind = EXU_DESCRIPTOR_PIPE, .other_pid = -1, .other_self = true},
       "pipe, whose other end this process itself holds"},
      {{.kind = EXU_DESCRIPTOR_PIPE, .other_pid = 7, .other_self = true},
       "pipe, other end: pid 7 () and this process itself"},
      {{.kind = EXU_DESCRIPTOR_TCP,
        .state = EXU_SOCKET_FIN_WAIT2,
        .local = {TEXT("::1"), 1},
        .remote = {TEXT("::2"), 2}},
       "socket [::1]:1 -> [::2]:2 (FIN_WAIT2)"},
      {{.kind = EXU_DESCRIPTOR_TCP, .local = {TEXT("0.0.0.0"), 1}}, "socket 0.0.0.0:1 (?)"},
      {{.kind = EXU_DESCRIPTOR_UDP, .local = {TEXT("10.0.0.1"), 1}, .remote = {TEXT("10.0.0.2"), 2}},
       "UDP socket 10.0.0.1:1 -> 10.0.0.2:2"},
      {{.kind = EXU_DESCRIPTOR_UNIX, .state = EXU_SOCKET_CLOSE}, "Unix socket (not connected)"},
      {{.kind = EXU_DESCRIPTOR_UNIX, .state = EXU_SOCKET_LISTEN, .name = TEXT("\0a\nb")},
       "Unix socket @a\\nb (listening)"},
      {{.kind = EXU_DESCRIPTOR_SOCKET, .inode = 12}, "socket, inode 12"},
      {{.kind = EXU_DESCRIPTOR_EPOLL}, "epoll of 0 descriptors"},
      {{.kind = EXU_DESCRIPTOR_EPOLL, .watched = watched, .watched_count = 1, .watched_in_all = 1},
       "epoll of 1 descriptor: 3"},
      {{.kind = EXU_DESCRIPTOR_EPOLL, .watched = watched, .watched_count = 2, .watched_in_all = 3},
       "epoll of 3 descriptors: 3, 4, ..."},
      {{.kind = EXU_DESCRIPTOR_EVENTFD}, "eventfd"},
      {{.kind = EXU_DESCRIPTOR_TIMERFD}, "timerfd"},
      {{.kind = EXU_DESCRIPTOR_SIGNALFD}, "signalfd"},
      {{.kind = EXU_DESCRIPTOR_INOTIFY}, "inotify"},
      {{.kind = EXU_DESCRIPTOR_PIDFD}, "pidfd"},
      {{.kind = EXU_DESCRIPTOR_OTHER, .name = TEXT("io_uring")}, "io_uring"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char expected[256];
    const struct exu_wait wait = {.kind = EXU_WAIT_SYSCALL,
                                  .system_call_name = "read",
                                  .call_class = EXU_CALL_READ,
                                  .fd = 5,
                                  .descriptor = &cases[i].descriptor};
    snprintf(expected, sizeof expected, "Reading from fd 5 (read), %s", cases[i].words);
    assert_string_equal(sentence_of(&wait), expected);
  }
}

static void a_name_goes_on_behind_a_nul_and_is_escaped(void **state) {
  (void)state;
  const struct exu_wait wait = {.kind = EXU_WAIT_RLOCK,
                                .address = 0x10,
                                .owner = -1,
                                .owner_tid = 7,
                                .owner_place = EXU_OWNER_THREAD,
                                .owner_name = TEXT("a\0b\"\n")};
  assert_string_equal(sentence_of(&wait), "Waiting for RLock 0x10 held by \"a\\x00b\\\"\\n\" (7)");
}

static void what_has_no_address_has_an_article(void **state) {
  (void)state;
  struct exu_wait wait = {.kind = EXU_WAIT_RLOCK, .owner = -1, .owner_tid = -1, .owner_pid = -1};
  assert_string_equal(sentence_of(&wait), "Waiting for an RLock (owner unknown)");
  wait.kind = EXU_WAIT_LOCK;
  assert_string_equal(sentence_of(&wait), "Waiting for a Lock (owner unknown)");
  wait.kind = EXU_WAIT_EVENT;
  assert_string_equal(sentence_of(&wait), "Waiting for an Event to be set");
}

static void a_child_that_python_tells_of_has_its_name(void **state) {
  (void)state;
  struct exu_wait wait = {.kind = EXU_WAIT_CHILD,
                          .detail = EXU_DETAIL_PYTHON,
                          .child = 12,
                          .child_name = TEXT("Process-1"),
                          .system_call = 61,
                          .system_call_name = "wait4",
                          .call_class = EXU_CALL_CHILD};
  assert_string_equal(sentence_of(&wait), "Waiting for child process \"Process-1\" (pid 12) to end");
  wait.detail = EXU_DETAIL_NONE;
  assert_string_equal(sentence_of(&wait), "Waiting for a child process to end (wait4, pid 12)");
}

static void who_has_a_lock_is_said_wherever_that_is(void **state) {
  (void)state;
  struct exu_wait wait = {.kind = EXU_WAIT_MUTEX, .address = 0x10, .owner = -1, .owner_tid = 9, .owner_pid = -1};
  const struct {
    enum exu_owner_place place;
    int64_t pid;
    const char *said;
  } cases[] = {
      {EXU_OWNER_UNKNOWN, -1, "Waiting for mutex 0x10 (owner unknown)"},
      {EXU_OWNER_THREAD, -1, "Waiting for mutex 0x10 held by thread 9"},
      {EXU_OWNER_PROCESS, 9, "Waiting for mutex 0x10 held by process 9 (python3)"},
      {EXU_OWNER_PROCESS, 8, "Waiting for mutex 0x10 held by thread 9 of process 8 (python3)"},
      {EXU_OWNER_OUTSIDE, -1,
       "Waiting for mutex 0x10 held by thread 9, which is not of this process (processes share it)"},
      {EXU_OWNER_NOWHERE, -1,
       "Waiting for mutex 0x10 held by thread 9, which does not exist in this process (copied by fork?)"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    wait.owner_place = cases[i].place;
    wait.owner_pid = cases[i].pid;
    wait.owner_comm = (struct exu_string)TEXT("python3");
    assert_string_equal(sentence_of(&wait), cases[i].said);
  }
}

static void sentences_that_are_not_there_are_mistakes_of_the_caller(void **state) {
  (void)state;
  const struct exu_report report = {.pid = 1};
  assert_false(exu_write_wait(&report, 0, stdout));
  assert_false(exu_write_deadlock(&report, 0, stdout));
  assert_false(exu_write_hang(&report, 0, stdout));
  assert_false(exu_write_crash(&report, stdout));
  assert_false(exu_write_wait(NULL, 0, stdout));
  assert_false(exu_write_crash(NULL, stdout));
}

static void a_text_in_memory_has_any_length(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 32 * 1024 - 1, 32 * 1024, 32 * 1024 + 1, 1000 * 1000};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    struct exu_output out;
    exu_output_init_text(&out);
    exu_out_repeat(&out, 'a', sizes[i]);
    struct exu_string text = exu_output_text(&out);
    assert_non_null(text.data);
    assert_int_equal(text.size, sizes[i]);
    exu_out_char(&out, 'b');
    text = exu_output_text(&out);
    assert_int_equal(text.size, sizes[i] + 1);
    assert_int_equal(text.data[sizes[i]], 'b');
    exu_output_deinit_text(&out);
  }
}

static void what_a_process_named_is_escaped_in_the_sentence_of_its_crash(void **state) {
  (void)state;
  struct exu_crash crash = {.signal = 11,
                            .name = "SIGSEGV",
                            .has_address = true,
                            .address = 0x1000,
                            .place = {.kind = EXU_CRASH_AT_FILE, .path = TEXT("/a\x1b[2J"), .protection = "r--"},
                            .message = TEXT("b\n"),
                            .tid = -1};
  assert_string_equal(crash_sentence(&crash, 1),
                      "Segmentation fault at address 0x1000 in /a\\x1b[2J (r--); the last words "
                      "of the C library: b\\n");
  crash.place.protection = NULL;
  assert_non_null(strstr(crash_sentence(&crash, 1), " address 0x1000 (/a\\x1b[2J); "));
}

/* Each kind says something of its own, and none of them an access or an overflow that is not among the facts. */
static void every_kind_of_place_has_words(void **state) {
  (void)state;
  static const enum exu_crash_place_kind kinds[] = {EXU_CRASH_PLACES(EXU_ENUMERATOR)};
  enum { COUNT = sizeof kinds / sizeof *kinds };
  for (size_t i = 0; i < COUNT; i++) {
    const struct exu_crash_place place = {.kind = kinds[i], .path = TEXT("/a"), .tid = 7};
    const bool of_stack = kinds[i] == EXU_CRASH_BELOW_STACK || kinds[i] == EXU_CRASH_AT_GUARD_PAGE;
    char words[100];
    snprintf(words, sizeof words, "%s", crash_place_words(&place));
    assert_true(words[0] != '\0');
    assert_int_equal(strstr(words, "overflow") != NULL, of_stack);
    for (size_t j = 0; j < i; j++) {
      const struct exu_crash_place other = {.kind = kinds[j], .path = TEXT("/a"), .tid = 7};
      assert_string_not_equal(words, crash_place_words(&other));
    }
  }
}

static void every_gap_has_words_of_its_own_and_so_has_none(void **state) {
  (void)state;
  static const enum exu_gap gaps[] = {EXU_GAPS(EXU_ENUMERATOR)};
  enum { COUNT = sizeof gaps / sizeof *gaps, NONE = 1000 };
  for (size_t i = 0; i < COUNT; i++) {
    assert_string_not_equal(exu_gap_text(gaps[i]), exu_gap_text((enum exu_gap)NONE));
    for (size_t j = 0; j < i; j++) assert_string_not_equal(exu_gap_text(gaps[i]), exu_gap_text(gaps[j]));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_sentence_has_all_files_that_it_names),
      cmocka_unit_test(every_kind_of_descriptor_has_its_words),
      cmocka_unit_test(a_name_goes_on_behind_a_nul_and_is_escaped),
      cmocka_unit_test(what_has_no_address_has_an_article),
      cmocka_unit_test(a_child_that_python_tells_of_has_its_name),
      cmocka_unit_test(who_has_a_lock_is_said_wherever_that_is),
      cmocka_unit_test(sentences_that_are_not_there_are_mistakes_of_the_caller),
      cmocka_unit_test(what_a_process_named_is_escaped_in_the_sentence_of_its_crash),
      cmocka_unit_test(every_kind_of_place_has_words),
      cmocka_unit_test(every_gap_has_words_of_its_own_and_so_has_none),
      cmocka_unit_test(a_text_in_memory_has_any_length),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
