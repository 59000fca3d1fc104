/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* cmocka.h wants the above */
#include <cmocka.h>

#include "process/sockets.h"

static bool waits(const char *socket_line, const char *peer_line, bool writes) {
  struct exu_inet_line socket, peer;
  assert_true(exu_inet_line(socket_line, &socket));
  assert_true(exu_inet_line(peer_line, &peer));
  return exu_inet_waits_for(&socket, &peer, writes);
}

/* The queues are what is to be sent, and what was received and is not read yet. */
#define SOCKET(state, queues, timer)                                                                                   \
  "0: 0100007F:0FA0 0100007F:1388 " state " " queues " " timer ":00000000 00000000 0 0 42 1"
#define PEER(state, queues) "1: 0100007F:1388 0100007F:0FA0 " state " " queues " 00:00000000 00000000 0 0 43 1"

static void who_reads_waits_for_the_other_end_while_nothing_is_on_its_way(void **state) {
  (void)state;
  assert_true(waits(SOCKET("01", "0:0", "00"), PEER("01", "0:0"), false));
  assert_true(waits(SOCKET("01", "0:0", "02"), PEER("01", "0:7"), false));
  assert_false(waits(SOCKET("01", "0:1", "00"), PEER("01", "0:0"), false));
  assert_false(waits(SOCKET("01", "0:0", "00"), PEER("01", "1:0"), false));
}

static void who_writes_waits_for_the_other_end_while_the_kernel_asks_for_room_there(void **state) {
  (void)state;
  assert_true(waits(SOCKET("01", "5:0", "04"), PEER("01", "0:5"), true));
  assert_false(waits(SOCKET("01", "5:0", "01"), PEER("01", "0:5"), true));
  assert_false(waits(SOCKET("01", "0:0", "04"), PEER("01", "0:5"), true));
  assert_false(waits(SOCKET("01", "5:0", "04"), PEER("01", "0:0"), true));
}

static void a_connection_that_is_half_closed_goes_one_way(void **state) {
  (void)state;
  assert_true(waits(SOCKET("05", "0:0", "00"), PEER("08", "0:0"), false));
  assert_false(waits(SOCKET("08", "0:0", "00"), PEER("05", "0:0"), false));
  assert_true(waits(SOCKET("08", "5:0", "04"), PEER("05", "0:5"), true));
  assert_false(waits(SOCKET("05", "5:0", "04"), PEER("08", "0:5"), true));
  assert_false(waits(SOCKET("01", "0:0", "00"), PEER("08", "0:0"), false));
  assert_false(waits(SOCKET("0A", "0:0", "00"), PEER("0A", "0:0"), false));
}

static void sockets_are_connected_when_each_has_the_address_of_the_other_on_the_loopback(void **state) {
  (void)state;
  const struct {
    const char *socket, *peer;
    bool connected;
  } cases[] = {
      {"0100007F:0FA0 0100007F:1388", "0100007F:1388 0100007F:0FA1", false},
      {"0100007F:0FA0 0100007F:1388", "0200007F:1388 0100007F:0FA0", false},
      {"0100007F:0FA0 0200007F:1388", "0200007F:1388 0100007F:0FA0", true},
      /* 10.0.0.1 and 10.0.0.2: what a transparent proxy between two machines has */
      {"0100000A:0FA0 0200000A:1388", "0200000A:1388 0100000A:0FA0", false},
      {"0100007F:0FA0 0200000A:1388", "0200000A:1388 0100007F:0FA0", false},
      /* A server of IPv6 that takes IPv4, too */
      {"0000000000000000FFFF00000100007F:0FA0 0000000000000000FFFF00000100007F:1388", "0100007F:1388 0100007F:0FA0",
       true},
      {"00000000000000000000000001000000:0FA0 00000000000000000000000001000000:1388",
       "00000000000000000000000001000000:1388 00000000000000000000000001000000:0FA0", true},
      {"00000000000000000000000002000000:0FA0 00000000000000000000000002000000:1388",
       "00000000000000000000000002000000:1388 00000000000000000000000002000000:0FA0", false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char socket[256], peer[256];
    snprintf(socket, sizeof socket, "0: %s 01 0:0 00:0 0 0 0 42 1", cases[i].socket);
    snprintf(peer, sizeof peer, "1: %s 01 0:0 00:0 0 0 0 43 1", cases[i].peer);
    assert_int_equal(waits(socket, peer, false), cases[i].connected);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(who_reads_waits_for_the_other_end_while_nothing_is_on_its_way),
      cmocka_unit_test(who_writes_waits_for_the_other_end_while_the_kernel_asks_for_room_there),
      cmocka_unit_test(a_connection_that_is_half_closed_goes_one_way),
      cmocka_unit_test(sockets_are_connected_when_each_has_the_address_of_the_other_on_the_loopback),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
