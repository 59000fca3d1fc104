/* SPDX-License-Identifier: Apache-2.0 */
/* Dies without any Python: with an argument, in one of three threads. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *wait_for_ever(void *unused) {
  (void)unused;
  for (;;) pause();
}

static void *die(void *unused) {
  (void)unused;
  abort();
}

int main(int count, char **arguments) {
  pthread_t thread;
  (void)arguments;
  if (count == 1) abort();
  pthread_create(&thread, NULL, wait_for_ever, NULL);
  pthread_create(&thread, NULL, die, NULL);
  wait_for_ever(NULL);
}
